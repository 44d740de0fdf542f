"""What the customer does, or fails to do, about a payment that waits for them (PAY-9)."""

from collections.abc import Sequence
from uuid import UUID

from caas_chassis.timers import DueTimer
from caas_chassis.transaction import Tx
from caas_payments.domain import action
from caas_payments.domain.rules import Rules
from caas_payments.domain.status import PaymentStatus
from caas_payments.errors import LinkExpired, LinkNotFound, LinkOver, LinkUsed
from caas_payments.handlers.batch import Batch
from caas_payments.store import actions


async def follow_link(secret: str, *, tx: Tx) -> str:
    """The gateway's page behind a link of ours, once; raises LinkNotFound, LinkUsed, LinkExpired or LinkOver."""
    secret_hash = action.hash_of(secret)
    page_url = await actions.use_link(tx, secret_hash)
    if page_url is not None:
        return page_url
    link = await actions.read_link(tx, secret_hash)
    if link is None:
        raise LinkNotFound("there is no such link; open it exactly as it was sent")
    if link.used_at is not None:
        raise LinkUsed("this link was used before and works once; look at the payment to see what came of it")
    if link.status is not PaymentStatus.PENDING:
        raise LinkOver("the payment is decided: there is nothing left to confirm")
    raise LinkExpired("the time to confirm this payment is over; nothing was charged under it unless you are told so")


async def expire_actions(due: Sequence[DueTimer], /, *, tx: Tx, rules: Rules) -> None:
    """Links whose time is over: the gateway is asked what is known, and to give up what nobody has confirmed."""
    causes = {UUID(timer.key): timer.cause for timer in due}
    batch = await Batch.lock(tx, causes, rules.jitter)
    for payment_id, cause in causes.items():
        payment = batch.find(payment_id)
        if payment is not None:
            batch.apply(action.reach_expiry(payment, tx.now), cause)
    await batch.write()
