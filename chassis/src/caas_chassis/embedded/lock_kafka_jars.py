"""Resolve the jars of Apache Kafka anew and rewrite `kafka_jars.lock`; `make lock` runs it.

Never imported by anything: a broker starts from the locked list, not from a resolution of its own.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from jgo.maven import MavenContext
from jgo.parse import Coordinate

from caas_chassis.embedded.kafka_jars import KAFKA_VERSION, LOCK_FILE, Jar

ROOTS: Final = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",
    "org.slf4j:slf4j-simple:1.7.36",
)


def main() -> None:
    """Write one line per jar, in class path order: its Maven coordinates and its SHA-256."""
    with TemporaryDirectory() as folder:
        jars = list(_resolve(MavenContext(repo_cache=Path(folder))))
    lines = [f"{jar.group}:{jar.artifact}:{jar.version} {jar.sha256}\n" for jar in jars]
    LOCK_FILE.write_text("".join(lines))
    print(f"{LOCK_FILE.name}: {len(jars)} jars")


def _resolve(context: MavenContext) -> Iterable[Jar]:
    roots = [replace(Coordinate.parse(root), scope="compile") for root in ROOTS]
    inputs, transitive = context.resolver.resolve([context.create_dependency(root) for root in roots])
    used = [*inputs, *(found for found in transitive if found.scope in ("compile", "runtime"))]
    for dependency in used:
        artifact = dependency.artifact
        sha256 = hashlib.sha256(artifact.resolve().read_bytes()).hexdigest()
        yield Jar(artifact.groupId, artifact.artifactId, artifact.version, sha256)


if __name__ == "__main__":
    main()
