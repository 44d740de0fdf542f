"""What has happened to orders of vehicles, from the reservation to the delivery (RES, FIN), and to stock.

Amounts include VAT. Facts about an order are keyed by the order; facts about a vehicle on sale by the vehicle.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from caas_contracts.message import UUID, Code, Instant, Message, NoCardData
from caas_contracts.money import Money
from caas_contracts.topics import ORDERS_EVENTS

Vin = Annotated[
    str, Field(pattern=r"^[A-HJ-NPR-Z0-9]{17}$", description="vehicle identification number, ISO 3779"), NoCardData
]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="a calendar day in Europe/Madrid")]
Plates = Annotated[
    str, Field(min_length=1, max_length=16, pattern=r"^[A-Z0-9 -]+$", description="as issued"), NoCardData
]


class VehicleOrderEvent(Message):
    """What every fact about a vehicle order says."""

    TOPIC: ClassVar = ORDERS_EVENTS
    KEY: ClassVar[str] = "order_id"

    order_id: UUID
    customer_id: Code
    model: Code
    occurred_at: Instant


class VehicleOrderPlaced(VehicleOrderEvent):
    """A customer asked for a vehicle; its reservation is being paid. `vehicle_id` names a stock vehicle (RES-6).

    The final payment is `total` less `reservation` (FIN-1); the rate in `vat_rate_bp` is part of both.
    """

    TYPE: ClassVar[str] = "caas.orders.VehicleOrderPlaced.v1"

    model_name: Annotated[str, Field(max_length=200), NoCardData]
    options: list[Code]
    dealership: Code
    total: Money
    reservation: Money
    vat_rate_bp: Annotated[int, Field(ge=0, le=10_000, description="2100 is 21 %; the amounts include it")]
    reservation_payment_id: UUID
    vehicle_id: Code | None = None
    customer_name: Annotated[str, Field(max_length=200), NoCardData]
    customer_email: Annotated[str, Field(max_length=320), NoCardData]
    customer_tax_id: Annotated[str, Field(max_length=20, description="NIF or VAT number"), NoCardData] | None = None
    customer_language: Annotated[str, Field(pattern=r"^[a-z]{2}$", description="ISO 639-1")] = "es"


class VehicleOrderReserved(VehicleOrderEvent):
    """The reservation is paid (RES-2). It is part of the price and not refundable (RES-5)."""

    TYPE: ClassVar[str] = "caas.orders.VehicleOrderReserved.v1"

    payment_id: UUID
    reservation: Money


class VehicleOrderDeclined(VehicleOrderEvent):
    """The reservation was not paid: there is no order, and nothing was charged (RES-3)."""

    TYPE: ClassVar[str] = "caas.orders.VehicleOrderDeclined.v1"

    payment_id: UUID
    reason: Code


class VehicleOrdered(VehicleOrderEvent):
    """The factory has taken the order (RES-2)."""

    TYPE: ClassVar[str] = "caas.orders.VehicleOrdered.v1"

    factory_order_id: Code
    estimated_delivery_on: Day | None = None


class VehicleDeliveryEstimated(VehicleOrderEvent):
    """The factory expects another day of delivery than before."""

    TYPE: ClassVar[str] = "caas.orders.VehicleDeliveryEstimated.v1"

    estimated_delivery_on: Day


class VehicleBuilt(VehicleOrderEvent):
    """The vehicle exists and has its identification number, which is also its `vehicle_id` from now on."""

    TYPE: ClassVar[str] = "caas.orders.VehicleBuilt.v1"

    vin: Vin


class VehicleReady(VehicleOrderEvent):
    """The vehicle is at the dealership; the rest of its price is due (FIN-1) before `pay_before` (FIN-6)."""

    TYPE: ClassVar[str] = "caas.orders.VehicleReady.v1"

    vin: Vin
    amount_due: Money
    pay_before: Instant


class VehicleOrderPaid(VehicleOrderEvent):
    """The vehicle is paid in full (FIN-3): `amount` is the final payment, `total` that and the reservation."""

    TYPE: ClassVar[str] = "caas.orders.VehicleOrderPaid.v1"

    vin: Vin
    payment_id: UUID
    amount: Money
    reservation: Money
    total: Money


class VehicleOrderForfeited(VehicleOrderEvent):
    """The final payment was declined, or its deadline passed (FIN-4, FIN-6): the reservation stays with CaaS."""

    TYPE: ClassVar[str] = "caas.orders.VehicleOrderForfeited.v1"

    vin: Vin
    reservation_payment_id: UUID
    reservation: Money
    reason: Code = Field(description="the gateway's decline, or deadline_missed")


class VehicleRegisteredForTraffic(VehicleOrderEvent):
    """The administration has registered the vehicle and given it its plates (FIN-3)."""

    TYPE: ClassVar[str] = "caas.orders.VehicleRegisteredForTraffic.v1"

    vin: Vin
    plates: Plates


class VehicleDeliveryScheduled(VehicleOrderEvent):
    """Transport has the vehicle and says when it will arrive (FIN-3)."""

    TYPE: ClassVar[str] = "caas.orders.VehicleDeliveryScheduled.v1"

    vin: Vin
    booking_id: Code
    delivery_on: Day


class VehicleDelivered(VehicleOrderEvent):
    """The customer has the vehicle (FIN-3)."""

    TYPE: ClassVar[str] = "caas.orders.VehicleDelivered.v1"

    vin: Vin
    plates: Plates
    delivered_at: Instant


class VehicleAvailable(Message):
    """A vehicle nobody has is on sale (FIN-4, RES-6); `former_order_id` is the order that lost it."""

    TYPE: ClassVar[str] = "caas.orders.VehicleAvailable.v1"
    TOPIC: ClassVar = ORDERS_EVENTS
    KEY: ClassVar[str] = "vehicle_id"

    vehicle_id: Code
    model: Code
    options: list[Code]
    dealership: Code
    total: Money
    reservation: Money
    former_order_id: UUID
    occurred_at: Instant


MESSAGES: tuple[type[Message], ...] = (
    VehicleOrderPlaced,
    VehicleOrderReserved,
    VehicleOrderDeclined,
    VehicleOrdered,
    VehicleDeliveryEstimated,
    VehicleBuilt,
    VehicleReady,
    VehicleOrderPaid,
    VehicleOrderForfeited,
    VehicleRegisteredForTraffic,
    VehicleDeliveryScheduled,
    VehicleDelivered,
    VehicleAvailable,
)
