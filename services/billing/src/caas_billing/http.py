"""Billing over HTTP: customers read their invoices and documents, operators everyone's (INV-4).

Nothing here writes. What is not the caller's does not exist for the caller: 404, never 403.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel

from caas_billing.domain.issued import IssuedCreditNote, IssuedInvoice, SeriesState, UnsentMailing
from caas_billing.errors import CreditNoteNotFound, DocumentNotReady, InvoiceNotFound
from caas_billing.handlers import document_key
from caas_billing.store import documents, reading
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import Principal, requires

Reader = Annotated[Principal, Depends(requires("customer", "operator"))]
Operator = Annotated[Principal, Depends(requires("operator"))]
Limit = Annotated[int, Query(ge=1, le=200)]


class InvoicePage(BaseModel):
    """Invoices, newest first; `next_before` continues the list and is null at its end."""

    invoices: list[IssuedInvoice]
    next_before: UUID | None


class SeriesList(BaseModel):
    """Every series of numbers and year."""

    series: list[SeriesState]


class MailingList(BaseModel):
    """E-mails that did not go out."""

    mailings: list[UnsentMailing]


def documents_router(runtime: Runtime, *, document_wait_s: float) -> APIRouter:
    """What customers and operators read. A download waits up to `document_wait_s` for its PDF."""
    router = APIRouter(tags=["documents"])

    @router.get("/invoices")
    async def list_invoices(
        principal: Reader,
        customer_id: Annotated[str | None, Query(max_length=64)] = None,
        subject_id: UUID | None = None,
        before: UUID | None = None,
        limit: Limit = 50,
    ) -> InvoicePage:
        """The caller's invoices, newest first; operators see all, or one customer's."""
        wanted = reading.InvoiceFilter(
            customer_id=_visible_to(principal) or customer_id,
            subject_id=subject_id,
            before=before,
            limit=limit,
        )
        async with runtime.reading() as tx:
            found = await reading.list_invoices(tx, wanted)
        return InvoicePage(invoices=found, next_before=found[-1].invoice_id if len(found) == limit else None)

    @router.get("/invoices/{invoice_id}")
    async def read_invoice(invoice_id: UUID, principal: Reader) -> IssuedInvoice:
        """One invoice with its lines and credit notes."""
        async with runtime.reading() as tx:
            return await _invoice(invoice_id, principal, tx)

    @router.get("/invoices/{invoice_id}/document", response_class=Response, responses=_PDF)
    async def read_invoice_document(invoice_id: UUID, principal: Reader) -> Response:
        """The invoice as PDF/A."""
        async with runtime.reading() as tx:
            invoice = await _invoice(invoice_id, principal, tx)
        return _pdf(invoice.number, await _wait_for_pdf(runtime, invoice_id, document_wait_s))

    @router.get("/credit-notes/{credit_note_id}")
    async def read_credit_note(credit_note_id: UUID, principal: Reader) -> IssuedCreditNote:
        """One credit note."""
        async with runtime.reading() as tx:
            return await _credit_note(credit_note_id, principal, tx)

    @router.get("/credit-notes/{credit_note_id}/document", response_class=Response, responses=_PDF)
    async def read_credit_note_document(credit_note_id: UUID, principal: Reader) -> Response:
        """The credit note as PDF/A."""
        async with runtime.reading() as tx:
            note = await _credit_note(credit_note_id, principal, tx)
        return _pdf(note.number, await _wait_for_pdf(runtime, credit_note_id, document_wait_s))

    return router


def operators_router(runtime: Runtime) -> APIRouter:
    """What operators check: that numbers have no gaps, and which e-mails did not go out."""
    router = APIRouter(tags=["operators"])

    @router.get("/series")
    async def list_series(_: Operator) -> SeriesList:
        """How far every series has come, with the proof that no number is missing (INV-2)."""
        async with runtime.reading() as tx:
            return SeriesList(series=await reading.list_series(tx))

    @router.get("/mailings")
    async def list_unsent_mailings(_: Operator, limit: Limit = 50) -> MailingList:
        """E-mails that wait, were refused or were given up, the longest unchanged first."""
        async with runtime.reading() as tx:
            return MailingList(mailings=await reading.list_unsent_mailings(tx, limit))

    return router


def _visible_to(principal: Principal) -> str | None:
    """Whose documents the caller may see: None means everyone's."""
    return None if principal.is_staff else principal.subject


async def _invoice(invoice_id: UUID, principal: Principal, tx: Tx) -> IssuedInvoice:
    wanted = reading.InvoiceFilter(customer_id=_visible_to(principal), invoice_id=invoice_id, limit=1)
    found = await reading.list_invoices(tx, wanted)
    if not found:
        raise InvoiceNotFound(f"no invoice {invoice_id} of yours: list them with GET /invoices")
    return found[0]


async def _credit_note(credit_note_id: UUID, principal: Principal, tx: Tx) -> IssuedCreditNote:
    note = await reading.find_credit_note(tx, credit_note_id, _visible_to(principal))
    if note is None:
        raise CreditNoteNotFound(f"no credit note {credit_note_id} of yours: see your invoices")
    return note


async def _wait_for_pdf(runtime: Runtime, document_id: UUID, timeout_s: float) -> bytes:
    pdf = await runtime.wait(document_key(document_id), _reader(runtime, document_id), timeout_s)
    if pdf is None:
        raise DocumentNotReady("it is being made: ask again in a few seconds")
    return pdf


def _reader(runtime: Runtime, document_id: UUID) -> Callable[[], Awaitable[bytes | None]]:
    async def read() -> bytes | None:
        async with runtime.reading() as tx:
            return await documents.read_pdf(tx, document_id)

    return read


def _pdf(number: str, pdf: bytes) -> Response:
    headers = {
        "Content-Disposition": f'inline; filename="{number}.pdf"',
        # It never changes, but it is one customer's: no shared cache keeps it.
        "Cache-Control": "private, max-age=86400, immutable",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(pdf, media_type="application/pdf", headers=headers)


_PDF: dict[int | str, dict[str, object]] = {
    200: {"content": {"application/pdf": {}}, "description": "The document as PDF/A-2b"}
}
