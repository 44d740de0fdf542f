"""The MQTT session with the IoT gateway: commands out, acknowledgements in, for as long as the service runs.

Invariant: a message is confirmed to the broker only once it is stored, so a crash makes the broker
deliver it again instead of losing it.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Final

import aiomqtt
import structlog

from caas_chassis.cards import REMOVED, holds_card_data_in, redact_card_data
from caas_ota.gateway.messages import ACKNOWLEDGEMENTS, REPORTS, Inbound, VehicleCommand
from caas_ota.gateway.vehicles import Publication, Receive, SetAside

BATCH: Final = 500
# Waiting longer for the broker's confirmation than a reconnection takes gains nothing.
PUBLISH_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 30
STOP_TIMEOUT_S: Final = 10.0
# paho's own limit of 20 under way would make a round of commands wait for each other.
MAX_IN_FLIGHT: Final = 1000
TRIES_OF_ONE: Final = 4
_BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_AT_LEAST_ONCE: Final = 1
_AT_MOST_ONCE: Final = 0

_log = structlog.get_logger(__name__)
_mqtt_log = logging.getLogger("caas_ota.mqtt")


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is and who we are to it. With `shared_group`, replicas share the acknowledgements."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = None
    tls: bool = False
    shared_group: str | None = None

    @property
    def acknowledgements(self) -> str:
        """The subscription for what vehicles answer."""
        return f"$share/{self.shared_group}/{ACKNOWLEDGEMENTS}" if self.shared_group else ACKNOWLEDGEMENTS


class VehicleLink:
    """One persistent session, connected again whenever it is lost."""

    name = "vehicles"

    def __init__(
        self, address: BrokerAddress, receive: Receive, set_aside: SetAside, now: Callable[[], datetime]
    ) -> None:
        """`receive` stores a batch in one transaction; `set_aside` keeps one that `receive` cannot process."""
        self._address = address
        self._receive = receive
        self._set_aside = set_aside
        self._now = now
        self._session: _Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._failures = 0

    @property
    def healthy(self) -> bool:
        """Whether the session is connected."""
        return self._session is not None

    async def start(self) -> None:
        """Connect in the background, now or when the broker is there."""
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Leave the broker; it keeps what arrives meanwhile."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=STOP_TIMEOUT_S)

    async def publish(self, commands: Sequence[VehicleCommand]) -> Publication:
        """Send the commands and wait for the broker's confirmations, at most 10 s."""
        session = self._session
        if session is None:
            return Publication(frozenset())
        results = await asyncio.gather(*(_publish(session, command) for command in commands))
        confirmed = [command.command_id for command, taken in zip(commands, results, strict=True) if taken]
        return Publication(frozenset(confirmed))

    async def _run(self) -> None:
        """Keep the session up. Whatever ends it, it is tried again: a dead link would look like silent vehicles."""
        while True:
            failure = await _failure_of(self._connect_and_listen())
            pause = _BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)]
            self._failures += 1
            if isinstance(failure, aiomqtt.MqttError):
                _log.warning("vehicles_disconnected", error=str(failure), again_in_s=pause)
            else:
                _log.error("vehicles_link_failed", again_in_s=pause, exc_info=failure)
            await asyncio.sleep(pause)

    async def _connect_and_listen(self) -> None:
        try:
            async with _Session(self._address) as session:
                await session.subscribe_all(self._address)
                self._session = session
                self._failures = 0
                _log.info("vehicles_connected", host=self._address.host, port=self._address.port)
                await self._listen(session)
        finally:
            self._session = None

    async def _listen(self, session: "_Session") -> None:
        messages = session.messages
        while True:
            batch = [await anext(messages)]
            while len(batch) < BATCH and len(messages):
                batch.append(await anext(messages))
            await self._store([self._inbound(message) for message in batch])
            for message in batch:
                session.confirm(message)

    def _inbound(self, message: aiomqtt.Message) -> Inbound:
        """What arrived; of a message with card data nothing but that it came, and where (GW-6)."""
        topic, payload = redact_card_data(message.topic.value), bytes(message.payload)
        return Inbound(topic, REMOVED.encode() if holds_card_data_in(payload) else payload, self._now())

    async def _store(self, batch: Sequence[Inbound]) -> None:
        """Store a batch; when that fails, one by one, so that one bad message costs the others a second try."""
        failure = await _failure_of(self._receive(batch))
        if failure is not None:
            _log.error("acknowledgements_failed", size=len(batch), exc_info=failure)
            for message in batch:
                await self._store_one(message)

    async def _store_one(self, message: Inbound) -> None:
        """Store one message, whatever it takes: the database may be away for long."""
        for failures in count():
            keep = self._set_aside(message) if failures >= TRIES_OF_ONE else self._receive([message])
            failure = await _failure_of(keep)
            if failure is None:
                return
            pause = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
            _log.error("acknowledgement_failed", topic=message.topic, again_in_s=pause, exc_info=failure)
            await asyncio.sleep(pause)


class _Session(aiomqtt.Client):
    """A connection whose incoming messages are confirmed by us, not by their mere arrival."""

    def __init__(self, address: BrokerAddress) -> None:
        super().__init__(
            address.host,
            address.port,
            identifier=address.client_id,
            username=address.username,
            password=address.password,
            tls_context=ssl.create_default_context() if address.tls else None,
            clean_session=False,
            keepalive=KEEPALIVE_S,
            timeout=CONNECT_TIMEOUT_S,
            max_inflight_messages=MAX_IN_FLIGHT,
            logger=_mqtt_log,
        )
        self.pending_calls_threshold = 2 * MAX_IN_FLIGHT
        self._client.manual_ack_set(True)

    async def subscribe_all(self, address: BrokerAddress) -> None:
        """Everything that vehicles say. Reports are retained and prove nothing: once at most will do."""
        await self.subscribe(address.acknowledgements, qos=_AT_LEAST_ONCE)
        await self.subscribe(REPORTS, qos=_AT_MOST_ONCE)

    def confirm(self, message: aiomqtt.Message) -> None:
        """Tell the broker that we have it."""
        if message.qos:
            self._client.ack(message.mid, message.qos)


async def _publish(session: _Session, command: VehicleCommand) -> bool:
    with contextlib.suppress(aiomqtt.MqttError):
        body = command.model_dump_json()
        await session.publish(command.topic, body, qos=_AT_LEAST_ONCE, timeout=PUBLISH_TIMEOUT_S)
        return True
    return False


async def _failure_of(work: Awaitable[None]) -> BaseException | None:
    """How the work failed, or None; being cancelled is no failure of the work."""
    (outcome,) = await asyncio.gather(work, return_exceptions=True)
    return outcome
