"""What a document says, in the customer's language: its lines, amounts and days as finished words.

What customers and catalogues wrote enters as data, never as markup.
"""

import tomllib
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Final

from babel.dates import format_date
from babel.numbers import format_currency, format_percent, get_currency_precision

from caas_billing.domain.document import Document, DocumentKind
from caas_billing.domain.numbering import BILLING_TIME_ZONE
from caas_billing.domain.sale import SoldService, SoldVehicle
from caas_billing.domain.service_period import service_period
from caas_billing.domain.vat import TaxedAmount
from caas_contracts.billing import InvoiceKind
from caas_contracts.orders import PurchaseKind

_LOCALES: Final[Mapping[str, str]] = {"es": "es_ES", "en": "en_GB"}

type Words = Mapping[str, Mapping[str, str]]


@cache
def labels(language: str) -> dict[str, dict[str, str]]:
    """The words of one language, from its packaged table."""
    return tomllib.loads(packaged(f"labels.{language}.toml"))


def formatted_amount(minor: int, currency: str, language: str) -> str:
    """An amount of minor units as people of that language write it, as 12,99 €."""
    amount = Decimal(minor).scaleb(-get_currency_precision(currency))
    return format_currency(amount, currency, locale=_LOCALES[language])


def formatted_date(instant: datetime, language: str) -> str:
    """The calendar day in the billing time zone, written out."""
    return format_date(instant.astimezone(BILLING_TIME_ZONE).date(), format="long", locale=_LOCALES[language])


def printed_lines(document: Document, words: Words) -> list[dict[str, object]]:
    """The line of what was sold and, on a final invoice, the one that takes the reservation off (RES-5)."""
    lines = [_line(document, sold_name(document, words), _sold_details(document, words), document.price)]
    deduction = document.deduction
    if deduction is not None:
        invoiced_on = printed_day(deduction.issued_at, document)
        details = [words["vehicle"]["deducted"].format(invoice=deduction.number, issued_on=invoiced_on)]
        lines.append(_line(document, words["vehicle"]["deduction"], details, _negative(deduction.amount)))
    return lines


def sold_name(document: Document, words: Words) -> str:
    """What the customer bought, in a few words."""
    if document.invoice_kind is InvoiceKind.RESERVATION:
        return words["vehicle"]["reservation"].format(name=document.sold.name)
    return document.sold.name


def printed_amounts(document: Document, amount: TaxedAmount) -> dict[str, str]:
    """Base, VAT and total. A credit note gives back: it prints what changes (RD 1619/2012, art. 15.5)."""
    shown = _negative(amount) if document.kind is DocumentKind.CREDIT_NOTE else amount
    minor = {"base": shown.base_minor, "vat": shown.vat_minor, "total": shown.total_minor}
    return {name: formatted_amount(value, document.currency, document.language) for name, value in minor.items()}


def printed_rate(document: Document) -> str:
    """The VAT rate, as 21 %."""
    rate = Decimal(document.amount.rate_bp) / 10_000
    return format_percent(rate, format="#,##0.##\xa0%", locale=_LOCALES[document.language])


def printed_day(instant: datetime, document: Document) -> str:
    """The calendar day in the document's language."""
    return formatted_date(instant, document.language)


def packaged(name: str) -> str:
    """A file of the templates."""
    return resources.files("caas_billing").joinpath("templates", name).read_text(encoding="utf-8")


def _line(document: Document, name: str, details: list[str], amount: TaxedAmount) -> dict[str, object]:
    return {"name": name, "details": details, **printed_amounts(document, amount)}


def _negative(amount: TaxedAmount) -> TaxedAmount:
    return TaxedAmount(amount.rate_bp, -amount.base_minor, -amount.vat_minor)


def _sold_details(document: Document, words: Words) -> list[str]:
    if isinstance(document.sold, SoldService):
        return _service_details(document, document.sold, words)
    return _vehicle_details(document.sold, words["vehicle"])


def _service_details(document: Document, service: SoldService, words: Words) -> list[str]:
    return [
        f"{words['page']['service_code']} {service.code}",
        f"{words['page']['vehicle']} {service.vehicle_id}",
        _period(document, service, words["period"]),
    ]


def _vehicle_details(vehicle: SoldVehicle, words: Mapping[str, str]) -> list[str]:
    details = [
        (words["model"], vehicle.model),
        (words["vin"], vehicle.vin),
        (words["plates"], vehicle.plates),
        (words["options"], ", ".join(vehicle.options)),
        (words["dealership"], vehicle.dealership),
    ]
    return [f"{label} {value}" for label, value in details if value]


def _period(document: Document, service: SoldService, words: Mapping[str, str]) -> str:
    period = service_period(document.supplied_at, service.duration_days)
    starts = printed_day(period.starts_at, document)
    if service.kind is PurchaseKind.PERMANENT or period.ends_at is None:
        return words["permanent"].format(starts=starts)
    days = words["day" if service.duration_days == 1 else "days"].format(count=service.duration_days)
    return words["temporary"].format(starts=starts, ends=printed_day(period.ends_at, document), days=days)
