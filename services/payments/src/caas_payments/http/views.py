"""What payments shows over HTTP; never the payment method."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self, TypedDict
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from caas_contracts import Money
from caas_contracts.payments import Delivery
from caas_payments.domain.attempt import Attempt
from caas_payments.domain.audit import AuditEntry
from caas_payments.domain.payment import Payment
from caas_payments.domain.refund import Refund
from caas_payments.domain.standing import Standing, standing_of
from caas_payments.domain.status import PaymentStatus
from caas_payments.store.calls import Call

type Reason = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
"""A code, as the messages carry it."""


class _Summary(TypedDict):
    payment_id: UUID
    status: str
    standing: Standing
    being_confirmed: bool
    purpose: str
    customer_id: str
    subject_id: UUID
    vehicle_id: str | None
    service_code: str | None
    amount: Money
    captured: Money
    settled: Money
    refunded: Money
    confirm_until: datetime | None


def _summary(payment: Payment) -> _Summary:
    intent = payment.intent
    return {
        "payment_id": intent.payment_id,
        "status": payment.status,
        "standing": standing_of(payment),
        "being_confirmed": payment.being_confirmed,
        "purpose": intent.purpose,
        "customer_id": intent.customer_id,
        "subject_id": intent.subject_id,
        "vehicle_id": intent.vehicle_id,
        "service_code": intent.service_code,
        "amount": intent.amount,
        "captured": payment.money(payment.captured_minor),
        "settled": payment.money(payment.settled_minor),
        "refunded": payment.money(payment.refunded_minor),
        "confirm_until": _confirm_until(payment),
    }


def _confirm_until(payment: Payment) -> datetime | None:
    waits = payment.status is PaymentStatus.PENDING and payment.action is not None
    return payment.action.expires_at if payment.action and waits else None


class View(BaseModel):
    """Read from the domain's values as they are."""

    model_config = ConfigDict(from_attributes=True)


class HoldView(View):
    """The gateway's hold."""

    transaction_id: str
    authorized_at: datetime
    capture_before: datetime
    activate_not_after: datetime


class ProofView(View):
    """The verdict on the activation."""

    id: UUID
    kind: str
    ground: str | None
    reason: str
    recorded_at: datetime
    applied_at: datetime | None


class AttemptView(View):
    """One operation asked of the gateway; amounts in minor units."""

    number: int
    operation: str
    state: str
    amount_minor: int
    idempotency_key: str
    proof_id: UUID | None
    refund_id: UUID | None
    calls: int
    last_result: str
    opened_at: datetime
    called_at: datetime | None
    frozen_at: datetime | None
    resolved_at: datetime | None


class CallView(View):
    """One question to the gateway about an attempt, its result, and the pause before the next one."""

    number: int
    at: datetime
    step: str
    result: str
    retry_in_ms: int | None


class RefundView(View):
    """One refund, in minor units."""

    id: UUID
    amount_minor: int
    reason: str
    state: str
    requested_at: datetime
    refusals: int
    delayed_at: datetime | None
    delay_reason: str | None


class AuditView(View):
    """One transition or refusal."""

    at: datetime
    kind: str
    source: str
    target: str
    reason: str
    cause_id: str
    actor: str


class PaymentView(BaseModel):
    """A payment as its customer may see it; `standing` is the word for customers, `status` that of PAY-1.

    While `being_confirmed` nobody knows how an operation ended: no guess. Until `confirm_until` it waits for the
    customer, who has a link for that (PAY-9).
    """

    payment_id: UUID
    status: str
    standing: Standing
    being_confirmed: bool
    purpose: str
    customer_id: str
    subject_id: UUID
    vehicle_id: str | None
    service_code: str | None
    amount: Money
    captured: Money
    settled: Money
    refunded: Money
    confirm_until: datetime | None = None

    @classmethod
    def of(cls, payment: Payment) -> Self:
        """What everybody who may see the payment sees."""
        return cls(**_summary(payment))


class PaymentFile(PaymentView):
    """A payment with everything that operations need to explain it."""

    activation_id: UUID | None
    taken_ahead: bool
    renewed_activation_id: UUID | None
    gateway_transaction_id: str | None
    version: int
    frozen: bool
    delivery: Delivery
    hold: HoldView | None
    proof: ProofView | None
    attempts: list[AttemptView]
    calls: list[CallView]
    refunds: list[RefundView]
    audit: list[AuditView]

    @classmethod
    def assemble(
        cls,
        payment: Payment,
        attempts: Sequence[Attempt],
        calls: Sequence[Call],
        refunds: Sequence[Refund],
        audit: Sequence[AuditEntry],
    ) -> Self:
        """The payment with its history."""
        return cls(
            **_summary(payment),
            activation_id=payment.intent.activation_id,
            taken_ahead=payment.intent.taken_ahead,
            renewed_activation_id=payment.intent.renewed_activation_id,
            gateway_transaction_id=payment.transaction_id,
            version=payment.version,
            frozen=payment.frozen,
            delivery=payment.intent.delivery,
            hold=HoldView.model_validate(payment.hold) if payment.hold else None,
            proof=ProofView.model_validate(payment.proof) if payment.proof else None,
            attempts=[AttemptView.model_validate(attempt) for attempt in attempts],
            calls=[CallView.model_validate(call) for call in calls],
            refunds=[RefundView.model_validate(refund) for refund in refunds],
            audit=[AuditView.model_validate(entry) for entry in audit],
        )


class PaymentList(BaseModel):
    """Payments, oldest first."""

    payments: list[PaymentView]


class BrokenView(View):
    """Entries of the audit log, `sequence` to `through`, that are not what was written."""

    sequence: int
    through: int
    problem: str


class AuditReport(BaseModel):
    """Whether the audit log is what was written."""

    intact: bool
    broken: list[BrokenView]


class ExposureView(View):
    """Open exposure of one currency in minor units (RSK-3)."""

    currency: str
    payments: int
    amount_minor: int
    by_age_minor: dict[str, int]


class CustomerExposureView(View):
    """Open exposure to one customer in minor units."""

    customer_id: str
    currency: str
    payments: int
    amount_minor: int
    oldest_at: datetime


class WrittenOffView(View):
    """Delivered and lost (SVC-8), in minor units of one currency."""

    currency: str
    payments: int
    amount_minor: int


class ExposureReport(BaseModel):
    """RSK-3: total, per customer (largest first), by age; and what was lost, which is no exposure any more."""

    totals: list[ExposureView]
    customers: list[CustomerExposureView]
    written_off: list[WrittenOffView]


class CustomerExposureReport(BaseModel):
    """RSK-3 for one customer. `at_risk_minor` counts what is under way, too, as the limits do."""

    customer_id: str
    delivered: list[CustomerExposureView]
    at_risk_minor: int
    write_offs: int
    written_off: list[WrittenOffView]


class DelayedRefundView(View):
    """A refund that the gateway has not made yet (DES-4), in minor units of its payment's currency."""

    id: UUID
    payment_id: UUID
    amount_minor: int
    reason: str
    requested_at: datetime
    refusals: int
    delayed_at: datetime
    delay_reason: str


class DelayedRefunds(BaseModel):
    """Refunds that are pursued, those that wait longest first."""

    refunds: list[DelayedRefundView]


class VoidRequest(BaseModel):
    """Why an operator wants the hold released."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    reason: Reason


class RefundRequest(BaseModel):
    """How much of the captured money to give back, and why."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    amount: Money
    reason: Reason
