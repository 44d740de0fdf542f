"""Invoices: listed, read one by one, downloaded (INV-4)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from caas_billing.domain.issued import IssuedInvoice
from caas_billing.errors import InvoiceNotFound
from caas_billing.http.callers import Limit, Reader, visible_to
from caas_billing.http.downloading import PDF_RESPONSES, pdf_response
from caas_billing.store import reading
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import Principal


class InvoicePage(BaseModel):
    """Invoices, newest first; `next_before` continues the list and is null at its end."""

    invoices: list[IssuedInvoice]
    next_before: UUID | None


def invoices_router(runtime: Runtime, *, document_wait_s: float) -> APIRouter:
    """What customers and operators read of invoices."""
    router = APIRouter(prefix="/invoices", tags=["documents"])

    @router.get("")
    async def list_invoices(
        principal: Reader,
        customer_id: Annotated[str | None, Query(max_length=64)] = None,
        subject_id: UUID | None = None,
        before: UUID | None = None,
        limit: Limit = 50,
    ) -> InvoicePage:
        """The caller's invoices, newest first; operators see all, or one customer's."""
        wanted = reading.InvoiceFilter(
            customer_id=visible_to(principal) or customer_id,
            subject_id=subject_id,
            before=before,
            limit=limit,
        )
        async with runtime.reading() as tx:
            found = await reading.list_invoices(tx, wanted)
        return InvoicePage(invoices=found, next_before=found[-1].invoice_id if len(found) == limit else None)

    @router.get("/{invoice_id}")
    async def read_invoice(invoice_id: UUID, principal: Reader) -> IssuedInvoice:
        """One invoice with its lines and credit notes."""
        async with runtime.reading() as tx:
            return await _invoice(invoice_id, principal, tx)

    @router.get("/{invoice_id}/document", response_class=Response, responses=PDF_RESPONSES)
    async def read_invoice_document(invoice_id: UUID, principal: Reader) -> Response:
        """The invoice as PDF/A."""
        async with runtime.reading() as tx:
            invoice = await _invoice(invoice_id, principal, tx)
        return await pdf_response(runtime, invoice_id, invoice.number, document_wait_s)

    return router


async def _invoice(invoice_id: UUID, principal: Principal, tx: Tx) -> IssuedInvoice:
    wanted = reading.InvoiceFilter(customer_id=visible_to(principal), invoice_id=invoice_id, limit=1)
    found = await reading.list_invoices(tx, wanted)
    if not found:
        raise InvoiceNotFound(f"no invoice {invoice_id} of yours: list them with GET /invoices")
    return found[0]
