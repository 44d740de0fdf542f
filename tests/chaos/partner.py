"""Another system that asks over the broker: CloudEvents without a sequence, as anybody may send them."""

from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from uuid import UUID

from aiokafka import AIOKafkaProducer

from caas_chassis.ids import new_id
from caas_contracts import Envelope, Message
from caas_contracts.envelope import rfc3339
from caas_contracts.money import Money
from caas_contracts.orders import CancelPurchase, PlacePurchase, PurchaseKind
from caas_contracts.payments import QueryPaymentStatus, RefundPayment
from caas_local.demo.scenarios import Sale


class Partner:
    """Sends commands to the services' command topics."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all")

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def place(self, sale: Sale, service_code: str) -> UUID:
        """Buy another service for the car of a sale; returns the purchase's id."""
        purchase_id = new_id()
        command = PlacePurchase(
            purchase_id=purchase_id,
            customer_id=sale.customer_id,
            vehicle_id=sale.vehicle_id,
            service_code=service_code,
            kind=PurchaseKind.TEMPORARY,
            duration_days=30,
            payment_method="tok_approved",
            immediate_performance_consent=True,
            requested_at=datetime.now(UTC),
        )
        await self.send(command)
        return purchase_id

    async def cancel(self, purchase_id: UUID, sale: Sale) -> None:
        """Give a purchase up."""
        command = CancelPurchase(
            purchase_id=purchase_id,
            customer_id=sale.customer_id,
            reason="changed_mind",
            requested_at=datetime.now(UTC),
        )
        await self.send(command)

    async def refund(self, payment_id: UUID, amount_minor: int) -> None:
        """Have captured money given back."""
        amount = Money(amount_minor=amount_minor, currency="EUR")
        command = RefundPayment(
            payment_id=payment_id, refund_id=new_id(), amount=amount, reason="goodwill", requested_at=datetime.now(UTC)
        )
        await self.send(command)

    async def query(self, payment_id: UUID) -> None:
        """Ask where a payment stands."""
        command = QueryPaymentStatus(payment_id=payment_id, query_id=new_id(), requested_at=datetime.now(UTC))
        await self.send(command)

    async def send(self, message: Message) -> None:
        """Send a message twice, as an at-least-once sender may."""
        name = str(new_id())
        envelope = Envelope(name, "partners", message.TYPE, rfc3339(datetime.now(UTC)), message.key, name, "")
        for _ in range(2):
            await self._producer.send_and_wait(
                message.TOPIC.name, message.to_json(), key=message.key.encode(), headers=envelope.to_headers()
            )
