"""Credit notes: read one by one, downloaded (INV-4)."""

from uuid import UUID

from fastapi import APIRouter, Response

from caas_billing.domain.issued import IssuedCreditNote
from caas_billing.errors import CreditNoteNotFound
from caas_billing.http.callers import Reader, visible_to
from caas_billing.http.downloading import PDF_RESPONSES, pdf_response
from caas_billing.store import reading
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import Principal


def credit_notes_router(runtime: Runtime, *, document_wait_s: float) -> APIRouter:
    """What customers and operators read of credit notes."""
    router = APIRouter(prefix="/credit-notes", tags=["documents"])

    @router.get("/{credit_note_id}")
    async def read_credit_note(credit_note_id: UUID, principal: Reader) -> IssuedCreditNote:
        """One credit note."""
        async with runtime.reading() as tx:
            return await _credit_note(credit_note_id, principal, tx)

    @router.get("/{credit_note_id}/document", response_class=Response, responses=PDF_RESPONSES)
    async def read_credit_note_document(credit_note_id: UUID, principal: Reader) -> Response:
        """The credit note as PDF/A."""
        async with runtime.reading() as tx:
            note = await _credit_note(credit_note_id, principal, tx)
        return await pdf_response(runtime, credit_note_id, note.number, document_wait_s)

    return router


async def _credit_note(credit_note_id: UUID, principal: Principal, tx: Tx) -> IssuedCreditNote:
    note = await reading.find_credit_note(tx, credit_note_id, visible_to(principal))
    if note is None:
        raise CreditNoteNotFound(f"no credit note {credit_note_id} of yours: see your invoices")
    return note
