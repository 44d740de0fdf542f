"""The jars of Apache Kafka: which ones, with which content, and where they are kept.

`kafka_jars.lock` names each jar with its SHA-256; a jar with another content is never used. A
finished folder appears by one rename, so whoever sees it sees all of it.
"""

import hashlib
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import stamina
from jgo.maven import MavenContext

from caas_chassis.embedded.errors import EmbeddedServerError
from caas_chassis.embedded.locking import exclusive
from caas_chassis.embedded.server import Progress

KAFKA_VERSION: Final = "4.3.0"
LOCK_FILE: Final = Path(__file__).with_name("kafka_jars.lock")
# 92 jars, 56 MB: half a minute on an ordinary line; the deadline leaves room for a slow one.
PROVIDE_DEADLINE_S: Final = 900.0
PARALLEL_DOWNLOADS: Final = 8
DOWNLOAD_ATTEMPTS: Final = 4
DOWNLOAD_DEADLINE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Jar:
    """One locked jar: Maven coordinates and the SHA-256 of its content, in hex."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The jar's name in the class path; group and all, as artifact names alone may repeat."""
        return f"{self.group}.{self.artifact}-{self.version}.jar"


def provide_kafka_jars(cache_dir: Path, *, progress: Progress, lock_file: Path = LOCK_FILE) -> Path:
    """The folder with every locked jar, downloading what is missing; safe to call from many processes.

    What an interrupted call had downloaded is used by the next. Raises EmbeddedServerError when a
    jar cannot be had or its content is not the locked one.
    """
    digest = hashlib.sha256(lock_file.read_bytes()).hexdigest()[:12]
    folder = cache_dir / f"kafka-{KAFKA_VERSION}-{digest}"
    if folder.is_dir():
        return folder

    def say_waiting() -> None:
        progress("waiting for another process that is downloading Apache Kafka")

    with exclusive(cache_dir / ".lock", timeout_s=PROVIDE_DEADLINE_S, on_wait=say_waiting):
        if not folder.is_dir():
            _assemble(read_lock(lock_file), folder, downloads=cache_dir / "downloads", progress=progress)
    return folder


def read_lock(lock_file: Path = LOCK_FILE) -> list[Jar]:
    """The locked jars in class path order."""
    jars = []
    for line in lock_file.read_text().splitlines():
        coordinates, sha256 = line.split()
        group, artifact, version = coordinates.split(":")
        jars.append(Jar(group, artifact, version, sha256))
    return jars


def _assemble(jars: list[Jar], folder: Path, *, downloads: Path, progress: Progress) -> None:
    progress(f"downloading Apache Kafka {KAFKA_VERSION}: {len(jars)} jars, 56 MB, once")
    staging = folder.with_suffix(".partial")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    for count, (jar, path) in enumerate(_download_all(jars, downloads), start=1):
        path.replace(staging / jar.file_name)
        if count % 20 == 0 or count == len(jars):
            progress(f"downloading Apache Kafka {KAFKA_VERSION}: {count} of {len(jars)} jars")
    staging.rename(folder)
    shutil.rmtree(downloads, ignore_errors=True)


def _download_all(jars: list[Jar], downloads: Path) -> Iterator[tuple[Jar, Path]]:
    context = MavenContext(repo_cache=downloads)
    pool = ThreadPoolExecutor(PARALLEL_DOWNLOADS)
    try:
        yield from zip(jars, pool.map(lambda jar: _download(context, jar), jars), strict=True)
    except (OSError, RuntimeError) as error:
        message = f"Apache Kafka could not be downloaded ({error}); it needs the network once"
        raise EmbeddedServerError(message) from error
    finally:
        # After a failure or Ctrl-C the jars still queued are not waited for.
        pool.shutdown(cancel_futures=True)


def _download(context: MavenContext, jar: Jar) -> Path:
    """One jar with the locked content; what an interrupted run left half is asked for again."""
    for attempt in stamina.retry_context(on=(OSError, RuntimeError), attempts=DOWNLOAD_ATTEMPTS, timeout=120.0):
        with attempt:
            path = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found != jar.sha256:
                path.unlink()
                raise EmbeddedServerError(f"{jar.file_name} has SHA-256 {found}, locked is {jar.sha256}")
            return path
    raise AssertionError("a retry context either returns or raises")
