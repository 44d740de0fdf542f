"""Invoices of one-time services: what was bought and what was captured, in whichever order they come (INV-1)."""

from collections.abc import Sequence
from functools import partial

from caas_billing.domain.invoice import service_invoice
from caas_billing.domain.numbering import Series
from caas_billing.domain.sale import Sale
from caas_billing.handlers.issuing import Causes, issue_credit_notes, issue_invoices
from caas_billing.store import sales
from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.orders import PurchasePlaced
from caas_contracts.payments import PaymentCaptured, PaymentPurpose


async def bill_purchases(received: Sequence[Received[PurchasePlaced]], *, tx: Tx) -> None:
    """Remember what was bought; when it is paid already, issue its invoice (INV-1).

    A refund can have come first too: its credit note follows the invoice.
    """
    causes = {one.message.purchase_id: one.cause for one in received}
    completed = await sales.add_purchases(tx, [one.message for one in received])
    await _issue(completed, causes, tx=tx)
    await issue_credit_notes({sale.payment_id: causes[sale.purchase_id] for sale in completed}, tx=tx)


async def bill_captures(received: Sequence[Received[PaymentCaptured]], *, tx: Tx) -> None:
    """Remember what was paid; when the purchase is known already, issue its invoice (INV-1).

    Payments capture only on the proof of a successful activation, so only those are invoiced (SVC-6).
    """
    paid = [one for one in received if one.message.purpose is PaymentPurpose.SERVICE]
    causes = {one.message.subject_id: one.cause for one in paid}
    completed = await sales.add_captures(tx, [one.message for one in paid])
    await _issue(completed, causes, tx=tx)


async def _issue(completed: Sequence[Sale], causes: Causes, *, tx: Tx) -> None:
    await issue_invoices(Series.SERVICE, [partial(service_invoice, sale) for sale in completed], causes, tx=tx)
