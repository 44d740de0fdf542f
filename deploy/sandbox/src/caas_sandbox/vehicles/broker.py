"""The embedded MQTT 3.1.1 broker: amqtt, made to keep what MQTT promises a persistent session.

Invariant: a QoS 1 message for a subscribed persistent session is delivered, now or when the client
comes back, for as long as this process lives. Sessions and retained messages die with the process;
an outside broker (Mosquitto) keeps them.
"""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field

from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType
from amqtt.mqtt.constants import QOS_1
from amqtt.mqtt.disconnect import DisconnectPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import (
    OUTGOING,
    ApplicationMessage,
    IncomingApplicationMessage,
    OutgoingApplicationMessage,
    Session,
)

from caas_sandbox.serving import LOOPBACK


class EveryPeer(BaseAuthPlugin):
    """Accepts every client, since only loopback is served.

    amqtt's own anonymous plugin marks the session anonymous, and the broker then neither queues for
    it nor keeps it longer than a second after it disconnects.
    """

    async def authenticate(self, *, session: Session) -> bool:
        """Always true, and the session keeps its standing."""
        return session is not None


class KeepingHandler(BrokerProtocolHandler):
    """One connection; hands a message back to the broker when the client did not confirm it.

    amqtt forgets a message whose connection drops, or whose PUBACK takes more than 5 s.
    """

    broker: "KeepingBroker"

    async def _handle_qos1_message_flow(
        self, app_message: OutgoingApplicationMessage | IncomingApplicationMessage
    ) -> None:
        session = self.session
        try:
            await super()._handle_qos1_message_flow(app_message)
        finally:
            confirmed = app_message.puback_packet is not None
            if app_message.direction == OUTGOING and not confirmed and session is not None:
                self.broker.deliver_again(session, app_message, self)

    async def _retry_deliveries(self) -> None:
        # What the last connection did not confirm is back with the broker and may already be on its way
        # over this one; amqtt would send the same again.
        return


@dataclass(eq=False)
class _Redelivery:
    """The tasks that send unconfirmed messages again; kept so that none is collected while it runs."""

    running: set[asyncio.Task[OutgoingApplicationMessage]] = field(default_factory=set)

    def start(self, handler: BrokerProtocolHandler, message: ApplicationMessage) -> None:
        task = asyncio.ensure_future(handler.mqtt_publish(message.topic, message.data or b"", QOS_1, retain=False))
        self.running.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[OutgoingApplicationMessage]) -> None:
        self.running.discard(task)
        if not task.cancelled():
            # A failure has already put the message back; reading it keeps asyncio from reporting it.
            task.exception()


class KeepingBroker(Broker):
    """amqtt's broker with persistent sessions that survive a lost connection and a take-over."""

    def __init__(self, config: BrokerConfig) -> None:
        super().__init__(config)
        self._redelivery = _Redelivery()

    def deliver_again(self, session: Session, message: ApplicationMessage, handler: BrokerProtocolHandler) -> None:
        """Sends an unconfirmed message over the session's current connection, or keeps it for the next."""
        if session.clean_session:
            return
        current = self._get_handler(session)
        connected = session.transitions.state == "connected"
        if connected and current is not None and (current is not handler or not _is_stopping(handler)):
            self._redelivery.start(current, message)
        else:
            session.retained_messages.put_nowait(message)

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        _, session = await super()._initialize_client_session(reader, writer, remote_address, remote_port)
        handler = KeepingHandler(self.plugins_manager)
        handler.broker = self
        return handler, session

    async def _handle_disconnect(
        self,
        client_session: Session,
        handler: BrokerProtocolHandler,
        disconnect_waiter: "asyncio.Future[DisconnectPacket | None]",
    ) -> None:
        # After a take-over the session belongs to the new connection: the end of the old one must
        # not mark it disconnected, or nothing would reach the client until it connects once more.
        if self._get_handler(client_session) is handler:
            await super()._handle_disconnect(client_session, handler, disconnect_waiter)

    async def _handle_message_delivery(
        self,
        client_session: Session,
        handler: BrokerProtocolHandler,
        wait_deliver: "asyncio.Future[ApplicationMessage | None]",
    ) -> bool:
        # amqtt takes one message in each round of the event loop, here and below, so a busy process
        # carries a few hundred a second. What is there already goes at once.
        going_on: bool = await super()._handle_message_delivery(client_session, handler, wait_deliver)
        arrived = client_session.delivered_message_queue
        while going_on and not arrived.empty():
            next_one: asyncio.Future[ApplicationMessage | None] = asyncio.Future()
            next_one.set_result(arrived.get_nowait())
            going_on = await super()._handle_message_delivery(client_session, handler, next_one)
        return going_on

    async def _run_broadcast(self, running_tasks: "deque[asyncio.Task[OutgoingApplicationMessage]]") -> None:
        await super()._run_broadcast(running_tasks)
        while not self._broadcast_queue.empty():
            await super()._run_broadcast(running_tasks)

    async def _publish_session_retained_messages(self, session: Session) -> None:
        # MQTT 3.3.1-9: what was queued for the session is not a retained message, so the flag is off.
        handler = self._get_handler(session)
        while handler is not None and not session.retained_messages.empty():
            self._redelivery.start(handler, session.retained_messages.get_nowait())

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        # amqtt sends a returning client the retained messages of everybody's filters.
        own = self.subscriptions.get(subscription[0], [])
        if any(subscriber.client_id == session.client_id for subscriber, _ in own):
            await super()._publish_retained_messages_for_subscription(subscription, session)


def _is_stopping(handler: BrokerProtocolHandler) -> bool:
    reader = handler._reader_task
    return reader is None or reader.done() or handler._disconnect_waiter is None


async def start_broker(port: int) -> KeepingBroker:
    """A running broker on `port` of the loopback address; the caller shuts it down."""
    # amqtt logs several lines for every packet.
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    broker = KeepingBroker(
        BrokerConfig(
            listeners={"default": ListenerConfig(type=ListenerType.TCP, bind=f"{LOOPBACK}:{port}")},
            plugins={f"{EveryPeer.__module__}.{EveryPeer.__name__}": {}},
        )
    )
    await broker.start()
    return broker
