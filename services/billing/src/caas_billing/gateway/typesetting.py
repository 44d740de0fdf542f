"""Typesets documents as PDF/A-2b with typst, from packaged templates and the fonts inside typst: no network.

What customers and catalogues wrote enters as data, never as markup.
"""

import asyncio
import json
import os
import sys
import threading
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Final

import typst
from babel.dates import format_date
from babel.numbers import format_currency, format_percent, get_currency_precision
from pydantic import BaseModel

from caas_billing.domain.document import Document, DocumentKind
from caas_billing.domain.numbering import BILLING_TIME_ZONE, billing_date
from caas_billing.domain.service_period import service_period
from caas_contracts.orders import PurchaseKind

PDF_STANDARD: Final = "a-2b"
_LOCALES: Final[Mapping[str, str]] = {"es": "es_ES", "en": "en_GB"}


class TypesetDocument(BaseModel):
    """The task: make the PDF of this document."""

    document: Document


@dataclass(frozen=True, slots=True)
class Typeset:
    """The finished PDF."""

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
        self._template = _packaged("document.typ").encode()

    async def typeset(self, task: TypesetDocument) -> Typeset:
        """The PDF of one document. Calling it again makes an equal one, so a repeated task does no harm."""
        words, created_at_s = self._words(task.document), int(task.document.issued_at.timestamp())
        loop = asyncio.get_running_loop()
        return Typeset(await loop.run_in_executor(self._threads, self._compile, words, created_at_s))

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


def printed_words(document: Document, issuer: Issuer) -> dict[str, object]:
    """Everything the page shows, as finished words in the document's language."""
    words = labels(document.language)
    return {
        "language": document.language,
        "labels": words,
        "title": words["titles"][document.kind.value],
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
        "line": _line(document, words),
        "amounts": _amounts(document),
        "vat_rate": format_percent(
            Decimal(document.vat_rate_bp) / 10_000, format="#,##0.##\xa0%", locale=_LOCALES[document.language]
        ),
        "total_label": words["totals"][document.kind.value],
        "settlement": words["settlements"][document.kind.value].format(payment_id=document.payment_id),
    }


@cache
def labels(language: str) -> dict[str, dict[str, str]]:
    """The words of one language, from its packaged table."""
    return tomllib.loads(_packaged(f"labels.{language}.toml"))


def formatted_amount(minor: int, currency: str, language: str) -> str:
    """An amount of minor units as people of that language write it, as 12,99 €."""
    amount = Decimal(minor).scaleb(-get_currency_precision(currency))
    return format_currency(amount, currency, locale=_LOCALES[language])


def formatted_date(instant: datetime, language: str) -> str:
    """The calendar day in the billing time zone, written out."""
    return format_date(instant.astimezone(BILLING_TIME_ZONE).date(), format="long", locale=_LOCALES[language])


def _customer(document: Document, words: Mapping[str, Mapping[str, str]]) -> list[str]:
    lines = [document.customer_name]
    if document.customer_tax_id:
        lines.append(f"{words['page']['tax_id']} {document.customer_tax_id}")
    lines += [document.customer_email, f"{words['page']['customer_number']} {document.customer_id}"]
    return [line for line in lines if line]


def _facts(document: Document, words: Mapping[str, Mapping[str, str]]) -> list[tuple[str, str]]:
    facts = words["facts"]
    dated = [(facts["number"], document.number), (facts["issued_on"], _day(document.issued_at, document))]
    if document.correction is not None:
        correction = document.correction
        return [
            *dated,
            (facts["corrects"], correction.invoice_number),
            (facts["corrected_on"], _day(correction.invoice_issued_at, document)),
        ]
    # The date of supply is stated when it is another day than the date of issue (RD 1619/2012, art. 6.1.i).
    if billing_date(document.supplied_at) != billing_date(document.issued_at):
        dated.append((facts["supplied_on"], _day(document.supplied_at, document)))
    return [*dated, (facts["purchase"], str(document.purchase_id))]


def _notice(document: Document, words: Mapping[str, Mapping[str, str]]) -> str:
    if document.correction is None:
        return ""
    reason = document.correction.reason
    return words["page"]["correction_notice"].format(
        invoice=document.correction.invoice_number,
        issued_on=_day(document.correction.invoice_issued_at, document),
        reason=words["reasons"].get(reason, reason),
    )


def _line(document: Document, words: Mapping[str, Mapping[str, str]]) -> dict[str, object]:
    return {
        "name": document.service_name,
        "details": [
            f"{words['page']['service_code']} {document.service_code}",
            f"{words['page']['vehicle']} {document.vehicle_id}",
            _period(document, words["period"]),
        ],
    }


def _period(document: Document, words: Mapping[str, str]) -> str:
    period = service_period(document.supplied_at, document.duration_days)
    starts = _day(period.starts_at, document)
    if document.purchase_kind is PurchaseKind.PERMANENT or period.ends_at is None:
        return words["permanent"].format(starts=starts)
    days = words["day" if document.duration_days == 1 else "days"].format(count=document.duration_days)
    return words["temporary"].format(starts=starts, ends=_day(period.ends_at, document), days=days)


def _amounts(document: Document) -> dict[str, str]:
    # A credit note gives back: it prints what changes on the invoice (RD 1619/2012, art. 15.5).
    sign = -1 if document.kind is DocumentKind.CREDIT_NOTE else 1
    minor = {"base": document.base_minor, "vat": document.vat_minor, "total": document.total_minor}
    return {name: formatted_amount(sign * value, document.currency, document.language) for name, value in minor.items()}


def _day(instant: datetime, document: Document) -> str:
    return formatted_date(instant, document.language)


def _lower_priority() -> None:
    # Threads have a priority of their own on Linux only; elsewhere this would be the process's.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)


def _packaged(name: str) -> str:
    return resources.files("caas_billing").joinpath("templates", name).read_text(encoding="utf-8")
