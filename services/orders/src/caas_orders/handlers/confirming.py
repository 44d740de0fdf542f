"""Customers whose bank wants to hear from them before it pays (PAY-9): each is mailed the link, once per payment."""

from collections.abc import Sequence

from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.payments import PaymentActionRequired, PaymentPurpose
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.status import PurchaseStatus
from caas_orders.gateway.letters import local_time
from caas_orders.handlers.renewing import tell_renewal_needed
from caas_orders.handlers.telling import LINK, Notice, tell
from caas_orders.store import purchases


async def tell_needed(received: Sequence[Received[PaymentActionRequired]], *, tx: Tx) -> None:
    """The payment of a purchase, or of a further period of it. Monthly bills are told of by billing's own fact."""
    of_services = [one for one in received if one.message.purpose is PaymentPurpose.SERVICE]
    if not of_services:
        return
    await tell_renewal_needed(of_services, tx=tx)
    await _tell_first_needed(of_services, tx=tx)


async def _tell_first_needed(received: Sequence[Received[PaymentActionRequired]], *, tx: Tx) -> None:
    """What was decided or given up meanwhile needs no confirmation any more."""
    bought = await purchases.read([one.message.subject_id for one in received], tx=tx)
    notices = []
    for one in received:
        event, purchase = one.message, bought.get(one.message.subject_id)
        if purchase is None or event.payment_id != purchase.payment_id:
            continue
        if purchase.status is PurchaseStatus.AUTHORIZING:
            facts = {LINK: event.action_url, "expires_at": local_time(event.expires_at, purchase.time_zone)}
            kind = NoticeKind.PAYMENT_CONFIRMATION_NEEDED
            notices.append(Notice(purchase, kind, one.cause, facts, mailed_only=LINK))
    await tell(notices, tx=tx)
