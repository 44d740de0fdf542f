"""Listing what billing issued in the customer's purchase file (INV-4)."""

from collections.abc import Sequence

from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.billing import CreditNoteIssued, InvoiceIssued
from caas_orders.domain.notification import NoticeKind
from caas_orders.handlers.telling import Notice, tell
from caas_orders.store import documents, purchases
from caas_orders.store.documents import Document, DocumentKind


async def list_invoices(received: Sequence[Received[InvoiceIssued]], *, tx: Tx) -> None:
    """An invoice appears in the purchase file; billing mails it with its PDF."""
    await documents.insert([_invoice(one.message) for one in received], tx=tx)
    bought = await purchases.read([one.message.subject_id for one in received], tx=tx)
    notices = [
        Notice(bought[one.message.subject_id], NoticeKind.INVOICE_ISSUED, one.cause, _facts(one.message))
        for one in received
        if one.message.subject_id in bought
    ]
    await tell(notices, tx=tx)


async def list_credit_notes(received: Sequence[Received[CreditNoteIssued]], *, tx: Tx) -> None:
    """A credit note appears in the purchase file."""
    await documents.insert([_credit_note(one.message) for one in received], tx=tx)


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
