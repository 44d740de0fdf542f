"""Keeps the PDFs of invoices and credit notes, and how far their e-mails have come (INV-4, NOT-1)."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from caas_billing.domain.document import DocumentKind
from caas_billing.domain.mailing import Mailing, MailingStatus
from caas_chassis.transaction import Tx

INSERT_DOCUMENTS: Final = """
INSERT INTO document (document_id, kind, pdf, sha256)
SELECT document_id, kind, pdf, sha256(pdf)
FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS new(document_id, kind, pdf)
ON CONFLICT (document_id) DO NOTHING
RETURNING document_id
"""

INSERT_MAILINGS: Final = """
INSERT INTO mailing (document_id, status, attempts, last_answer)
SELECT document_id, 'waiting', 0, '' FROM unnest($1::uuid[]) AS new(document_id)
"""

LOCK_MAILINGS: Final = """
SELECT document_id, status, attempts, last_answer FROM mailing
WHERE document_id = ANY($1::uuid[]) AND status = 'waiting' ORDER BY document_id FOR UPDATE
"""

UPDATE_MAILINGS: Final = """
UPDATE mailing SET status = new.status, attempts = new.attempts, last_answer = new.last_answer,
    changed_at = now()
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[]) AS new(document_id, status, attempts, last_answer)
WHERE mailing.document_id = new.document_id AND mailing.status = 'waiting'
"""

READ_PDF: Final = "SELECT pdf FROM document WHERE document_id = $1"


async def add_documents(tx: Tx, documents: Sequence[tuple[UUID, DocumentKind, bytes]]) -> set[UUID]:
    """Store rendered PDFs; returns the ids of those that were not stored before, each to be mailed once."""
    rows = await tx.fetch(
        INSERT_DOCUMENTS,
        [document_id for document_id, _, _ in documents],
        [kind.value for _, kind, _ in documents],
        [pdf for _, _, pdf in documents],
    )
    new: set[UUID] = {row["document_id"] for row in rows}
    await tx.execute(INSERT_MAILINGS, sorted(new))
    return new


async def lock_waiting_mailings(tx: Tx, document_ids: Sequence[UUID]) -> dict[UUID, Mailing]:
    """The e-mails of these documents that are still to be sent, locked."""
    rows = await tx.fetch(LOCK_MAILINGS, sorted(document_ids))
    return {
        row["document_id"]: Mailing(
            row["document_id"], MailingStatus(row["status"]), row["attempts"], row["last_answer"]
        )
        for row in rows
    }


async def update_mailings(tx: Tx, mailings: Sequence[Mailing]) -> None:
    """Write what became of locked e-mails."""
    await tx.execute(
        UPDATE_MAILINGS,
        [mailing.document_id for mailing in mailings],
        [mailing.status.value for mailing in mailings],
        [mailing.attempts for mailing in mailings],
        [mailing.last_answer for mailing in mailings],
    )


async def read_pdf(tx: Tx, document_id: UUID) -> bytes | None:
    """The PDF, or None when it is not rendered yet."""
    row = await tx.fetchrow(READ_PDF, document_id)
    return bytes(row["pdf"]) if row else None
