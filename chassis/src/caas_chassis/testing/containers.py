"""The same Kafka and PostgreSQL in containers, for the tests that say so.

Every wait has a deadline. `CAAS_REQUIRE_CONTAINERS=1` (set by CI) turns a Docker that does not
answer from a reason to skip into a failure.
"""

import os
from datetime import timedelta
from typing import Final

import docker
import docker.errors
import requests
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import ExecWaitStrategy, LogMessageWaitStrategy

from caas_chassis.embedded.kafka_jars import KAFKA_VERSION
from caas_chassis.embedded.ports import LOOPBACK, free_port

KAFKA_IMAGE: Final = f"apache/kafka:{KAFKA_VERSION}"
POSTGRES_IMAGE: Final = "postgres:18"
DOCKER_ANSWER_TIMEOUT_S: Final = 10
# A first use may pull the image's start-up from a cold disk on a loaded machine.
START_TIMEOUT: Final = timedelta(seconds=120)

CLIENT_PORT: Final = 9092
CONTROLLER_PORT: Final = 9093


def docker_problem() -> str | None:
    """Why containers cannot be used here, or None when Docker answers."""
    try:
        client = docker.from_env(timeout=DOCKER_ANSWER_TIMEOUT_S)
        try:
            client.ping()
        finally:
            client.close()
    except (docker.errors.DockerException, requests.RequestException) as error:
        return f"Docker does not answer: {error}"
    return None


def containers_required() -> bool:
    """Whether a missing Docker is a failure here rather than a reason to skip."""
    return os.environ.get("CAAS_REQUIRE_CONTAINERS") == "1"


class ApacheKafkaContainer(DockerContainer):
    """One KRaft node of the image `apache/kafka`, reachable under the address it advertises.

    A broker tells its clients where it is, so the host port is chosen before the container starts.
    """

    def __init__(self, image: str = KAFKA_IMAGE) -> None:
        super().__init__(image)
        self._host_port = free_port()
        self.with_bind_ports(CLIENT_PORT, self._host_port)
        self.with_envs(**self._settings())
        self.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(START_TIMEOUT))

    @property
    def bootstrap_servers(self) -> str:
        """What clients on this machine connect to, as `host:port`."""
        return f"{LOOPBACK}:{self._host_port}"

    def _settings(self) -> dict[str, str]:
        return {
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_NODE_ID": "1",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@localhost:{CONTROLLER_PORT}",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "KAFKA_LISTENERS": f"PLAINTEXT://0.0.0.0:{CLIENT_PORT},CONTROLLER://localhost:{CONTROLLER_PORT}",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{LOOPBACK}:{self._host_port}",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        }


class Postgres18Container(PostgresContainer):
    """PostgreSQL 18, ready when a query over TCP is answered."""

    def __init__(self, image: str = POSTGRES_IMAGE) -> None:
        super().__init__(image, username="postgres", password="postgres", dbname="postgres", driver=None)

    @property
    def url(self) -> str:
        """The address of the server's first database, for a role that may create others."""
        return str(self.get_connection_url())

    def _connect(self) -> None:
        # The image's first start runs a temporary server that listens on a Unix socket only, so
        # asking over TCP cannot meet that one.
        asking = [
            "psql",
            f"postgresql://{self.username}:{self.password}@127.0.0.1/{self.dbname}",
            "-c",
            "SELECT 1",
        ]
        ExecWaitStrategy(asking).with_startup_timeout(START_TIMEOUT).wait_until_ready(self)
