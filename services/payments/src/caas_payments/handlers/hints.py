"""The gateway's webhooks off the broker: hints, because the state comes from the gateway's record (GW-5)."""

from collections.abc import Sequence
from typing import assert_never
from uuid import UUID

from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.gateway import GatewayWebhookReceived
from caas_payments.domain import settlement
from caas_payments.domain.payment import Change, Payment
from caas_payments.domain.rules import Rules
from caas_payments.domain.status import NEVER_HELD
from caas_payments.gateway.webhooks import Changed, Disputed, Held, Unreadable, Unsettled, WebhookReader
from caas_payments.handlers.batch import Batch
from caas_payments.store import payments, settlements
from caas_payments.store.webhooks import Reprocessing, StoredWebhook, insert_reprocessing


async def follow_hints(
    received: Sequence[Received[GatewayWebhookReceived]], /, *, tx: Tx, rules: Rules, reader: WebhookReader
) -> None:
    """Look up the payments that webhooks speak of, where that can change anything; ignore what is not ours."""
    named = await find_payments([one.message for one in received], tx=tx)
    batch = await Batch.lock(tx, {name for name in named if name is not None}, rules.jitter)
    for one, payment_id in zip(received, named, strict=True):
        payment = batch.find(payment_id) if payment_id else None
        if payment is not None:
            await _follow(batch, payment, one, tx, reader)
    await batch.write()


async def follow_again(
    stored: StoredWebhook, again: Reprocessing, /, *, tx: Tx, rules: Rules, reader: WebhookReader
) -> None:
    """Follow a stored webhook again, because an operator asked for it: what it tells once is not told twice."""
    await insert_reprocessing(tx, stored.message.webhook_id, again)
    await follow_hints([Received(stored.message, tx.cause)], tx=tx, rules=rules, reader=reader)


async def find_payments(messages: Sequence[GatewayWebhookReceived], /, *, tx: Tx) -> list[UUID | None]:
    """By our reference, or where a webhook carries none (disputes at some gateways) by the gateway's own id."""
    unnamed = {message.transaction_id for message in messages if not message.reference}
    by_transaction = await payments.read_ids_by_transaction(tx, unnamed) if unnamed else {}
    return [
        _payment_id(message.reference) if message.reference else by_transaction.get(message.transaction_id)
        for message in messages
    ]


async def _follow(
    batch: Batch, payment: Payment, one: Received[GatewayWebhookReceived], tx: Tx, reader: WebhookReader
) -> None:
    match reader.meaning(one.message):
        case Disputed() as dispute if dispute.currency == payment.currency:
            await _record_chargeback(batch, payment, dispute, one, tx)
        case Disputed() | Unreadable():
            batch.apply(Change(payment).rejecting("chargeback", "unreadable"), one.cause)
        case Unsettled(reason):
            batch.apply(settlement.fail_settlement(payment, reason, tx.now), one.cause)
        case Held():
            # An open attempt may be settled by it; or the payment had ended without this hold or sale (GW-4).
            if payment.attempt is not None or payment.status in NEVER_HELD:
                batch.hint(payment, one.cause)
        case Changed():
            if payment.attempt is not None:
                batch.hint(payment, one.cause)
        case _ as never:
            assert_never(never)


async def _record_chargeback(
    batch: Batch, payment: Payment, dispute: Disputed, one: Received[GatewayWebhookReceived], tx: Tx
) -> None:
    chargeback = settlement.Chargeback(
        id=dispute.id, payment_id=payment.id, amount_minor=dispute.amount_minor, reason=dispute.reason
    )
    if await settlements.insert_chargeback(tx, chargeback):
        batch.apply(settlement.record_chargeback(payment, chargeback, tx.now), one.cause)


def _payment_id(reference: str) -> UUID | None:
    """Our reference is the payment's id; anything else is another merchant's business."""
    try:
        return UUID(reference)
    except ValueError:
        return None
