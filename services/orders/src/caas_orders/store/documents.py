"""The invoices and credit notes of the purchase file, as billing published them (INV-4)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_contracts.money import Money


class DocumentKind(StrEnum):
    """What billing issues."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


@dataclass(frozen=True, slots=True)
class Document:
    """One invoice or credit note. `url` is a path of billing's HTTP interface."""

    document_id: UUID
    kind: DocumentKind
    number: str
    customer_id: str
    subject_id: UUID
    total: Money
    issued_at: datetime
    url: str


INSERT_DOCUMENTS: Final = """
INSERT INTO documents (document_id, kind, number, customer_id, subject_id, total_minor, currency, issued_at,
    document_url)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::bigint[], $7::text[],
    $8::timestamptz[], $9::text[])
    AS n(document_id, kind, number, customer_id, subject_id, total_minor, currency, issued_at, document_url)
ORDER BY document_id
ON CONFLICT (document_id) DO NOTHING
"""

LIST_DOCUMENTS: Final = """
SELECT document_id, kind, number, customer_id, subject_id, total_minor, currency, issued_at, document_url
FROM documents WHERE customer_id = $1 ORDER BY document_id DESC LIMIT $2
"""


# The newest so many of each subject: a subscription has one invoice per month.
LIST_OF_SUBJECTS: Final = """
SELECT d.document_id, d.kind, d.number, d.customer_id, d.subject_id, d.total_minor, d.currency, d.issued_at,
    d.document_url
FROM unnest($1::uuid[]) AS s(subject_id) CROSS JOIN LATERAL (
    SELECT * FROM documents WHERE documents.subject_id = s.subject_id ORDER BY document_id DESC LIMIT $2) AS d
ORDER BY d.document_id DESC
"""


async def insert(documents: Sequence[Document], *, tx: Tx) -> None:
    """List documents; those already listed stay as they are (INV-3)."""
    await tx.execute(INSERT_DOCUMENTS, *zip(*[_row(document) for document in documents], strict=True))


async def of_customer(customer_id: str, *, limit: int, tx: Tx) -> list[Document]:
    """A customer's documents, newest first."""
    return [_document(row) for row in await tx.fetch(LIST_DOCUMENTS, customer_id, limit)]


async def of_subjects(subject_ids: Sequence[UUID], *, limit: int, tx: Tx) -> dict[UUID, list[Document]]:
    """The documents of purchases or vehicle orders, newest first, at most `limit` of each."""
    found: defaultdict[UUID, list[Document]] = defaultdict(list)
    for row in await tx.fetch(LIST_OF_SUBJECTS, subject_ids, limit):
        found[row["subject_id"]].append(_document(row))
    return found


def _row(document: Document) -> tuple[object, ...]:
    return (
        document.document_id,
        document.kind,
        document.number,
        document.customer_id,
        document.subject_id,
        document.total.amount_minor,
        document.total.currency,
        document.issued_at,
        document.url,
    )


def _document(row: Record) -> Document:
    return Document(
        document_id=row["document_id"],
        kind=DocumentKind(row["kind"]),
        number=row["number"],
        customer_id=row["customer_id"],
        subject_id=row["subject_id"],
        total=Money(amount_minor=row["total_minor"], currency=row["currency"]),
        issued_at=row["issued_at"],
        url=row["document_url"],
    )
