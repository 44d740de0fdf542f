"""What a document says, in the customer's language: its lines, amounts and days as finished words.

What customers and catalogues wrote enters as data, never as markup.
"""

import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Final, assert_never

from babel.dates import format_date, format_skeleton
from babel.numbers import format_currency, format_percent, get_currency_precision

from caas_billing.domain.document import Document, DocumentKind
from caas_billing.domain.monthly import SoldSubscription
from caas_billing.domain.numbering import BILLING_TIME_ZONE
from caas_billing.domain.sale import SoldService, SoldVehicle
from caas_billing.domain.service_period import service_period
from caas_billing.domain.vat import TaxedAmount
from caas_contracts.billing import InvoiceKind
from caas_contracts.orders import PurchaseKind

LOCALES: Final[Mapping[str, str]] = {"es": "es_ES", "en": "en_GB"}

type Words = Mapping[str, Mapping[str, str]]


@cache
def labels(language: str) -> dict[str, dict[str, str]]:
    """The words of one language, from its packaged table."""
    return tomllib.loads(packaged(f"labels.{language}.toml"))


def formatted_amount(minor: int, currency: str, language: str) -> str:
    """An amount of minor units as people of that language write it, as 12,99 €."""
    amount = Decimal(minor).scaleb(-get_currency_precision(currency))
    return format_currency(amount, currency, locale=LOCALES[language])


def formatted_date(instant: datetime, language: str) -> str:
    """The calendar day in the billing time zone, written out."""
    return formatted_day(instant.astimezone(BILLING_TIME_ZONE).date(), language)


def formatted_day(day: date, language: str) -> str:
    """A calendar day, written out."""
    return format_date(day, format="long", locale=LOCALES[language])


def formatted_month(day: date, language: str) -> str:
    """The month of a day, as octubre de 2026."""
    return format_skeleton("yMMMM", day, locale=LOCALES[language])


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


def mailed_name(document: Document) -> str:
    """What the customer bought, as an e-mail names it: a monthly service with its month."""
    sold = document.sold
    if isinstance(sold, SoldSubscription):
        return f"{sold.name}, {formatted_month(sold.period, document.language)}"
    return sold.name


def printed_amounts(document: Document, amount: TaxedAmount) -> dict[str, str]:
    """Base, VAT and total. A credit note gives back: it prints what changes (RD 1619/2012, art. 15.5)."""
    shown = _negative(amount) if document.kind is DocumentKind.CREDIT_NOTE else amount
    minor = {"base": shown.base_minor, "vat": shown.vat_minor, "total": shown.total_minor}
    return {name: formatted_amount(value, document.currency, document.language) for name, value in minor.items()}


def printed_rate(document: Document) -> str:
    """The VAT rate, as 21 %."""
    rate = Decimal(document.amount.rate_bp) / 10_000
    return format_percent(rate, format="#,##0.##\xa0%", locale=LOCALES[document.language])


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
    match document.sold:
        case SoldService() as service:
            return [*_service_details(service, words["page"]), _period(document, service, words["period"])]
        case SoldSubscription() as service:
            month = formatted_month(service.period, document.language)
            return [*_service_details(service, words["page"]), words["period"]["monthly"].format(month=month)]
        case SoldVehicle() as vehicle:
            return _vehicle_details(vehicle, words["vehicle"])
        case _:
            assert_never(document.sold)


def _service_details(service: SoldService | SoldSubscription, words: Mapping[str, str]) -> list[str]:
    return [f"{words['service_code']} {service.code}", f"{words['vehicle']} {service.vehicle_id}"]


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
    if service.period is not None:
        ends = printed_day(service.period.ends_at, document)
        return words["recurring"].format(number=service.period.number, starts=starts, ends=ends)
    if service.kind is PurchaseKind.PERMANENT or period.ends_at is None:
        return words["permanent"].format(starts=starts)
    days = words["day" if service.duration_days == 1 else "days"].format(count=service.duration_days)
    return words["temporary"].format(starts=starts, ends=printed_day(period.ends_at, document), days=days)
