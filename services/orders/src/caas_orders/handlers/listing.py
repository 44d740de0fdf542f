"""Listing what billing issued in the customer's purchase file (INV-4)."""

from collections.abc import Sequence

from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.billing import CreditNoteIssued, InvoiceIssued
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.order_notice import OrderNotice, OrderNoticeKind
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.handlers.order_telling import ToTell, tell_about_order
from caas_orders.handlers.telling import Notice, tell
from caas_orders.store import documents, purchases, registrations, vehicle_orders
from caas_orders.store.documents import Document, DocumentKind


async def list_invoices(received: Sequence[Received[InvoiceIssued]], *, tx: Tx, policy: SalesPolicy) -> None:
    """An invoice appears in the purchase file; billing mails it with its PDF."""
    await documents.insert([_invoice(one.message) for one in received], tx=tx)
    bought = await purchases.read([one.message.subject_id for one in received], tx=tx)
    notices = [
        Notice(
            bought[one.message.subject_id],
            NoticeKind.INVOICE_ISSUED,
            one.cause,
            {**_facts(one.message), "price": one.message.total},
            occasion=one.message.number,  # A subscription has one every month (SUB-4).
        )
        for one in received
        if one.message.subject_id in bought
    ]
    await tell(notices, tx=tx)
    await _tell_of_orders([one for one in received if one.message.subject_id not in bought], policy, tx=tx)


async def list_credit_notes(received: Sequence[Received[CreditNoteIssued]], *, tx: Tx) -> None:
    """A credit note appears in the purchase file."""
    await documents.insert([_credit_note(one.message) for one in received], tx=tx)


async def _tell_of_orders(received: Sequence[Received[InvoiceIssued]], policy: SalesPolicy, *, tx: Tx) -> None:
    if not received:
        return
    ordered = await vehicle_orders.read([one.message.subject_id for one in received], tx=tx)
    customers = await registrations.customers(sorted({order.customer_id for order in ordered.values()}), tx=tx)
    for one in received:
        order = ordered.get(one.message.subject_id)
        if order is not None:
            notice = OrderNotice(OrderNoticeKind.INVOICED, one.message.number)
            told = ToTell(order, customers[order.customer_id], notice, one.cause, _facts(one.message))
            await tell_about_order(told, policy, tx=tx)


def _facts(event: InvoiceIssued) -> dict[str, str]:
    return {"number": event.number, "document": event.document_url}


def _invoice(event: InvoiceIssued) -> Document:
    return Document(
        document_id=event.invoice_id,
        kind=DocumentKind.INVOICE,
        number=event.number,
        customer_id=event.customer_id,
        subject_id=event.subject_id,
        total=event.total,
        issued_at=event.issued_at,
        url=event.document_url,
    )


def _credit_note(event: CreditNoteIssued) -> Document:
    return Document(
        document_id=event.credit_note_id,
        kind=DocumentKind.CREDIT_NOTE,
        number=event.number,
        customer_id=event.customer_id,
        subject_id=event.subject_id,
        total=event.total,
        issued_at=event.issued_at,
        url=event.document_url,
    )
