"""What payments may be asked (commands) and what has happened to payments (events, PAY-5)."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from caas_contracts.message import UUID, Code, Instant, Message, NoCardData, Part, Text, Token
from caas_contracts.money import Money
from caas_contracts.topics import PAYMENTS_COMMANDS, PAYMENTS_EVENTS


class PaymentPurpose(StrEnum):
    """What the money is for."""

    RESERVATION = "reservation"
    FINAL = "final"
    SERVICE = "service"
    SUBSCRIPTION = "subscription"


class RiskRating(StrEnum):
    """RSK-1: reservation low, final none, one-time service medium, subscription high."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class DeliveryDecision(StrEnum):
    """RSK-2: when the service may be delivered. Readers treat a value they do not know as `refuse`."""

    ON_AUTHORIZATION = "on_authorization"
    AFTER_SETTLEMENT = "after_settlement"
    REFUSE = "refuse"


class VoidGround(StrEnum):
    """Why a hold could be voided: the stored fact that no activation can have to be paid (charge fence)."""

    ACTIVATION_NEVER_REQUESTED = "activation_never_requested"
    VERIFIED_REJECTION = "verified_rejection"
    VERIFIED_CANCELLATION = "verified_cancellation"
    DEADLINE_PASSED = "deadline_passed"


class SettlementStage(StrEnum):
    """Where money was lost: at the capture, or when the captured money should have reached the bank."""

    CAPTURE = "capture"
    SETTLEMENT = "settlement"


class Delivery(Part):
    """The immediate-delivery decision with its reasons (RSK-2) and the version of the policy that took it."""

    decision: DeliveryDecision
    rating: RiskRating
    reasons: list[Code]
    policy_version: int = Field(ge=1)


type SoldPurpose = Literal[PaymentPurpose.RESERVATION, PaymentPurpose.FINAL, PaymentPurpose.SUBSCRIPTION]
"""What is paid by a sale: no activation has to succeed before the money may be taken."""


class AuthorizePayment(Message):
    """Hold the amount of a one-time service (SVC-3). The same idempotency key is the same payment (PAY-7)."""

    TYPE: ClassVar[str] = "caas.payments.AuthorizePayment.v1"
    TOPIC: ClassVar = PAYMENTS_COMMANDS
    KEY: ClassVar[str] = "payment_id"

    payment_id: UUID
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200), NoCardData]
    purpose: Literal[PaymentPurpose.SERVICE]
    customer_id: Code
    subject_id: UUID = Field(description="the purchase that is paid")
    activation_id: UUID = Field(description="the only activation whose success may be charged (SVC-6)")
    vehicle_id: Code
    service_code: Code
    amount: Money
    payment_method: Token
    requested_at: Instant


class ChargePayment(Message):
    """Take the amount at once (RES-1, FIN-2, SUB-4): answered by PaymentConfirmed, PaymentFailed or PaymentAbandoned.

    The same idempotency key is the same payment (PAY-7). A one-time service is never charged this way (SVC-6).
    """

    TYPE: ClassVar[str] = "caas.payments.ChargePayment.v1"
    TOPIC: ClassVar = PAYMENTS_COMMANDS
    KEY: ClassVar[str] = "payment_id"

    payment_id: UUID
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200), NoCardData]
    purpose: SoldPurpose
    customer_id: Code
    subject_id: UUID = Field(description="the order or invoice that is paid")
    vehicle_id: Code | None = None
    service_code: Code | None = None
    amount: Money
    payment_method: Token
    customer_present: bool = Field(
        default=True, description="false for later monthly bills under the customer's mandate (PAY-9)"
    )
    requested_at: Instant


class CapturePayment(Message):
    """Take held money by a person's word, all of it or a part; the success of its activation must be stored (SVC-6).

    Payments itself captures as soon as the activation succeeded: this is for what did not go by itself.
    """

    TYPE: ClassVar[str] = "caas.payments.CapturePayment.v1"
    TOPIC: ClassVar = PAYMENTS_COMMANDS
    KEY: ClassVar[str] = "payment_id"

    payment_id: UUID
    amount: Money | None = Field(default=None, description="less than is held releases the rest; none is all of it")
    reason: Code
    requested_at: Instant


class CancelPayment(Message):
    """Give a payment up, because its activation was never requested and never will be (SVC-11)."""

    TYPE: ClassVar[str] = "caas.payments.CancelPayment.v1"
    TOPIC: ClassVar = PAYMENTS_COMMANDS
    KEY: ClassVar[str] = "payment_id"

    payment_id: UUID
    activation_id: UUID
    reason: Code
    requested_at: Instant


class RefundPayment(Message):
    """Give captured money back, wholly or in part; the sum never passes what was captured (PAY-8)."""

    TYPE: ClassVar[str] = "caas.payments.RefundPayment.v1"
    TOPIC: ClassVar = PAYMENTS_COMMANDS
    KEY: ClassVar[str] = "payment_id"

    payment_id: UUID
    refund_id: UUID
    amount: Money
    reason: Code
    requested_at: Instant


class RecordSettlement(Message):
    """The gateway's settlement feed explains this payment's money (RCN-2): gross, fee, and the day it came."""

    TYPE: ClassVar[str] = "caas.payments.RecordSettlement.v1"
    TOPIC: ClassVar = PAYMENTS_COMMANDS
    KEY: ClassVar[str] = "payment_id"

    payment_id: UUID
    settlement_line_id: Code
    gross: Money
    fee: Money
    settled_on: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class FailSettlement(Message):
    """The money of this payment will not come to the bank (SVC-8): answered by PaymentSettlementFailed, once."""

    TYPE: ClassVar[str] = "caas.payments.FailSettlement.v1"
    TOPIC: ClassVar = PAYMENTS_COMMANDS
    KEY: ClassVar[str] = "payment_id"

    payment_id: UUID
    reason: Code
    requested_at: Instant


class QueryPaymentStatus(Message):
    """Say where a payment stands, as far as the gateway has said: answered by PaymentStatusReported (PAY-6)."""

    TYPE: ClassVar[str] = "caas.payments.QueryPaymentStatus.v1"
    TOPIC: ClassVar = PAYMENTS_COMMANDS
    KEY: ClassVar[str] = "payment_id"

    payment_id: UUID
    query_id: UUID = Field(description="comes back in the answer")
    requested_at: Instant


class PaymentEvent(Message):
    """What every fact about a payment says."""

    TOPIC: ClassVar = PAYMENTS_EVENTS
    KEY: ClassVar[str] = "payment_id"

    payment_id: UUID
    purpose: PaymentPurpose
    customer_id: Code
    subject_id: UUID
    amount: Money
    occurred_at: Instant


class PaymentInitiated(PaymentEvent):
    """The intent to move money is stored; the gateway has not been asked yet."""

    TYPE: ClassVar[str] = "caas.payments.PaymentInitiated.v1"

    rating: RiskRating


class PaymentAuthorized(PaymentEvent):
    """The amount is held. An activation must be applied by `activate_not_after` to be charged (SVC-10)."""

    TYPE: ClassVar[str] = "caas.payments.PaymentAuthorized.v1"

    activation_id: UUID
    gateway_transaction_id: Code
    delivery: Delivery
    capture_before: Instant
    activate_not_after: Instant


class PaymentConfirmed(PaymentEvent):
    """A synchronous sale succeeded: the money was taken at once.

    `activation_id` is the activation that has to earn money that was taken ahead (PLN-1, RSK-2); for those `delivery`
    says whether the service may be delivered now or only after PaymentSettled.
    """

    TYPE: ClassVar[str] = "caas.payments.PaymentConfirmed.v1"

    gateway_transaction_id: Code
    activation_id: UUID | None = None
    delivery: Delivery | None = None


class PaymentActionRequired(PaymentEvent):
    """The bank wants to hear from the customer (PAY-9): the payment is PENDING until the link was used or expired.

    The link works once. What comes of it is said by PaymentConfirmed, PaymentAuthorized or PaymentFailed.
    """

    TYPE: ClassVar[str] = "caas.payments.PaymentActionRequired.v1"

    action_url: Annotated[str, Field(max_length=500), NoCardData]
    expires_at: Instant


class OrphanSaleFound(PaymentEvent):
    """The gateway had taken the money of a payment that ended without it (GW-4); it is being given back.

    Nothing was sold: a PaymentRefunded follows, and the payment keeps the state in which it ended.
    """

    TYPE: ClassVar[str] = "caas.payments.OrphanSaleFound.v1"

    gateway_transaction_id: Code
    taken: Money


class PaymentFailed(PaymentEvent):
    """Declined or refused: nothing was held, nothing charged (SVC-7)."""

    TYPE: ClassVar[str] = "caas.payments.PaymentFailed.v1"

    reason: Code
    customer_may_retry: bool = Field(description="whether the same payment method may work; else another one is needed")


class PaymentAbandoned(PaymentEvent):
    """The gateway could not be reached within GW-2, and it was established that nothing was held."""

    TYPE: ClassVar[str] = "caas.payments.PaymentAbandoned.v1"

    reason: Code


class PaymentCaptured(PaymentEvent):
    """The held money was taken, on the proof of one activation (SVC-6)."""

    TYPE: ClassVar[str] = "caas.payments.PaymentCaptured.v1"

    captured: Money
    activation_id: UUID
    proof_id: UUID = Field(description="the stored, verified success that allowed the capture")
    activated_at: Instant | None = Field(default=None, description="when the car applied it, says the proof")
    gateway_transaction_id: Code
    vehicle_id: Code
    service_code: Code


class PaymentVoided(PaymentEvent):
    """The hold was released; nothing was charged."""

    TYPE: ClassVar[str] = "caas.payments.PaymentVoided.v1"

    ground: VoidGround
    reason: Code


class PaymentSettled(PaymentEvent):
    """The money reached the bank, as far as the settlement feed explains it."""

    TYPE: ClassVar[str] = "caas.payments.PaymentSettled.v1"

    settled: Money
    fee: Money
    settlement_line_id: Code


class PaymentSettlementFailed(PaymentEvent):
    """Money did not come (SVC-8): whoever has the service keeps it, and the loss is written off.

    When it was taken ahead of an activation that is still to come, there is no loss yet: the purchase is cancelled, and
    CancelPayment has it reversed.
    """

    TYPE: ClassVar[str] = "caas.payments.PaymentSettlementFailed.v1"

    stage: SettlementStage
    lost: Money
    reason: Code
    activation_id: UUID | None = None


class PaymentRefunded(PaymentEvent):
    """Captured money went back to the customer; `refunded` is this refund, `refunded_total` all of them."""

    TYPE: ClassVar[str] = "caas.payments.PaymentRefunded.v1"

    refund_id: UUID
    refunded: Money
    refunded_total: Money
    reason: Code


class ChargebackReceived(PaymentEvent):
    """The customer's bank took captured money back; reconciliation opens a case."""

    TYPE: ClassVar[str] = "caas.payments.ChargebackReceived.v1"

    chargeback_id: Code
    disputed: Money
    reason: Text


class PaymentStatusReported(PaymentEvent):
    """The answer to QueryPaymentStatus; it is no news about the payment.

    `status` is one of PAY-1: readers know that others may come. While `being_confirmed` the gateway has not said
    what became of an operation, and nobody may guess it (GW-4).
    """

    TYPE: ClassVar[str] = "caas.payments.PaymentStatusReported.v1"

    query_id: UUID
    status: Code
    being_confirmed: bool
    captured: Money
    settled: Money
    refunded: Money


MESSAGES: tuple[type[Message], ...] = (
    AuthorizePayment,
    ChargePayment,
    CapturePayment,
    CancelPayment,
    RefundPayment,
    RecordSettlement,
    FailSettlement,
    QueryPaymentStatus,
    PaymentInitiated,
    PaymentAuthorized,
    PaymentConfirmed,
    PaymentActionRequired,
    OrphanSaleFound,
    PaymentFailed,
    PaymentAbandoned,
    PaymentCaptured,
    PaymentVoided,
    PaymentSettled,
    PaymentSettlementFailed,
    PaymentRefunded,
    ChargebackReceived,
    PaymentStatusReported,
)
