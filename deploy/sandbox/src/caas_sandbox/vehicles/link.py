"""The vehicles' link to the broker: one persistent MQTT connection that carries all of them.

Invariant: an answer counts as sent only when the broker confirmed it, so a lost connection or a
killed process sends it again instead of losing it.
"""

import asyncio
import logging
import time

import aiomqtt

from caas_sandbox.vehicles.fleet import BATCH, Departure, Fleet, Publication
from caas_sandbox.vehicles.messages import COMMANDS_FILTER, is_commands_topic

# How long a late answer or a delayed result may wait beyond its time when no command arrives.
_TICK_S = 0.1
# Commands that arrive within this time share one transaction and one round of sending.
_GATHER_S = 0.002
# Configurations are reported when no answer waits, and at least this often in a steady stream.
_REPORT_AT_LEAST_EVERY_S = 1.0
_RECONNECT_AFTER_S = 0.2
_KEEPALIVE_S = 30
_QOS_AT_LEAST_ONCE = 1
_QUIET = logging.getLogger("caas_sandbox.vehicles.mqtt")


class Link:
    """Connects, listens and sends until cancelled; connects again whenever the broker went away."""

    def __init__(self, fleet: Fleet, host: str, port: int, client_id: str) -> None:
        self.connected = asyncio.Event()
        self._fleet = fleet
        self._host = host
        self._port = port
        self._client_id = client_id
        self._deliveries: list[tuple[str, bytes]] = []
        self._work = asyncio.Event()
        self._reported_s = 0.0
        # paho logs every packet and aiomqtt warns of more than ten sendings under way, which is the plan.
        _QUIET.setLevel(logging.ERROR)

    def wake(self) -> None:
        """Looks at once for something to send."""
        self._work.set()

    async def run(self) -> None:
        """Keeps the link up; a bug in the vehicles ends it, a broker that is away does not."""
        while True:
            try:
                await self._run_connected()
            except* aiomqtt.MqttError:
                self.connected.clear()
            await asyncio.sleep(_RECONNECT_AFTER_S)

    async def _run_connected(self) -> None:
        client = aiomqtt.Client(
            self._host,
            self._port,
            identifier=self._client_id,
            clean_session=False,
            keepalive=_KEEPALIVE_S,
            # A whole round is under way at once; paho's own limit of 20 would serialize it.
            max_inflight_messages=10 * BATCH,
            logger=_QUIET,
        )
        async with client:
            await client.subscribe(COMMANDS_FILTER, qos=_QOS_AT_LEAST_ONCE)
            self.connected.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(client))
                tasks.create_task(self._answer(client))

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic = message.topic.value
            if is_commands_topic(topic) and isinstance(message.payload, bytes):
                self._deliveries.append((topic, message.payload))
                self._work.set()

    async def _answer(self, client: aiomqtt.Client) -> None:
        while True:
            await self._wait_for_work()
            await self.run_once(client)

    async def _wait_for_work(self) -> None:
        due_s = self._fleet.books.next_due_s()
        try:
            async with asyncio.timeout(_TICK_S if due_s is None else min(due_s, _TICK_S)):
                await self._work.wait()
        except TimeoutError:
            return
        self._work.clear()
        await asyncio.sleep(_GATHER_S)

    async def run_once(self, client: aiomqtt.Client) -> None:
        """Handles what was delivered, sends the answers, and reports configurations when there is time."""
        deliveries, self._deliveries = self._deliveries[:BATCH], self._deliveries[BATCH:]
        self._fleet.handle(deliveries)
        answers = self._fleet.answers()
        await self._send(client, answers)
        now_s = time.monotonic()
        if not answers.publications or now_s - self._reported_s > _REPORT_AT_LEAST_EVERY_S:
            await self._send(client, self._fleet.reports())
            self._reported_s = now_s
        if self._deliveries:
            self._work.set()

    async def _send(self, client: aiomqtt.Client, departure: Departure) -> None:
        if not departure.publications:
            return
        # More than a batch may be waiting, for instance after the broker was away.
        self._work.set()
        sent_ns = time.time_ns()
        # Started in order, so the one connection carries them in order.
        await asyncio.gather(*(_publish(client, publication) for publication in departure.publications))
        self._fleet.has_left(departure, sent_ns)


async def _publish(client: aiomqtt.Client, publication: Publication) -> None:
    await client.publish(publication.topic, publication.payload, qos=_QOS_AT_LEAST_ONCE, retain=publication.retain)
