"""Typesets documents as PDF/A-2b with typst, from packaged templates and the fonts inside typst: no network.

What customers and catalogues wrote enters as data, never as markup.
"""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import typst
from pydantic import BaseModel

from caas_billing.domain.document import Document, DocumentKind
from caas_billing.domain.monthly import SoldSubscription
from caas_billing.domain.numbering import billing_date
from caas_billing.gateway.usage_wording import payment_words, printed_usage
from caas_billing.gateway.wording import (
    formatted_day,
    formatted_month,
    labels,
    packaged,
    printed_amounts,
    printed_day,
    printed_lines,
    printed_rate,
)
from caas_contracts.billing import InvoiceKind

PDF_STANDARD: Final = "a-2b"


class TypesetDocument(BaseModel):
    """The task: make the PDF of this document."""

    document: Document


class TypesetStored(BaseModel):
    """The task: make the PDF of this issued document from what is stored of it."""

    document_id: UUID


@dataclass(frozen=True, slots=True)
class Typeset:
    """The finished PDF, and what it says."""

    document: Document
    pdf: bytes


@dataclass(frozen=True, slots=True)
class Issuer:
    """The company that issues, as its documents name it."""

    name: str
    tax_id: str
    address: tuple[str, ...]
    email: str
    phone: str
    website: str
    registration: str


class Typesetter:
    """Makes PDFs in threads of low priority; typst releases the interpreter lock while it works.

    A page costs about 10 ms of a core, fifty times what its invoice costs: when a core is short, issuing
    goes first and pages follow.
    """

    def __init__(self, issuer: Issuer, threads: int) -> None:
        self._issuer = issuer
        self._threads = ThreadPoolExecutor(threads, "typeset", initializer=_lower_priority)
        self._fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True)
        self._template = packaged("document.typ").encode()

    async def typeset(self, task: TypesetDocument) -> Typeset:
        """The PDF of one document. Calling it again makes an equal one, so a repeated task does no harm."""
        words, created_at_s = self._words(task.document), int(task.document.issued_at.timestamp())
        loop = asyncio.get_running_loop()
        return Typeset(task.document, await loop.run_in_executor(self._threads, self._compile, words, created_at_s))

    def pdf(self, document: Document) -> bytes:
        """The PDF/A-2b bytes; the creation time in them is the issue time. Blocks for some milliseconds."""
        return self._compile(self._words(document), int(document.issued_at.timestamp()))

    def _words(self, document: Document) -> str:
        return json.dumps(printed_words(document, self._issuer))

    def _compile(self, words: str, created_at_s: int) -> bytes:
        return typst.compile(
            self._template,
            font_paths=self._fonts,
            ignore_system_fonts=True,
            format="pdf",
            sys_inputs={"document": words},
            pdf_standards=[PDF_STANDARD],
            timestamp=created_at_s,
        )


class StoredTypesetter:
    """Typesets documents that are read when it is their turn, so that tasks stay small however many wait."""

    def __init__(self, typesetter: Typesetter, read_document: Callable[[UUID], Awaitable[Document | None]]) -> None:
        self._typesetter = typesetter
        self._read_document = read_document

    async def typeset(self, task: TypesetStored) -> Typeset:
        """The PDF of one stored document. Issued documents never change (INV-3): a repeated task makes an equal one."""
        document = await self._read_document(task.document_id)
        if document is None:
            raise LookupError(f"document {task.document_id} is to be typeset, but no such monthly invoice is stored")
        return await self._typesetter.typeset(TypesetDocument(document=document))


def printed_words(document: Document, issuer: Issuer) -> dict[str, object]:
    """Everything the page shows, as finished words in the document's language."""
    words = labels(document.language)
    return {
        "language": document.language,
        "labels": words,
        "title": words["titles"][document.wording],
        "number": document.number,
        "issuer": {
            "name": issuer.name,
            "tax_id": issuer.tax_id,
            "address": issuer.address,
            "contact": [part for part in (issuer.email, issuer.phone, issuer.website) if part],
            "registration": issuer.registration,
        },
        "customer": _customer(document, words),
        "facts": _facts(document, words),
        "notice": _notice(document, words),
        "lines": printed_lines(document, words),
        "amounts": printed_amounts(document, document.amount),
        "vat_rate": printed_rate(document),
        "total_label": words["totals"][document.wording],
        "settlement": _settlement(document, words),
        "usage": _usage(document, words),
    }


def _usage(document: Document, words: Mapping[str, Mapping[str, str]]) -> dict[str, object] | None:
    if isinstance(document.sold, SoldSubscription) and document.kind is DocumentKind.INVOICE:
        return printed_usage(document, document.sold, words)
    return None


def _settlement(document: Document, words: Mapping[str, Mapping[str, str]]) -> str:
    payment = payment_words(document, document.sold, words) if isinstance(document.sold, SoldSubscription) else None
    return words["settlements"][document.wording].format(payment_id=document.payment_id, payment=payment)


def _customer(document: Document, words: Mapping[str, Mapping[str, str]]) -> list[str]:
    customer = document.customer
    lines = [customer.name]
    if customer.tax_id:
        lines.append(f"{words['page']['tax_id']} {customer.tax_id}")
    lines += [customer.email, f"{words['page']['customer_number']} {customer.customer_id}"]
    return [line for line in lines if line]


def _facts(document: Document, words: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
    facts = words["facts"]
    dated = [(facts["number"], document.number), (facts["issued_on"], printed_day(document.issued_at, document))]
    if document.correction is not None:
        correction = document.correction
        return [
            *dated,
            (facts["corrects"], correction.invoice_number),
            (facts["corrected_on"], printed_day(correction.invoice_issued_at, document)),
        ]
    sold = document.sold
    if isinstance(sold, SoldSubscription):
        return [
            *dated,
            (facts["period"], formatted_month(sold.period, document.language)),
            (facts["due_on"], formatted_day(sold.due_on, document.language)),
            (facts["subscription"], str(document.subject_id)),
        ]
    # The date of supply is stated when it is another day than the date of issue (RD 1619/2012, art. 6.1.i).
    if billing_date(document.supplied_at) != billing_date(document.issued_at):
        dated.append((facts["supplied_on"], printed_day(document.supplied_at, document)))
    subject = "purchase" if document.invoice_kind is InvoiceKind.SERVICE else "order"
    return [*dated, (facts[subject], str(document.subject_id))]


def _notice(document: Document, words: Mapping[str, Mapping[str, str]]) -> str:
    if document.correction is None:
        return ""
    reason = document.correction.reason
    return words["page"]["correction_notice"].format(
        invoice=document.correction.invoice_number,
        issued_on=printed_day(document.correction.invoice_issued_at, document),
        reason=words["reasons"].get(reason, reason),
    )


def _lower_priority() -> None:
    # Threads have a priority of their own on Linux only; elsewhere this would be the process's.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
