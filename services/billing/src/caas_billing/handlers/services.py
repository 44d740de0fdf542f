"""Invoices of services and of the periods that renew them: what was bought, paid and delivered, in any order (INV-1).

Invariant: nothing is invoiced before its activation succeeded. A capture says so itself; of money that was taken ahead
PurchaseActivated does, and a renewal is of a service that is active (PLN-1, REC-1).
"""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from caas_billing.domain.invoice import service_invoice
from caas_billing.domain.numbering import Series
from caas_billing.domain.sale import Sale
from caas_billing.errors import UnknownPurchase
from caas_billing.handlers.issuing import Causes, issue_credit_notes, issue_invoices
from caas_billing.store import sales
from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.orders import PurchaseActivated, PurchasePlaced
from caas_contracts.payments import OrphanSaleFound, PaymentCaptured, PaymentConfirmed, PaymentPurpose
from caas_contracts.purchase_life import PurchaseRenewed


async def bill_purchases(received: Sequence[Received[PurchasePlaced]], *, tx: Tx) -> None:
    """Remember what was bought; when it is paid already, issue its invoice (INV-1).

    A refund can have come first too: its credit note follows the invoice.
    """
    causes = {one.message.purchase_id: one.cause for one in received}
    completed = await sales.add_purchases(tx, [one.message for one in received])
    await _issue_and_credit(completed, causes, tx=tx)


async def bill_captures(received: Sequence[Received[PaymentCaptured]], *, tx: Tx) -> None:
    """Remember what was paid; when the purchase is known already, issue its invoice (INV-1).

    Payments capture only on the proof of a successful activation, so only those are invoiced (SVC-6).
    """
    paid = [one for one in received if one.message.purpose is PaymentPurpose.SERVICE]
    causes = {one.message.subject_id: one.cause for one in paid}
    completed = await sales.add_captures(tx, [one.message for one in paid])
    await _issue(completed, causes, tx=tx)


async def bill_sales(received: Sequence[Received[PaymentConfirmed | OrphanSaleFound]], *, tx: Tx) -> None:
    """Remember money of services that was taken without a hold: ahead (PLN-1), for a period (REC-1), or for nothing.

    It is invoiced when what it paid is delivered. An orphan never is: it is remembered for the refund that follows.
    """
    taken = [one for one in received if one.message.purpose is PaymentPurpose.SERVICE]
    if taken:
        causes = {one.message.subject_id: one.cause for one in taken}
        await _issue(await sales.add_taken(tx, [one.message for one in taken]), causes, tx=tx)


async def bill_activations(received: Sequence[Received[PurchaseActivated]], *, tx: Tx) -> None:
    """The service runs: what was paid ahead for it is earned, and invoiced (INV-1).

    Raises UnknownPurchase for one that was charged and never placed; a subscription is charged nothing (SUB-1).
    """
    causes = {one.message.purchase_id: one.cause for one in received}
    await _require_known([one.message.purchase_id for one in received if one.message.charged], tx=tx)
    await _issue_and_credit(await sales.add_activated(tx, [one.message for one in received]), causes, tx=tx)


async def bill_renewals(received: Sequence[Received[PurchaseRenewed]], *, tx: Tx) -> None:
    """A further period is paid, says orders: it is invoiced as soon as payments says so too (REC-1).

    Raises UnknownPurchase for a purchase that was never placed.
    """
    causes = {one.message.purchase_id: one.cause for one in received}
    await _require_known(list(causes), tx=tx)
    await _issue_and_credit(await sales.add_renewals(tx, [one.message for one in received]), causes, tx=tx)


async def _require_known(purchase_ids: Sequence[UUID], *, tx: Tx) -> None:
    for purchase_id in await sales.unknown_purchases(tx, purchase_ids):
        raise UnknownPurchase(purchase_id)


async def _issue_and_credit(completed: Sequence[Sale], causes: Causes, *, tx: Tx) -> None:
    """A refund can have come first too: its credit note follows the invoice."""
    await _issue(completed, causes, tx=tx)
    await issue_credit_notes({sale.payment_id: causes[sale.purchase_id] for sale in completed}, tx=tx)


async def _issue(completed: Sequence[Sale], causes: Causes, *, tx: Tx) -> None:
    await issue_invoices(Series.SERVICE, [partial(service_invoice, sale) for sale in completed], causes, tx=tx)
