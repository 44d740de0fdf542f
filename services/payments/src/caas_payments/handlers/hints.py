"""The gateway's webhooks off the broker: hints, because the state comes from the gateway's record (GW-5)."""

from collections.abc import Sequence
from uuid import UUID

from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.gateway import GatewayWebhookReceived
from caas_payments.domain import settlement
from caas_payments.domain.payment import Change, Payment
from caas_payments.domain.rules import Rules
from caas_payments.domain.status import NEVER_HELD
from caas_payments.gateway.webhooks import CHARGEBACK_OPENED, MONEY_MOVED, read_chargeback
from caas_payments.handlers.batch import Batch
from caas_payments.store import settlements


async def follow_hints(received: Sequence[Received[GatewayWebhookReceived]], /, *, tx: Tx, rules: Rules) -> None:
    """Look up the payments that webhooks speak of, where that can change anything; ignore what is not ours."""
    named = [_payment_id(one.message.reference) for one in received]
    batch = await Batch.lock(tx, {name for name in named if name is not None}, rules.jitter)
    for one, payment_id in zip(received, named, strict=True):
        payment = batch.find(payment_id) if payment_id else None
        if payment is None:
            continue
        if one.message.event_type == CHARGEBACK_OPENED:
            await _record_chargeback(batch, payment, one, tx)
        elif _is_worth_asking(payment, one.message.event_type):
            batch.hint(payment, one.cause)
    await batch.write()


def _is_worth_asking(payment: Payment, event_type: str) -> bool:
    """An open attempt may be settled by it; a hold or a sale may have turned up after the payment ended (GW-4)."""
    if payment.attempt is not None:
        return True
    return payment.status in NEVER_HELD and event_type in MONEY_MOVED


async def _record_chargeback(batch: Batch, payment: Payment, one: Received[GatewayWebhookReceived], tx: Tx) -> None:
    body = read_chargeback(one.message.body)
    if body is None or body.currency != payment.currency:
        batch.apply(Change(payment).rejecting("chargeback", "unreadable"), one.cause)
        return
    chargeback = settlement.Chargeback(
        id=body.id, payment_id=payment.id, amount_minor=body.amount_minor, reason=body.reason
    )
    if await settlements.insert_chargeback(tx, chargeback):
        batch.apply(settlement.record_chargeback(payment, chargeback, tx.now), one.cause)


def _payment_id(reference: str) -> UUID | None:
    """Our reference is the payment's id; anything else is another merchant's business."""
    try:
        return UUID(reference)
    except ValueError:
        return None
