"""Gives documents their numbers and keeps them: invoices and the credit notes of refunds (INV-1 to INV-3).

Invariant: a number is taken in the transaction that stores its document, so the one exists iff the other does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

from caas_billing.domain.credit_note import credit_note_issued, credit_note_of
from caas_billing.domain.document import Document, document_of_credit_note, document_of_invoice
from caas_billing.domain.invoice import Invoice, Issue, invoice_issued
from caas_billing.domain.numbering import Series
from caas_billing.gateway.typesetting import TypesetDocument
from caas_billing.store import credit_notes, invoices, numbers
from caas_chassis.cause import Cause
from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx

TYPESET: Final = "typeset"
TYPESET_STORED: Final = "typeset-stored"
"""Typesets an issued invoice from its rows, for those that are issued by the thousand: its task only names it."""

type Causes = Mapping[UUID, Cause]
"""What made a document due: an invoice by the purchase or order that it is about, a credit note by the payment."""
type Draft = Callable[[Issue], Invoice]
"""An invoice that lacks only its number."""


async def issue_invoices(series: Series, drafts: Sequence[Draft], causes: Causes, *, tx: Tx) -> None:
    """Number, store and publish invoices of one series, and have them typeset."""
    if not drafts:
        return
    issued = [draft(issue) for draft, issue in zip(drafts, await _issues(series, len(drafts), tx=tx), strict=True)]
    await invoices.add_invoices(tx, issued)
    for invoice in issued:
        cause = causes[invoice.subject_id]
        tx.publish(invoice_issued(invoice), cause=cause)
        _typeset(document_of_invoice(invoice), cause, tx=tx)


async def issue_credit_notes(causes: Causes, *, tx: Tx) -> None:
    """Number, store and publish a credit note of every refund that has none, by the payments which are their causes.

    Only refunds of what paid an invoice are credited.
    """
    if not causes:
        return
    due = await credit_notes.refunds_without_credit_note(tx, sorted(causes))
    if not due:
        return
    issues = await _issues(Series.CREDIT_NOTE, len(due), tx=tx)
    issued = [credit_note_of(invoice, refund, issue) for (invoice, refund), issue in zip(due, issues, strict=True)]
    await credit_notes.add_credit_notes(tx, issued)
    for note in issued:
        cause = causes[note.refund.payment_id]
        tx.publish(credit_note_issued(note), cause=cause)
        _typeset(document_of_credit_note(note), cause, tx=tx)


async def _issues(series: Series, count: int, *, tx: Tx) -> list[Issue]:
    block = await numbers.take_numbers(tx, series, count, tx.now)  # INV-2
    return [Issue(new_id(), number, block.issued_at) for number in block]


def _typeset(document: Document, cause: Cause, *, tx: Tx) -> None:
    tx.enqueue(TYPESET, TypesetDocument(document=document), key=str(document.document_id), cause=cause)
