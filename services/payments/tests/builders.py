"""Messages, payments and gateway answers for tests; every argument has a sensible default."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from caas_chassis.ids import new_id
from caas_contracts import Money
from caas_contracts.gateway import GatewayWebhookReceived
from caas_contracts.ota import ActivationEvidence, ActivationFailed, ServiceActivated
from caas_contracts.payments import (
    AuthorizePayment,
    CancelPayment,
    CapturePayment,
    ChargePayment,
    Delivery,
    DeliveryDecision,
    PaymentPurpose,
    RecordSettlement,
    RefundPayment,
    RiskRating,
    SoldPurpose,
    VoidGround,
)
from caas_contracts.purchase_life import ChargePlannedService, ChargeRenewal
from caas_payments.domain import authorization
from caas_payments.domain.authorization import Beginning
from caas_payments.domain.gateway_result import Transaction, TransactionStatus
from caas_payments.domain.payment import Change, Intent, Payment

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRICE = Money(amount_minor=1999, currency="EUR")

type Activated = AuthorizePayment | ChargePlannedService
"""What names the activation that has to earn its money."""


def an_authorization(
    *,
    amount: Money = PRICE,
    customer_id: str = "customer-1",
    payment_method: str = "tok_approved",
    idempotency_key: str | None = None,
) -> AuthorizePayment:
    payment_id = new_id()
    return AuthorizePayment(
        payment_id=payment_id,
        idempotency_key=idempotency_key or f"purchase-{payment_id}",
        purpose=PaymentPurpose.SERVICE,
        customer_id=customer_id,
        subject_id=new_id(),
        activation_id=new_id(),
        vehicle_id="vehicle-1",
        service_code="heated-seats",
        amount=amount,
        payment_method=payment_method,
        requested_at=NOW,
    )


def a_charge(
    *,
    purpose: SoldPurpose = PaymentPurpose.RESERVATION,
    amount: Money = PRICE,
    customer_id: str = "customer-1",
    payment_method: str = "tok_approved",
    idempotency_key: str | None = None,
    customer_present: bool = True,
) -> ChargePayment:
    payment_id = new_id()
    return ChargePayment(
        payment_id=payment_id,
        idempotency_key=idempotency_key or f"order-{payment_id}",
        purpose=purpose,
        customer_id=customer_id,
        subject_id=new_id(),
        amount=amount,
        payment_method=payment_method,
        customer_present=customer_present,
        requested_at=NOW,
    )


def a_planned_charge(
    *, amount: Money = PRICE, customer_id: str = "customer-1", payment_method: str = "tok_approved"
) -> ChargePlannedService:
    payment_id = new_id()
    return ChargePlannedService(
        payment_id=payment_id,
        idempotency_key=f"purchase-{payment_id}",
        purpose=PaymentPurpose.SERVICE,
        customer_id=customer_id,
        subject_id=new_id(),
        activation_id=new_id(),
        vehicle_id="vehicle-1",
        service_code="heated-seats",
        amount=amount,
        payment_method=payment_method,
        requested_at=NOW,
    )


def a_renewal(of: Activated, period_number: int = 2, *, payment_method: str = "tok_approved") -> ChargeRenewal:
    return ChargeRenewal(
        payment_id=new_id(),
        idempotency_key=f"purchase-{of.payment_id}:period:{period_number}",
        purpose=PaymentPurpose.SERVICE,
        customer_id=of.customer_id,
        subject_id=of.subject_id,
        vehicle_id=of.vehicle_id,
        service_code=of.service_code,
        amount=of.amount,
        payment_method=payment_method,
        requested_at=NOW,
        renewed_activation_id=of.activation_id,
        period_number=period_number,
    )


def a_cancellation(of: Activated) -> CancelPayment:
    return CancelPayment(
        payment_id=of.payment_id,
        activation_id=of.activation_id,
        reason="customer_cancelled",
        requested_at=NOW,
    )


def a_success(
    of: Activated,
    *,
    applied_at: datetime | None = None,
    not_after: datetime | None = None,
    late: bool = False,
    activation_id: UUID | None = None,
) -> ServiceActivated:
    """Applied just now, as the machine's clock has it, unless said otherwise."""
    applied = applied_at or datetime.now(UTC)
    return ServiceActivated(
        activation_id=activation_id or of.activation_id,
        purchase_id=of.subject_id,
        payment_id=of.payment_id,
        vehicle_id=of.vehicle_id,
        service_code=of.service_code,
        occurred_at=applied,
        evidence=ActivationEvidence(
            command_id=new_id(), nonce="0123456789abcdef", counter=1, applied_at=applied, signature="s" * 88
        ),
        attempts=[],
        not_after=not_after or applied + timedelta(minutes=30),
        late=late,
    )


def a_failure(
    of: Activated,
    *,
    ground: VoidGround = VoidGround.VERIFIED_REJECTION,
    activation_id: UUID | None = None,
) -> ActivationFailed:
    return ActivationFailed(
        activation_id=activation_id or of.activation_id,
        purchase_id=of.subject_id,
        payment_id=of.payment_id,
        vehicle_id=of.vehicle_id,
        service_code=of.service_code,
        occurred_at=NOW,
        reason="incompatible",
        ground=ground,
        attempts=[],
        not_after=NOW,
    )


def a_settlement(
    of: Beginning, *, line_id: str | None = None, gross_minor: int | None = None, fee_minor: int = 53
) -> RecordSettlement:
    gross = of.amount.amount_minor if gross_minor is None else gross_minor
    return RecordSettlement(
        payment_id=of.payment_id,
        settlement_line_id=line_id or f"stl_{new_id().hex}",
        gross=Money(amount_minor=gross, currency=of.amount.currency),
        fee=Money(amount_minor=fee_minor, currency=of.amount.currency),
        settled_on="2026-11-24",
    )


def a_refund(of: Beginning, amount_minor: int) -> RefundPayment:
    return RefundPayment(
        payment_id=of.payment_id,
        refund_id=new_id(),
        amount=Money(amount_minor=amount_minor, currency=of.amount.currency),
        reason="withdrawal",
        requested_at=NOW,
    )


def a_capture_by_hand(of: Activated, amount_minor: int | None = None) -> CapturePayment:
    part = None if amount_minor is None else Money(amount_minor=amount_minor, currency=of.amount.currency)
    return CapturePayment(payment_id=of.payment_id, amount=part, reason="by_hand", requested_at=NOW)


def a_chargeback(of: Beginning, amount_minor: int, *, name: str = "cb_1") -> GatewayWebhookReceived:
    data = {"id": name, "amount_minor": amount_minor, "currency": of.amount.currency, "reason": "fraudulent"}
    return GatewayWebhookReceived(
        webhook_id=f"msg_{new_id().hex}",
        event_type="chargeback.opened",
        transaction_id="txn_1",
        reference=str(of.payment_id),
        body=json.dumps({"type": "chargeback.opened", "data": data}),
        received_at=NOW,
    )


def an_intent(command: Beginning | None = None, *, reasons: Sequence[str] = ()) -> Intent:
    """An intent that may be delivered, unless there are reasons against it."""
    decision = DeliveryDecision.REFUSE if reasons else DeliveryDecision.ON_AUTHORIZATION
    delivery = Delivery(
        decision=decision,
        rating=RiskRating.MEDIUM,
        reasons=list(reasons) or ["within_limits"],
        policy_version=1,
    )
    return authorization.intent_of(command or an_authorization(), delivery)


def a_payment(intent: Intent | None = None) -> Payment:
    """A payment whose authorization is under way."""
    return authorization.initiate(intent or an_intent(), NOW).payment


def a_transaction(
    payment: Payment,
    status: TransactionStatus = TransactionStatus.AUTHORIZED,
    *,
    amount_minor: int | None = None,
    captured_minor: int = 0,
    decline_code: str | None = None,
) -> Transaction:
    """The gateway's record of a payment."""
    return Transaction(
        id="txn_1",
        reference=str(payment.id),
        status=status,
        amount_minor=payment.intent.amount.amount_minor if amount_minor is None else amount_minor,
        currency=payment.currency,
        captured_minor=captured_minor,
        decline_code=decline_code,
        authorized_at=NOW,
        capture_before=NOW + timedelta(days=7),
    )


def facts_of[F](change: Change, kind: type[F]) -> list[F]:
    """The facts of one kind, in order."""
    return [fact for fact in change.facts if isinstance(fact, kind)]
