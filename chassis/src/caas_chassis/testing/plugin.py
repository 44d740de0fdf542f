"""pytest fixtures with real servers: PostgreSQL, Apache Kafka, and both in containers.

Owns every server it starts: each is ended with the session, and also when the session is killed.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from caas_chassis.embedded import EmbeddedKafka, EmbeddedPostgres, EmbeddedServerError
from caas_chassis.embedded.kafka import DEFAULT_CACHE_DIR
from caas_chassis.embedded.kafka_jars import provide_kafka_jars
from caas_chassis.embedded.server import EmbeddedServer, Progress
from caas_chassis.testing.containers import (
    ApacheKafkaContainer,
    Postgres18Container,
    containers_required,
    docker_problem,
)
from caas_chassis.testing.databases import DatabaseTemplates, Migrate

POSTGRES_URL_VARIABLE = "CAAS_TEST_POSTGRES_URL"
KAFKA_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"

# A test's process may be killed, which these survive; the machine's power is not part of a test.
FAST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}

MakeDatabase = Callable[[str, Migrate], Awaitable[str]]
StartKafka = Callable[[], EmbeddedKafka]
StartPostgres = Callable[[], EmbeddedPostgres]


@dataclass(frozen=True, slots=True)
class BrokerContainers:
    """The addresses of a Kafka and a PostgreSQL that run in containers."""

    bootstrap_servers: str
    postgres_url: str


def pytest_collection_finish(session: pytest.Session) -> None:
    """Download Kafka before the first test: a first use may take longer than a test may."""
    needed = {"kafka_bootstrap", "start_kafka"}
    wanted = any(needed & set(getattr(item, "fixturenames", ())) for item in session.items)
    if not wanted or session.config.option.collectonly or os.environ.get(KAFKA_VARIABLE):
        return
    say = _say(session.config)
    try:
        provide_kafka_jars(_jar_cache(session.config), progress=say)
    except EmbeddedServerError as error:
        # The tests that need Kafka fail with this message; the others can still be run.
        say(str(error))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server in which databases may be created."""
    given = os.environ.get(POSTGRES_URL_VARIABLE)
    if given:
        yield given
        return
    with _state_dir("postgres") as folder:
        server = EmbeddedPostgres(folder, settings=FAST_SETTINGS)
        yield from _served(server, server.url)


@pytest.fixture(scope="session")
def kafka_bootstrap(pytestconfig: pytest.Config) -> Iterator[str]:
    """The `host:port` of an Apache Kafka broker that all tests of the session share."""
    given = os.environ.get(KAFKA_VARIABLE)
    if given:
        yield given
        return
    with _state_dir("kafka") as folder:
        broker = EmbeddedKafka(folder, cache_dir=_jar_cache(pytestconfig), progress=_say(pytestconfig))
        yield from _served(broker, lambda: broker.bootstrap_servers)


@pytest.fixture
def start_kafka(pytestconfig: pytest.Config) -> Iterator[StartKafka]:
    """Start brokers of the test's own, which it may stop, kill and start again."""
    with ExitStack() as stack:

        def start() -> EmbeddedKafka:
            folder = stack.enter_context(_state_dir("kafka"))
            return _owned(stack, EmbeddedKafka(folder, cache_dir=_jar_cache(pytestconfig)))

        yield start


@pytest.fixture
def start_postgres() -> Iterator[StartPostgres]:
    """Start PostgreSQL servers of the test's own, which it may stop, kill and start again."""
    with ExitStack() as stack:

        def start() -> EmbeddedPostgres:
            folder = stack.enter_context(_state_dir("postgres"))
            return _owned(stack, EmbeddedPostgres(folder, settings=FAST_SETTINGS))

        yield start


@pytest.fixture(scope="session")
def database_templates(postgres_server: str) -> Iterator[DatabaseTemplates]:
    """The session's migrated templates; tests want `make_database`."""
    templates = DatabaseTemplates(postgres_server)
    yield templates
    asyncio.run(templates.drop_all())


@pytest_asyncio.fixture(loop_scope="function")
async def make_database(database_templates: DatabaseTemplates) -> AsyncIterator[MakeDatabase]:
    """`await make_database("payments", migrate)`: the URL of a fresh, migrated database.

    `migrate` is awaited with a URL, once per template name and session; each call clones what it
    left. The clones are dropped after the test, whatever is still connected to them.
    """
    made: list[str] = []

    async def make(template: str, migrate: Migrate) -> str:
        url = await database_templates.clone(template, migrate)
        made.append(url)
        return url

    yield make
    for url in made:
        await database_templates.drop_clone(url)


@pytest.fixture(scope="session")
def containers_available() -> None:
    """Skip where Docker does not answer; fail instead where CI promises that it does."""
    problem = docker_problem()
    if problem and containers_required():
        pytest.fail(f"containers are required here: {problem}")
    if problem:
        pytest.skip(problem)


@pytest.fixture(scope="session")
def broker_containers(containers_available: None) -> Iterator[BrokerContainers]:
    """Apache Kafka and PostgreSQL in containers of the public images."""
    with ApacheKafkaContainer() as kafka, Postgres18Container() as postgres:
        yield BrokerContainers(bootstrap_servers=kafka.bootstrap_servers, postgres_url=postgres.url)


def _served(server: EmbeddedServer, address: Callable[[], str]) -> Iterator[str]:
    with ExitStack() as stack:
        _owned(stack, server)
        yield address()


def _owned[S: EmbeddedServer](stack: ExitStack, server: S) -> S:
    """Start `server` now and end it with the stack, or with this process, whichever comes first."""
    stack.callback(server.stop)
    server.start(end_with_parent=True)
    return server


@contextmanager
def _state_dir(name: str) -> Iterator[Path]:
    """A folder outside pytest's own, whose permissions pytest narrows while the server runs."""
    with tempfile.TemporaryDirectory(prefix=f"caas-{name}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _jar_cache(config: pytest.Config) -> Path:
    return config.rootpath / DEFAULT_CACHE_DIR


def _say(config: pytest.Config) -> Progress:
    """Progress lines on the terminal, past the capture of the running test."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")

    def say(message: str) -> None:
        if reporter is not None and capture is not None:
            with capture.global_and_fixture_disabled():
                reporter.write_line(f"[servers] {message}")

    return say
