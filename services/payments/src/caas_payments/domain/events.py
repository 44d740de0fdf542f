"""The published facts about a payment (PAY-5), built from its state."""

from datetime import datetime
from typing import TypedDict
from uuid import UUID

from caas_contracts import Money
from caas_contracts.audit import AuditAnchored
from caas_contracts.payments import (
    ChargebackReceived,
    Delivery,
    DeliveryDecision,
    OrphanSaleFound,
    PaymentAbandoned,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentConfirmed,
    PaymentFailed,
    PaymentInitiated,
    PaymentPurpose,
    PaymentRefunded,
    PaymentSettled,
    PaymentSettlementFailed,
    PaymentStatusReported,
    PaymentVoided,
    SettlementStage,
    VoidGround,
)
from caas_contracts.purchase_life import RefundDelayed
from caas_payments.domain.audit import Anchor
from caas_payments.domain.payment import Hold, Intent, Payment, Sale


class _Common(TypedDict):
    payment_id: UUID
    purpose: PaymentPurpose
    customer_id: str
    subject_id: UUID
    amount: Money
    occurred_at: datetime


def _common(intent: Intent, now: datetime) -> _Common:
    return {
        "payment_id": intent.payment_id,
        "purpose": intent.purpose,
        "customer_id": intent.customer_id,
        "subject_id": intent.subject_id,
        "amount": intent.amount,
        "occurred_at": now,
    }


def initiated(intent: Intent, now: datetime) -> PaymentInitiated:
    return PaymentInitiated(**_common(intent, now), rating=intent.delivery.rating)


def authorized(payment: Payment, hold: Hold, now: datetime) -> PaymentAuthorized:
    """A hold that is to be released again is announced with the decision not to deliver."""
    assert payment.intent.activation_id is not None, "only a service is authorized"
    return PaymentAuthorized(
        **_common(payment.intent, now),
        activation_id=payment.intent.activation_id,
        gateway_transaction_id=hold.transaction_id,
        delivery=_delivery_of(payment),
        capture_before=hold.capture_before,
        activate_not_after=hold.activate_not_after,
    )


def confirmed(payment: Payment, sale: Sale, now: datetime) -> PaymentConfirmed:
    """Of money that was taken ahead it is told what has to earn it, and when that may be delivered (PLN-1, RSK-2)."""
    return PaymentConfirmed(
        **_common(payment.intent, now),
        gateway_transaction_id=sale.transaction_id,
        activation_id=payment.intent.activation_id,
        delivery=_delivery_of(payment) if payment.intent.taken_ahead else None,
    )


def _delivery_of(payment: Payment) -> Delivery:
    """The decision as things stand: nothing is delivered on what is given up, and nobody waits for what has come."""
    delivery = payment.intent.delivery
    if payment.cancel_reason or (payment.proof and not payment.delivered):
        return delivery.model_copy(update={"decision": DeliveryDecision.REFUSE, "reasons": ["payment_given_up"]})
    if payment.settled_minor and delivery.decision is DeliveryDecision.AFTER_SETTLEMENT:
        reasons = [*delivery.reasons, "settled_already"]
        return delivery.model_copy(update={"decision": DeliveryDecision.ON_AUTHORIZATION, "reasons": reasons})
    return delivery


def action_required(intent: Intent, link: str, expires_at: datetime, now: datetime) -> PaymentActionRequired:
    return PaymentActionRequired(**_common(intent, now), action_url=link, expires_at=expires_at)


def orphan_found(payment: Payment, sale: Sale, now: datetime) -> OrphanSaleFound:
    return OrphanSaleFound(
        **_common(payment.intent, now),
        gateway_transaction_id=sale.transaction_id,
        taken=payment.money(payment.captured_minor),
    )


def failed(intent: Intent, reason: str, now: datetime, *, customer_may_retry: bool) -> PaymentFailed:
    return PaymentFailed(**_common(intent, now), reason=reason, customer_may_retry=customer_may_retry)


def abandoned(intent: Intent, reason: str, now: datetime) -> PaymentAbandoned:
    return PaymentAbandoned(**_common(intent, now), reason=reason)


def captured(payment: Payment, hold: Hold, proof_id: UUID, now: datetime) -> PaymentCaptured:
    intent = payment.intent
    assert intent.activation_id is not None, "only a service is captured"
    assert intent.vehicle_id is not None, "a service is in a vehicle"
    assert intent.service_code is not None, "a service has its code"
    return PaymentCaptured(
        **_common(intent, now),
        captured=payment.money(payment.captured_minor),
        activation_id=intent.activation_id,
        proof_id=proof_id,
        activated_at=payment.proof.applied_at if payment.proof else None,
        gateway_transaction_id=hold.transaction_id,
        vehicle_id=intent.vehicle_id,
        service_code=intent.service_code,
    )


def voided(payment: Payment, ground: VoidGround, reason: str, now: datetime) -> PaymentVoided:
    return PaymentVoided(**_common(payment.intent, now), ground=ground, reason=reason)


def capture_lost(payment: Payment, lost_minor: int, reason: str, now: datetime) -> PaymentSettlementFailed:
    """SVC-8: delivered, and the capture was refused for good."""
    return PaymentSettlementFailed(
        **_common(payment.intent, now),
        stage=SettlementStage.CAPTURE,
        lost=payment.money(lost_minor),
        reason=reason,
        activation_id=payment.intent.activation_id,
    )


def settlement_lost(payment: Payment, lost_minor: int, reason: str, now: datetime) -> PaymentSettlementFailed:
    """SVC-8: captured, and not come."""
    return PaymentSettlementFailed(
        **_common(payment.intent, now),
        stage=SettlementStage.SETTLEMENT,
        lost=payment.money(lost_minor),
        reason=reason,
        activation_id=payment.intent.activation_id,
    )


def settled(payment: Payment, gross: Money, fee: Money, line_id: str, now: datetime) -> PaymentSettled:
    return PaymentSettled(**_common(payment.intent, now), settled=gross, fee=fee, settlement_line_id=line_id)


def refunded(payment: Payment, refund_id: UUID, amount_minor: int, reason: str, now: datetime) -> PaymentRefunded:
    return PaymentRefunded(
        **_common(payment.intent, now),
        refund_id=refund_id,
        refunded=payment.money(amount_minor),
        refunded_total=payment.money(payment.refunded_minor),
        reason=reason,
    )


def refund_delayed(payment: Payment, refund_id: UUID, amount_minor: int, reason: str, now: datetime) -> RefundDelayed:
    return RefundDelayed(
        **_common(payment.intent, now), refund_id=refund_id, outstanding=payment.money(amount_minor), reason=reason
    )


def charged_back(
    payment: Payment, chargeback_id: str, amount_minor: int, reason: str, now: datetime
) -> ChargebackReceived:
    return ChargebackReceived(
        **_common(payment.intent, now),
        chargeback_id=chargeback_id,
        disputed=payment.money(amount_minor),
        reason=reason,
    )


def anchored(anchor: Anchor, at: datetime) -> AuditAnchored:
    """The audit log's head, told to those who keep it where payments cannot change it (PAY-4)."""
    return AuditAnchored(
        service="payments",
        sequence=anchor.sequence,
        hash=anchor.hash.hex(),
        entries=anchor.entries,
        anchored_at=at,
    )


def status_reported(payment: Payment, query_id: UUID, now: datetime) -> PaymentStatusReported:
    return PaymentStatusReported(
        **_common(payment.intent, now),
        query_id=query_id,
        status=payment.status,
        being_confirmed=payment.being_confirmed,
        captured=payment.money(payment.captured_minor),
        settled=payment.money(payment.settled_minor),
        refunded=payment.money(payment.refunded_minor),
    )
