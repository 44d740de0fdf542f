"""The embedded servers are the real ones: they store, crash, come back, and leave nothing behind."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from caas_chassis.embedded import EmbeddedPostgres, EmbeddedServerError
from caas_chassis.embedded.kafka_jars import Jar, provide_kafka_jars, read_lock
from caas_chassis.embedded.locking import exclusive
from caas_chassis.testing.plugin import StartKafka, StartPostgres

DEADLINE_S = 30.0


async def create_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def send(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await asyncio.wait_for(producer.start(), DEADLINE_S)
    try:
        await asyncio.wait_for(producer.send_and_wait(topic, value), DEADLINE_S)
    finally:
        await producer.stop()


async def first_value(bootstrap: str, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await asyncio.wait_for(consumer.start(), DEADLINE_S)
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        record = await asyncio.wait_for(consumer.getone(), DEADLINE_S)
        return bytes(record.value)
    finally:
        await consumer.stop()


async def stored_text(url: str) -> str:
    connection = await asyncpg.connect(url, timeout=DEADLINE_S)
    try:
        return str(await connection.fetchval("SELECT said FROM words", timeout=DEADLINE_S))
    finally:
        await connection.close(timeout=DEADLINE_S)


async def store_text(url: str, said: str) -> None:
    connection = await asyncpg.connect(url, timeout=DEADLINE_S)
    try:
        await connection.execute("CREATE TABLE words (said text)", timeout=DEADLINE_S)
        await connection.execute("INSERT INTO words VALUES ($1)", said, timeout=DEADLINE_S)
    finally:
        await connection.close(timeout=DEADLINE_S)


# Three starts of a JVM: on a machine with nothing to spare each takes half a minute.
@pytest.mark.timeout(300)
async def test_kafka_keeps_messages_and_address_through_stop_and_kill(
    start_kafka: StartKafka,
) -> None:
    kafka = start_kafka()
    bootstrap = kafka.bootstrap_servers
    await create_topic(bootstrap, "kept")
    await send(bootstrap, "kept", b"still here")

    kafka.stop()
    assert not kafka.is_running
    kafka.start(end_with_parent=True)
    assert await first_value(bootstrap, "kept") == b"still here"

    kafka.kill()
    assert not kafka.is_running
    kafka.start(end_with_parent=True)
    assert kafka.bootstrap_servers == bootstrap
    assert await first_value(bootstrap, "kept") == b"still here"


async def test_kafka_creates_no_topic_that_nobody_declared(kafka_bootstrap: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, request_timeout_ms=2_000)
    await producer.start()
    try:
        with pytest.raises((UnknownTopicOrPartitionError, TimeoutError)):
            await asyncio.wait_for(producer.send_and_wait("misspelt", b"x"), 5)
    finally:
        await producer.stop()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    try:
        assert "misspelt" not in await admin.list_topics()
    finally:
        await admin.close()


async def test_postgres_keeps_commits_through_a_stop_and_a_kill(
    start_postgres: StartPostgres,
) -> None:
    postgres = start_postgres()
    url = postgres.create_database("diary")
    await store_text(url, "dear diary")

    postgres.stop()
    assert not postgres.is_running
    postgres.start(end_with_parent=True)
    assert await stored_text(url) == "dear diary"

    postgres.kill()
    assert not postgres.is_running
    postgres.start(end_with_parent=True)
    assert postgres.url("diary") == url
    assert await stored_text(url) == "dear diary"


async def test_creating_a_database_twice_keeps_the_first(start_postgres: StartPostgres) -> None:
    postgres = start_postgres()
    await store_text(postgres.create_database("once"), "first")
    assert await stored_text(postgres.create_database("once")) == "first"


async def test_postgres_is_durable_by_default_and_open_to_this_machine_only(tmp_path: Path) -> None:
    # pytest's folder is closed to other users: the unprivileged server must work inside it.
    postgres = EmbeddedPostgres(tmp_path / "state")
    postgres.start(end_with_parent=True)
    try:
        connection = await asyncpg.connect(postgres.url(), timeout=DEADLINE_S)
        settings = {
            name: await connection.fetchval(f"SHOW {name}")
            for name in ("fsync", "listen_addresses", "max_connections", "server_version_num")
        }
        await connection.close(timeout=DEADLINE_S)
    finally:
        postgres.stop()
    assert settings["fsync"] == "on"
    assert settings["listen_addresses"] == "127.0.0.1"
    assert settings["max_connections"] == "400"
    assert settings["server_version_num"].startswith("18")


def test_another_process_finds_the_running_server_and_stops_it(start_postgres: StartPostgres) -> None:
    postgres = start_postgres()
    elsewhere = EmbeddedPostgres(postgres.state_dir)
    elsewhere.start()
    assert (elsewhere.pid, elsewhere.url()) == (postgres.pid, postgres.url())
    elsewhere.stop()
    assert not postgres.is_running


def test_a_stale_record_never_stands_for_another_process(tmp_path: Path) -> None:
    mine = psutil.Process()
    (tmp_path / "process.json").write_text(
        f'{{"pid": {mine.pid}, "created_at_s": {mine.create_time() - 100}, "port": 1}}'
    )
    server = EmbeddedPostgres(tmp_path)
    assert not server.is_running
    server.kill()


STARTER = """
import sys, time
from pathlib import Path
from caas_chassis.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start(end_with_parent=sys.argv[2] == "bound")
print(server.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("bond", "survives"), [("bound", False), ("free", True)])
def test_a_server_ends_with_its_starter_only_when_asked_to(tmp_path: Path, bond: str, survives: bool) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path), bond]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline().strip().isdigit()
        os.kill(starter.pid, signal.SIGKILL)
        starter.wait(timeout=DEADLINE_S)
    server = EmbeddedPostgres(tmp_path)
    deadline = time.monotonic() + (1.0 if survives else DEADLINE_S)
    while server.is_running and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.is_running is survives
    server.stop()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path, settings={"max_connections": "none"})
    with pytest.raises(EmbeddedServerError, match='invalid value for parameter "max_connections"'):
        server.start(end_with_parent=True)
    assert not server.is_running


def hold(path: Path, name: str, log: Path) -> None:
    with exclusive(path, timeout_s=DEADLINE_S):
        with log.open("a") as lines:
            lines.write(f"{name} in\n")
        time.sleep(0.2)
        with log.open("a") as lines:
            lines.write(f"{name} out\n")


def test_two_processes_take_turns_at_one_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = [(tmp_path / "lock", name, tmp_path / "log") for name in ("first", "second")]
    holders = [context.Process(target=hold, args=each) for each in arguments]
    for holder in holders:
        holder.start()
    for holder in holders:
        holder.join(timeout=DEADLINE_S)
        assert holder.exitcode == 0
    names = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert [what for _, what in names] == ["in", "out", "in", "out"]
    assert names[0][0] == names[1][0]


def test_a_lock_that_stays_taken_is_reported_and_not_waited_for_ever(tmp_path: Path) -> None:
    waited: list[bool] = []
    with (
        exclusive(tmp_path / "lock", timeout_s=1),
        pytest.raises(EmbeddedServerError, match="still held"),
        exclusive(tmp_path / "lock", timeout_s=0.2, on_wait=lambda: waited.append(True)),
    ):
        pytest.fail("two holders at once")
    assert waited == [True]


def prime_downloads(cache_dir: Path, jars: list[Jar], finished: Path) -> None:
    """What a download interrupted just before its end leaves: jars by Maven path, none assembled."""
    for jar in jars:
        folder = cache_dir / "downloads" / jar.group.replace(".", "/") / jar.artifact / jar.version
        folder.mkdir(parents=True)
        (folder / f"{jar.artifact}-{jar.version}.jar").hardlink_to(finished / jar.file_name)


@pytest.fixture(scope="session")
def kafka_jars(pytestconfig: pytest.Config) -> Path:
    return provide_kafka_jars(pytestconfig.rootpath / ".local/cache/kafka", progress=print)


def provide(cache_dir: Path) -> None:
    provide_kafka_jars(cache_dir, progress=print)


def test_two_processes_needing_the_jars_at_once_get_one_whole_folder(tmp_path: Path, kafka_jars: Path) -> None:
    prime_downloads(tmp_path, read_lock(), kafka_jars)
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=provide, args=(tmp_path,)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join(timeout=DEADLINE_S)
        assert each.exitcode == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [kafka_jars.name]
    found = sorted(path.name for path in (tmp_path / kafka_jars.name).iterdir())
    assert found == sorted(jar.file_name for jar in read_lock())


def test_a_jar_with_other_content_than_locked_is_never_used(tmp_path: Path, kafka_jars: Path) -> None:
    jar = read_lock()[-1]
    other = Jar(jar.group, jar.artifact, jar.version, sha256="0" * 64)
    lock_file = tmp_path / "jars.lock"
    lock_file.write_text(f"{other.group}:{other.artifact}:{other.version} {other.sha256}\n")
    prime_downloads(tmp_path, [jar], kafka_jars)
    with pytest.raises(EmbeddedServerError, match="could not be downloaded"):
        provide_kafka_jars(tmp_path, progress=print, lock_file=lock_file)
    assert not [path for path in tmp_path.rglob("*.jar") if path.parent.name.startswith("kafka-")]
