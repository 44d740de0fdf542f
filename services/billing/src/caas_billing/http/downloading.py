"""Answers with PDFs, and waits for those that are still being made (INV-4)."""

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from fastapi import Response

from caas_billing.errors import DocumentNotReady
from caas_billing.handlers import document_key
from caas_billing.store import documents
from caas_chassis.runtime import Runtime

PDF_RESPONSES: Final[dict[int | str, dict[str, object]]] = {
    200: {"content": {"application/pdf": {}}, "description": "The document as PDF/A-2b"}
}


async def pdf_response(runtime: Runtime, document_id: UUID, number: str, timeout_s: float) -> Response:
    """The PDF of a document that the caller may see; raises DocumentNotReady after `timeout_s`."""
    pdf = await runtime.wait(document_key(document_id), _reader(runtime, document_id), timeout_s)
    if pdf is None:
        raise DocumentNotReady("it is being made: ask again in a few seconds")
    headers = {
        "Content-Disposition": f'inline; filename="{number}.pdf"',
        # It never changes, but it is one customer's: no shared cache keeps it.
        "Cache-Control": "private, max-age=86400, immutable",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(pdf, media_type="application/pdf", headers=headers)


def _reader(runtime: Runtime, document_id: UUID) -> Callable[[], Awaitable[bytes | None]]:
    async def read() -> bytes | None:
        async with runtime.reading() as tx:
            return await documents.read_pdf(tx, document_id)

    return read
