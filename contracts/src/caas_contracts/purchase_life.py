"""What happens to purchases after they were placed: planned and recurring ones, their end, withdrawal and theft.

The events travel with those of `orders`, the commands with those of `payments`. `GET` and `POST` of these things are
orders' HTTP API; whoever sells through the broker uses PlacePurchase and CancelPurchase.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from caas_contracts.message import UUID, Code, Instant, Message, NoCardData, Token
from caas_contracts.money import Money
from caas_contracts.orders import PurchaseEvent
from caas_contracts.payments import PaymentEvent, PaymentPurpose
from caas_contracts.topics import ORDERS_EVENTS, PAYMENTS_COMMANDS


class ServiceCharge(Message):
    """What both ways of taking the price of a service without a hold say (PLN-1, REC-1)."""

    TOPIC: ClassVar = PAYMENTS_COMMANDS
    KEY: ClassVar[str] = "payment_id"

    payment_id: UUID
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200), NoCardData]
    purpose: Literal[PaymentPurpose.SERVICE]
    customer_id: Code
    subject_id: UUID = Field(description="the purchase that is paid")
    vehicle_id: Code
    service_code: Code
    amount: Money
    payment_method: Token
    requested_at: Instant


class ChargePlannedService(ServiceCharge):
    """Take the price of a service now that is activated on a date (PLN-1): answered like ChargePayment.

    Payments gives the whole amount back by itself as soon as the activation is known to have failed, or the payment
    is cancelled by CancelPayment because the activation was never requested: nobody else has to ask for it (SVC-6).
    """

    TYPE: ClassVar[str] = "caas.payments.ChargePlannedService.v1"

    activation_id: UUID = Field(description="the only activation that may earn this money (SVC-6)")


class ChargeRenewal(ServiceCharge):
    """Take the price of the next period of a service that is active (REC-1), without its customer (PAY-9).

    Refused (PaymentFailed, reason `not_activated`) unless the success of `renewed_activation_id` is stored (SVC-6).
    """

    TYPE: ClassVar[str] = "caas.payments.ChargeRenewal.v1"

    renewed_activation_id: UUID = Field(description="the activation of the first period; it stays in the car")
    period_number: Annotated[int, Field(ge=2)]


class RefundDelayed(PaymentEvent):
    """The gateway has not made a refund yet (DES-4): it is pursued until it is done; PaymentRefunded follows."""

    TYPE: ClassVar[str] = "caas.payments.RefundDelayed.v1"

    refund_id: UUID
    outstanding: Money
    reason: Code


class PurchaseScheduled(PurchaseEvent):
    """A planned purchase is paid and waits for its date (PLN-1)."""

    TYPE: ClassVar[str] = "caas.orders.PurchaseScheduled.v1"

    starts_at: Instant
    payment_id: UUID


class PurchaseRenewed(PurchaseEvent):
    """The next period of a recurring purchase is paid (REC-1); `price` is what that period costs."""

    TYPE: ClassVar[str] = "caas.orders.PurchaseRenewed.v1"

    period_number: Annotated[int, Field(ge=2)]
    payment_id: UUID
    activation_id: UUID
    period_from: Instant
    period_to: Instant


class RecurrenceEnded(PurchaseEvent):
    """No further period will be charged (REC-2, REC-3, THF-2); what is paid is kept until `ends_at`."""

    TYPE: ClassVar[str] = "caas.orders.RecurrenceEnded.v1"

    reason: Code
    ends_at: Instant | None = None


class PurchaseExpired(PurchaseEvent):
    """A service came to its end and is being taken out of the car (SVC-9)."""

    TYPE: ClassVar[str] = "caas.orders.PurchaseExpired.v1"

    ended_at: Instant


class WithdrawalConfirmed(PurchaseEvent):
    """The customer has withdrawn, in both steps (DES-7): the money goes back, the service leaves the car (DES-4)."""

    TYPE: ClassVar[str] = "caas.orders.WithdrawalConfirmed.v1"

    withdrawal_id: UUID
    declared_at: Instant
    refund_due: Money


class PurchaseWithdrawn(PurchaseEvent):
    """A withdrawal is done: `refunded` has gone back, or nothing was charged and nothing had to (DES-4)."""

    TYPE: ClassVar[str] = "caas.orders.PurchaseWithdrawn.v1"

    withdrawal_id: UUID
    refunded: Money


class VehicleReportedStolen(Message):
    """A vehicle was reported stolen (THF): nothing is sold for it, and what was pending or recurring is stopped."""

    TYPE: ClassVar[str] = "caas.orders.VehicleReportedStolen.v1"
    TOPIC: ClassVar = ORDERS_EVENTS
    KEY: ClassVar[str] = "vehicle_id"

    vehicle_id: Code
    customer_id: Code
    report_id: UUID
    reported_at: Instant
    occurred_at: Instant


MESSAGES: tuple[type[Message], ...] = (
    ChargePlannedService,
    ChargeRenewal,
    RefundDelayed,
    PurchaseScheduled,
    PurchaseRenewed,
    RecurrenceEnded,
    PurchaseExpired,
    WithdrawalConfirmed,
    PurchaseWithdrawn,
    VehicleReportedStolen,
)
