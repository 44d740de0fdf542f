"""Builders of what vehicle orders meet: wishes, facts of payments, events of the factory, and played partners."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.money import Money
from caas_contracts.payments import (
    ChargePayment,
    PaymentAbandoned,
    PaymentConfirmed,
    PaymentFailed,
    PaymentPurpose,
    PaymentSettlementFailed,
    SettlementStage,
)
from caas_orders.domain.factory_event import Arrived, Built, EstimateChanged, FactoryEvent, FactoryFact
from caas_orders.domain.refusal import Refusal
from caas_orders.domain.registration import Customer, Language
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.domain.stock import StockVehicle
from caas_orders.domain.vehicle_order import VehicleOrder
from caas_orders.gateway.supply import (
    FactoryAccepted,
    FactoryAnswer,
    FactoryOrder,
    RegistrationAnswer,
    RegistrationGranted,
    RegistrationRequest,
    Suppliers,
    TransportAnswer,
    TransportBooked,
    TransportBooking,
)
from caas_orders.handlers.order_paying import RestWish, pay_rest
from caas_orders.handlers.reserving import Configuration, ReservationWish, reserve
from caas_orders.handlers.supplying import apply_factory_events
from caas_orders.store import stock, vehicle_orders
from services.orders.tests.builders import NOW, a_customer

POLICY = SalesPolicy()
VIN = "WCAAS0NE5T0000001"
CONFIGURATION = Configuration("caas-one", ("seat-heating", "metallic-paint"), "madrid-norte")
TOTAL = Money(amount_minor=2_899_000 + 35_000 + 65_000, currency="EUR")
RESERVATION = Money(amount_minor=100_000, currency="EUR")
DUE = Money(amount_minor=2_899_000, currency="EUR")
DAY = date(2027, 1, 18)


class PlayedSuppliers:
    """Factory, administration and transport: they give the answers they were told to, then the usual ones."""

    def __init__(self) -> None:
        self.factory_answers: list[FactoryAnswer] = []
        self.registration_answers: list[RegistrationAnswer] = []
        self.transport_answers: list[TransportAnswer] = []
        self.orders: list[FactoryOrder] = []
        self.registrations: list[RegistrationRequest] = []
        self.bookings: list[TransportBooking] = []

    @property
    def suppliers(self) -> Suppliers:
        return Suppliers(self, self, self)

    async def order(self, order: FactoryOrder) -> FactoryAnswer:
        self.orders.append(order)
        accepted = FactoryAccepted(f"fo-{order.order_id}", DAY)
        return self.factory_answers.pop(0) if self.factory_answers else accepted

    async def register(self, request: RegistrationRequest) -> RegistrationAnswer:
        self.registrations.append(request)
        granted = RegistrationGranted(f"reg-{request.reference}", "1234 MRT")
        return self.registration_answers.pop(0) if self.registration_answers else granted

    async def book(self, booking: TransportBooking) -> TransportAnswer:
        self.bookings.append(booking)
        booked = TransportBooked(f"tb-{booking.order_id}", DAY)
        return self.transport_answers.pop(0) if self.transport_answers else booked


def a_wish(
    vehicle: Configuration | str = CONFIGURATION,
    customer_id: str = "cus-1",
    language: Language = Language.SPANISH,
    customer: Customer | None = None,
) -> ReservationWish:
    return ReservationWish(
        order_id=new_id(),
        payment_id=new_id(),
        customer_id=customer_id,
        customer=customer or a_customer(customer_id, language),
        vehicle=vehicle,
        payment_method="tok_approved",
    )


async def reserving(harness: Harness, wish: ReservationWish | None = None) -> VehicleOrder:
    """An order whose reservation is being paid."""
    async with harness.transaction() as tx:
        outcome = await reserve(wish or a_wish(), POLICY, tx=tx)
    assert isinstance(outcome, VehicleOrder), outcome
    return outcome


async def reserved(harness: Harness, wish: ReservationWish | None = None) -> VehicleOrder:
    """An order whose reservation is paid; the partners have not been called yet."""
    order = await reserving(harness, wish)
    await harness.receive(confirmed(await charge_of(harness, order)))
    return await order_of(harness, order.order_id)


async def ready(harness: Harness, wish: ReservationWish | None = None, vin: str = VIN) -> VehicleOrder:
    """An order whose vehicle is at the dealership."""
    order = await reserved(harness, wish)
    await tell(harness, factory_event(order, Arrived(vin)))
    return await order_of(harness, order.order_id)


async def paying(harness: Harness, order: VehicleOrder) -> VehicleOrder:
    """The same order with its final payment under way."""
    async with harness.transaction() as tx:
        outcome = await pay_rest(a_payment(order), POLICY, tx=tx)
    assert isinstance(outcome, VehicleOrder), outcome
    return outcome


async def forfeited(harness: Harness, wish: ReservationWish | None = None, vin: str = VIN) -> VehicleOrder:
    """An order that was lost; its vehicle is in stock."""
    order = await paying(harness, await ready(harness, wish, vin))
    await harness.receive(declined(await charge_of(harness, order)))
    return await order_of(harness, order.order_id)


def a_payment(order: VehicleOrder, offered: Money | None = None, customer_id: str = "") -> RestWish:
    return RestWish(order.order_id, new_id(), customer_id or order.customer_id, offered, "tok_approved")


async def try_to_pay(harness: Harness, wish: RestWish) -> VehicleOrder | Refusal:
    async with harness.transaction() as tx:
        return await pay_rest(wish, POLICY, tx=tx)


async def tell(harness: Harness, *events: FactoryEvent) -> list[FactoryEvent]:
    """Apply factory events as the webhook route does."""
    async with harness.transaction("partner:factory") as tx:
        return await apply_factory_events(events, tx=tx, policy=POLICY)


async def order_of(harness: Harness, order_id: UUID) -> VehicleOrder:
    async with harness.transaction() as tx:
        return (await vehicle_orders.read([order_id], tx=tx))[order_id]


async def vehicle_of(harness: Harness, vehicle_id: str = VIN) -> StockVehicle:
    async with harness.transaction() as tx:
        return (await stock.lock([vehicle_id], tx=tx))[vehicle_id]


async def history_of(harness: Harness, vehicle_id: str = VIN) -> Sequence[tuple[str, UUID | None, str]]:
    async with harness.transaction() as tx:
        found = await stock.assignments(vehicle_id, tx=tx)
    return [(one.status.value, one.order_id, one.reason) for one in found]


async def charges(harness: Harness, purpose: PaymentPurpose | None = None) -> list[ChargePayment]:
    asked = await harness.published(ChargePayment)
    return [one for one in asked if purpose in (None, one.purpose)]


async def charge_of(harness: Harness, order: VehicleOrder) -> ChargePayment:
    """The newest charge of an order."""
    return [one for one in await charges(harness) if one.subject_id == order.order_id][-1]


def confirmed(charge: ChargePayment, amount: Money | None = None) -> PaymentConfirmed:
    return PaymentConfirmed(
        payment_id=charge.payment_id,
        purpose=PaymentPurpose(charge.purpose),
        customer_id=charge.customer_id,
        subject_id=charge.subject_id,
        amount=amount or charge.amount,
        occurred_at=NOW,
        gateway_transaction_id="txn_1",
    )


def declined(charge: ChargePayment, reason: str = "card_declined") -> PaymentFailed:
    return PaymentFailed(
        payment_id=charge.payment_id,
        purpose=PaymentPurpose(charge.purpose),
        customer_id=charge.customer_id,
        subject_id=charge.subject_id,
        amount=charge.amount,
        occurred_at=NOW,
        reason=reason,
        customer_may_retry=True,
    )


def abandoned(charge: ChargePayment) -> PaymentAbandoned:
    return PaymentAbandoned(
        payment_id=charge.payment_id,
        purpose=PaymentPurpose(charge.purpose),
        customer_id=charge.customer_id,
        subject_id=charge.subject_id,
        amount=charge.amount,
        occurred_at=NOW,
        reason="gateway_unreachable",
    )


def unsettled(charge: ChargePayment) -> PaymentSettlementFailed:
    return PaymentSettlementFailed(
        payment_id=charge.payment_id,
        purpose=PaymentPurpose(charge.purpose),
        customer_id=charge.customer_id,
        subject_id=charge.subject_id,
        amount=charge.amount,
        occurred_at=NOW,
        stage=SettlementStage.SETTLEMENT,
        lost=charge.amount,
        reason="bank_returned",
    )


def factory_event(order: VehicleOrder, fact: FactoryFact, occurred_at: datetime = NOW) -> FactoryEvent:
    return FactoryEvent(
        event_id=f"evt-{new_id()}",
        order_id=order.order_id,
        factory_order_id=order.factory_order_id or f"fo-{order.order_id}",
        occurred_at=occurred_at,
        fact=fact,
    )


def every_factory_event(order: VehicleOrder, vin: str = VIN) -> list[FactoryEvent]:
    """A whole manufacture, in the order in which it happened."""
    facts: list[FactoryFact] = [
        EstimateChanged(DAY),
        EstimateChanged(DAY + timedelta(days=9)),
        Built(vin),
        Arrived(vin),
    ]
    return [factory_event(order, fact, NOW + timedelta(days=number)) for number, fact in enumerate(facts)]
