"""What an operator wishes over HTTP, as far as the charge fence allows it."""

from uuid import UUID

from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_payments.domain import fence
from caas_payments.domain.payment import Change, Payment
from caas_payments.domain.rules import Rules
from caas_payments.domain.status import UNRESOLVED, PaymentStatus
from caas_payments.handlers.batch import Batch


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
    if payment.intent.sold:
        return "a sale takes the money at once; refund it when it is confirmed"
    if payment.delivered:
        return "its service was activated; refund it instead"
    if payment.status is not PaymentStatus.AUTHORIZED:
        return f"it is {payment.status}"
    return "its activation may still succeed; cancel the purchase, or wait for the deadline"
