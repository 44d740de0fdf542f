"""What an operator wishes over HTTP, as far as the charge fence allows it."""

from uuid import UUID

from caas_chassis.handling import Received
from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_contracts import Money
from caas_contracts.payments import RecordSettlement
from caas_payments.domain import authorization, fence, settlement
from caas_payments.domain.authorization import Beginning
from caas_payments.domain.payment import Change, Payment
from caas_payments.domain.rules import Rules
from caas_payments.domain.status import UNRESOLVED, PaymentStatus
from caas_payments.handlers.batch import Batch
from caas_payments.handlers.commands import begin_payments, line_of, record_settlements
from caas_payments.store import payments, settlements


async def begin_by_operator(command: Beginning, *, tx: Tx, rules: Rules) -> Payment | None:
    """The payment of the command's key, begun now or before; None when that one is another intent (PAY-7)."""
    await Batch.lock(tx, (), rules.jitter)
    activation_id = authorization.activation_of(command)
    activations = [] if activation_id is None else [activation_id]
    similar = await payments.read_similar(tx, [], [command.idempotency_key], activations)
    if similar:
        return similar[0] if all(authorization.asks_for(one.intent, command) for one in similar) else None
    await begin_payments([Received(command, tx.cause)], tx=tx, rules=rules)
    return await payments.read_payment(tx, command.payment_id)


async def limit_by_operator(payment_id: UUID, amount: Money, reason: str, *, tx: Tx, rules: Rules) -> str | None:
    """Have the capture to come take only this much, or say why it cannot any more."""
    batch = await Batch.lock(tx, {payment_id}, rules.jitter)
    payment = batch.require(payment_id)
    if amount.currency != payment.currency:
        return "it is in another currency"
    objection = fence.limit_objection(payment, amount.amount_minor)
    if objection is None:
        batch.apply(fence.limit_capture(payment, amount.amount_minor, reason), tx.cause)
        await batch.write()
    return objection


async def look_up_by_operator(payment_id: UUID, *, tx: Tx, rules: Rules) -> None:
    """Ask the gateway for its record now, beside whatever is under way."""
    batch = await Batch.lock(tx, {payment_id}, rules.jitter)
    batch.hint(batch.require(payment_id), tx.cause)


async def settle_by_operator(command: RecordSettlement, *, tx: Tx, rules: Rules) -> str | None:
    """Record a settlement by hand, once per line, or say why it cannot be right."""
    line = line_of(command)
    batch = await Batch.lock(tx, {line.payment_id}, rules.jitter)
    known = await settlements.read_line(tx, line.id)
    if known is not None:
        return None if known == line else "the line was recorded before with other content"
    objection = settlement.settlement_objection(batch.require(line.payment_id), line)
    if objection is None:
        await record_settlements([Received(command, tx.cause)], tx=tx, rules=rules)
    return objection


async def fail_by_operator(payment_id: UUID, reason: str, *, tx: Tx, rules: Rules) -> str | None:
    """Record that a settlement failed (SVC-8), once, or say why it cannot have."""
    batch = await Batch.lock(tx, {payment_id}, rules.jitter)
    payment = batch.require(payment_id)
    objection = settlement.failure_objection(payment)
    if objection is not None and payment.status is not PaymentStatus.SETTLEMENT_FAILED:
        return objection
    batch.apply(settlement.fail_settlement(payment, reason, tx.now), tx.cause)
    await batch.write()
    return None


async def void_by_operator(payment_id: UUID, reason: str, *, tx: Tx, rules: Rules) -> str | None:
    """Void a payment or say why the fence forbids it. A refusal is audited too, so commit in both cases."""
    batch = await Batch.lock(tx, {payment_id}, rules.jitter)
    payment = batch.require(payment_id)
    change = _void(payment, reason, tx, rules)
    refused = change is None
    batch.apply(change or Change(payment).rejecting("void", "fence_forbids"), tx.cause)
    await batch.write()
    return _why_not(payment) if refused else None


def _void(payment: Payment, reason: str, tx: Tx, rules: Rules) -> Change | None:
    """An operator's word is no ground: only what is stored, or has not begun, allows a void."""
    activation_id = payment.intent.activation_id
    if activation_id is None:
        return None
    if payment.status in UNRESOLVED:
        # The hold has not been announced to anybody, so no activation can have been requested.
        return fence.cancel(payment, activation_id, reason, new_id(), tx.now)
    if payment.status is not PaymentStatus.AUTHORIZED or payment.delivered:
        return None
    if payment.proof is not None:
        return Change(payment)
    passed = fence.pass_deadline(payment, rules.terms, new_id(), tx.now)
    return passed if passed.payment is not payment else None


def _why_not(payment: Payment) -> str:
    if payment.intent.taken_ahead and not payment.delivered:
        return "its money was taken ahead; cancel the purchase, and all of it goes back by itself"
    if payment.intent.sold:
        return "a sale takes the money at once; refund it when it is confirmed"
    if payment.delivered:
        return "its service was activated; refund it instead"
    if payment.status is not PaymentStatus.AUTHORIZED:
        return f"it is {payment.status}"
    return "its activation may still succeed; cancel the purchase, or wait for the deadline"
