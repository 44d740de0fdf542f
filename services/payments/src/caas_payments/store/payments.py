"""Rows of `payments` with their open attempt and their verdict; written by compare-and-set on `version`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_contracts import Money
from caas_contracts.payments import Delivery, DeliveryDecision, PaymentPurpose, RiskRating, VoidGround
from caas_payments.domain.attempt import Attempt, AttemptState, Operation
from caas_payments.domain.payment import CustomerAction, Hold, Intent, Payment, Proof, ProofKind, Sale
from caas_payments.domain.risk import CustomerHistory
from caas_payments.domain.status import PaymentStatus
from caas_payments.errors import ConcurrentChange

_PAYMENT: Final = """
SELECT p.*, a.number, a.operation, a.amount_minor AS attempt_minor, a.state, a.opened_at,
    a.proof_id AS attempt_proof_id, a.refund_id, a.calls, a.misses, a.silences, a.alerted, a.last_result,
    a.uncertain, a.called_at, a.frozen_at,
    d.id AS proof_id, d.kind AS proof_kind, d.ground, d.reason AS proof_reason, d.recorded_at, d.applied_at, d.evidence,
    c.transaction_id AS action_transaction_id, c.page_url, c.expires_at AS action_expires_at, c.cancelling_at
FROM payments p
LEFT JOIN customer_actions c ON c.payment_id = p.id
LEFT JOIN attempts a ON a.payment_id = p.id AND a.state = 'open'
LEFT JOIN delivery_proofs d ON d.activation_id = p.activation_id
"""

LOCK: Final = _PAYMENT + " WHERE p.id = ANY($1::uuid[]) ORDER BY p.id FOR UPDATE OF p"

READ: Final = _PAYMENT + " WHERE p.id = $1"

READ_OF_SUBJECT: Final = _PAYMENT + " WHERE p.subject_id = $1 ORDER BY p.created_at, p.id LIMIT 100"

READ_IDS_BY_TRANSACTION: Final = """
SELECT gateway_transaction_id, id FROM payments WHERE gateway_transaction_id = ANY($1::text[])
"""

_AMONG_SIMILAR: Final = """
WHERE p.id IN (
    SELECT id FROM payments WHERE id = ANY($1::uuid[])
    UNION SELECT id FROM payments WHERE idempotency_key = ANY($2::text[])
    UNION SELECT id FROM payments WHERE activation_id = ANY($3::uuid[]))
"""

SIMILAR: Final = _PAYMENT + _AMONG_SIMILAR

HISTORY: Final = """
SELECT customer_id, sum(at_risk_minor)::bigint AS at_risk_minor,
    count(*) FILTER (WHERE status = 'SETTLEMENT_FAILED' AND written_off_minor(payments) > 0) AS write_offs
FROM payments
WHERE customer_id = ANY($1::text[]) AND (at_risk_minor > 0 OR status = 'SETTLEMENT_FAILED')
GROUP BY customer_id
"""

INSERT: Final = """
INSERT INTO payments (id, idempotency_key, purpose, customer_id, subject_id, activation_id, vehicle_id, service_code,
    amount_minor, currency, payment_method, risk_rating, delivery_decision, delivery_reasons, risk_policy_version,
    status, attempts, at_risk_minor, customer_present, taken_ahead, renewed_activation_id, renewed_kind, version,
    created_at, updated_at)
SELECT *, 1, $6, $6
FROM unnest($1::new_payment[], $2::boolean[], $3::boolean[], $4::uuid[], $5::text[]) AS n ORDER BY n.id
ON CONFLICT DO NOTHING
"""

UPDATE: Final = """
UPDATE payments p SET status = n.status, version = p.version + 1, gateway_transaction_id = n.gateway_transaction_id,
    authorized_at = n.authorized_at, capture_before = n.capture_before, activate_not_after = n.activate_not_after,
    attempts = n.attempts, cancel_reason = n.cancel_reason, capture_limit_minor = n.capture_limit_minor,
    capturing_minor = n.capturing_minor, captured_minor = n.captured_minor, charged_back_minor = n.charged_back_minor,
    settled_minor = n.settled_minor, refunded_minor = n.refunded_minor, refunding_minor = n.refunding_minor,
    at_risk_minor = n.at_risk_minor, delivered_at = n.delivered_at, updated_at = $2
FROM unnest($1::changed_payment[]) AS n
WHERE p.id = n.id AND p.version = n.version
"""


async def lock_payments(tx: Tx, ids: Collection[UUID]) -> dict[UUID, Payment]:
    """The payments with these ids, locked in the order of their ids; unknown ids are absent.

    The audit head is locked before by an earlier statement: so this one's snapshot holds everything that
    other transactions did to these payments, their attempts and verdicts included.
    """
    return _by_id(await tx.fetch(LOCK, sorted(set(ids))))


async def read_payment(tx: Tx, payment_id: UUID) -> Payment | None:
    """One payment as it is, without a lock."""
    row = await tx.fetchrow(READ, payment_id)
    return _payment(row) if row else None


async def read_payments_of(tx: Tx, subject_id: UUID) -> list[Payment]:
    """The payments of one purchase, order or invoice, oldest first, at most 100."""
    return [_payment(row) for row in await tx.fetch(READ_OF_SUBJECT, subject_id)]


async def read_ids_by_transaction(tx: Tx, transaction_ids: Collection[str]) -> dict[str, UUID]:
    """The payments held under the gateway's own transaction ids; the gateway's other transactions are absent."""
    rows = await tx.fetch(READ_IDS_BY_TRANSACTION, sorted(set(transaction_ids)))
    return {row["gateway_transaction_id"]: row["id"] for row in rows}


async def read_similar(
    tx: Tx, ids: Sequence[UUID], idempotency_keys: Sequence[str], activation_ids: Sequence[UUID]
) -> list[Payment]:
    """The payments that share an id, an idempotency key or an activation with what is asked for (PAY-7)."""
    return [_payment(row) for row in await tx.fetch(SIMILAR, ids, idempotency_keys, activation_ids)]


async def read_histories(tx: Tx, customer_ids: Collection[str]) -> Mapping[str, CustomerHistory]:
    """What each customer has at risk and has cost; customers without anything are absent."""
    rows = await tx.fetch(HISTORY, sorted(set(customer_ids)))
    return {row["customer_id"]: CustomerHistory(row["at_risk_minor"], row["write_offs"]) for row in rows}


async def insert_payments(tx: Tx, payments: Sequence[Payment]) -> None:
    """Raises ConcurrentChange when one of them was created by another transaction meanwhile."""
    intents = [payment.intent for payment in payments]
    tag = await tx.execute(
        INSERT,
        [_new(payment) for payment in payments],
        [intent.customer_present for intent in intents],
        [intent.taken_ahead for intent in intents],
        [intent.renewed_activation_id for intent in intents],
        [_renewed_kind(payment) for payment in payments],
        tx.now,
    )
    _require_all(tag, len(payments))


async def update_payments(tx: Tx, payments: Sequence[Payment]) -> None:
    """Raises ConcurrentChange when one of them is no longer in the version that was read."""
    tag = await tx.execute(UPDATE, [_changed(payment) for payment in payments], tx.now)
    _require_all(tag, len(payments))


def _new(payment: Payment) -> tuple[object, ...]:
    intent = payment.intent
    return (
        intent.payment_id,
        intent.idempotency_key,
        intent.purpose,
        intent.customer_id,
        intent.subject_id,
        intent.activation_id,
        intent.vehicle_id,
        intent.service_code,
        intent.amount.amount_minor,
        intent.amount.currency,
        intent.payment_method,
        intent.delivery.rating,
        intent.delivery.decision,
        intent.delivery.reasons,
        intent.delivery.policy_version,
        payment.status,
        payment.attempts,
        payment.at_risk_minor,
    )


def _renewed_kind(payment: Payment) -> ProofKind | None:
    """A renewal that was begun refers to a success (SVC-6); one that was refused at once to nothing."""
    begun = payment.intent.renewed_activation_id is not None and payment.status is not PaymentStatus.FAILED
    return ProofKind.SUCCESS if begun else None


def _changed(payment: Payment) -> tuple[object, ...]:
    return (
        payment.id,
        payment.version,
        payment.status,
        *_at_gateway(payment),
        payment.attempts,
        payment.cancel_reason,
        payment.capture_limit_minor,
        payment.capturing_minor,
        payment.captured_minor,
        payment.charged_back_minor,
        payment.settled_minor,
        payment.refunded_minor,
        payment.refunding_minor,
        payment.at_risk_minor,
        _delivered_at(payment),
    )


def _at_gateway(payment: Payment) -> tuple[object, ...]:
    """The columns of a hold; a sale has no instant until which it may be captured."""
    if payment.hold is not None:
        hold = payment.hold
        return (hold.transaction_id, hold.authorized_at, hold.capture_before, hold.activate_not_after)
    if payment.sale is not None:
        return (payment.sale.transaction_id, payment.sale.sold_at, None, None)
    return (None, None, None, None)


def _delivered_at(payment: Payment) -> datetime | None:
    return payment.proof.applied_at if payment.proof and payment.delivered else None


def _require_all(tag: str, expected: int) -> None:
    written = int(tag.rsplit(" ", 1)[1])
    if written != expected:
        raise ConcurrentChange(f"{expected - written} of {expected} payments were changed by another transaction")


def _by_id(rows: Iterable[Record]) -> dict[UUID, Payment]:
    return {payment.id: payment for payment in map(_payment, rows)}


def _payment(row: Record) -> Payment:
    return Payment(
        intent=_intent(row),
        status=PaymentStatus(row["status"]),
        version=row["version"],
        hold=_hold(row) if row["capture_before"] is not None else None,
        sale=_sale(row) if row["sold"] and row["gateway_transaction_id"] is not None else None,
        proof=_proof(row) if row["proof_id"] is not None else None,
        action=_action(row) if row["page_url"] is not None else None,
        attempt=_attempt(row) if row["number"] is not None else None,
        attempts=row["attempts"],
        cancel_reason=row["cancel_reason"],
        capture_limit_minor=row["capture_limit_minor"],
        capturing_minor=row["capturing_minor"],
        captured_minor=row["captured_minor"],
        charged_back_minor=row["charged_back_minor"],
        settled_minor=row["settled_minor"],
        refunded_minor=row["refunded_minor"],
        refunding_minor=row["refunding_minor"],
    )


def _intent(row: Record) -> Intent:
    return Intent(
        payment_id=row["id"],
        idempotency_key=row["idempotency_key"],
        purpose=PaymentPurpose(row["purpose"]),
        customer_id=row["customer_id"],
        subject_id=row["subject_id"],
        activation_id=row["activation_id"],
        vehicle_id=row["vehicle_id"],
        service_code=row["service_code"],
        amount=Money(amount_minor=row["amount_minor"], currency=row["currency"]),
        payment_method=row["payment_method"],
        delivery=Delivery(
            decision=DeliveryDecision(row["delivery_decision"]),
            rating=RiskRating(row["risk_rating"]),
            reasons=row["delivery_reasons"],
            policy_version=row["risk_policy_version"],
        ),
        customer_present=row["customer_present"],
        taken_ahead=row["taken_ahead"],
        renewed_activation_id=row["renewed_activation_id"],
    )


def _hold(row: Record) -> Hold:
    return Hold(
        transaction_id=row["gateway_transaction_id"],
        authorized_at=row["authorized_at"],
        capture_before=row["capture_before"],
        activate_not_after=row["activate_not_after"],
    )


def _sale(row: Record) -> Sale:
    return Sale(row["gateway_transaction_id"], row["authorized_at"])


def _action(row: Record) -> CustomerAction:
    return CustomerAction(
        transaction_id=row["action_transaction_id"],
        page_url=row["page_url"],
        expires_at=row["action_expires_at"],
        cancelling_at=row["cancelling_at"],
    )


def _proof(row: Record) -> Proof:
    return Proof(
        id=row["proof_id"],
        payment_id=row["id"],
        activation_id=row["activation_id"],
        kind=ProofKind(row["proof_kind"]),
        ground=VoidGround(row["ground"]) if row["ground"] is not None else None,
        reason=row["proof_reason"],
        recorded_at=row["recorded_at"],
        applied_at=row["applied_at"],
        evidence=row["evidence"],
    )


def _attempt(row: Record) -> Attempt:
    return Attempt(
        payment_id=row["id"],
        number=row["number"],
        operation=Operation(row["operation"]),
        amount_minor=row["attempt_minor"],
        state=AttemptState(row["state"]),
        opened_at=row["opened_at"],
        proof_id=row["attempt_proof_id"],
        refund_id=row["refund_id"],
        calls=row["calls"],
        misses=row["misses"],
        silences=row["silences"],
        alerted=row["alerted"],
        last_result=row["last_result"],
        uncertain=row["uncertain"],
        called_at=row["called_at"],
        frozen_at=row["frozen_at"],
    )
