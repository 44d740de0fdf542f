"""What a monthly invoice says of the use that it bills, as finished words: lines, days, and how it is paid (SUB-4)."""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import assert_never

from babel.numbers import format_currency, format_decimal, get_currency_precision

from caas_billing.domain.document import Document
from caas_billing.domain.monthly import DayRange, SoldSubscription, UsageLine, day_ranges
from caas_billing.gateway.wording import LOCALES, Words, formatted_amount, formatted_day, formatted_month
from caas_contracts.subscriptions import RatePlanKind


def printed_usage(document: Document, sold: SoldSubscription, words: Words) -> dict[str, object]:
    """How the total was reckoned, line by line, and the days with use."""
    return {
        "lines": [_line(line, document, sold, words) for line in sold.lines],
        "days": _days(sold.usage_days, document.language, words["usage"]),
    }


def payment_words(document: Document, sold: SoldSubscription, words: Words) -> str:
    """How the invoice is paid, or that another payment method is needed for it."""
    due_on = formatted_day(sold.due_on, document.language)
    return words["payment"]["charged" if sold.is_charged else "method_needed"].format(due_on=due_on)


def _line(line: UsageLine, document: Document, sold: SoldSubscription, words: Words) -> dict[str, object]:
    language, usage = document.language, words["usage"]
    is_late = line.used_in < sold.period
    name = usage["late"] if is_late else usage[line.kind.value]
    return {
        "name": name.format(month=formatted_month(line.used_in, language)),
        "details": _details(line, language, words),
        "quantity": _quantity(line, language, words),
        "rate": f"{_formatted_rate(line.rate, document.currency, language)}/{_rated_by(line, words)}",
        "total": formatted_amount(line.total_minor, document.currency, language),
    }


def _details(line: UsageLine, language: str, words: Words) -> str:
    usage = words["usage"]
    if line.tier is not None:
        above = _counted(line.tier.above, line, language, words)
        if line.tier.up_to is None:
            return usage["tier_last"].format(above=above)
        up_to = _counted(line.tier.up_to, line, language, words)
        return usage["tier_next" if line.tier.above else "tier_first"].format(above=above, up_to=up_to)
    if line.is_pro_rated:
        first, last = formatted_day(line.first_day, language), formatted_day(line.last_day, language)
        return usage["pro_rated"].format(first=first, last=last)
    return ""


def _quantity(line: UsageLine, language: str, words: Words) -> str:
    usage = words["usage"]
    match line.kind:
        case RatePlanKind.FLAT_MONTHLY if line.is_pro_rated:
            return usage["days_of_month"].format(days=line.days, all=line.days_in_month)
        case RatePlanKind.FLAT_MONTHLY:
            return usage["one_month"]
        case RatePlanKind.PER_DAY_USED:
            return words["period"]["day" if line.quantity == 1 else "days"].format(
                count=_formatted_number(line.quantity, language)
            )
        case RatePlanKind.PER_USE | RatePlanKind.TIERED:
            return _counted(line.quantity, line, language, words)
        case _:
            assert_never(line.kind)


def _rated_by(line: UsageLine, words: Words) -> str:
    match line.kind:
        case RatePlanKind.FLAT_MONTHLY:
            return words["usage"]["month"]
        case RatePlanKind.PER_DAY_USED:
            return words["usage"]["day"]
        case RatePlanKind.PER_USE | RatePlanKind.TIERED:
            return _unit(line, words["units"])
        case _:
            assert_never(line.kind)


def _counted(quantity: Decimal, line: UsageLine, language: str, words: Words) -> str:
    unit = _unit(line, words["units" if quantity == 1 else "units_many"])
    return f"{_formatted_number(quantity, language)} {unit}"


def _unit(line: UsageLine, units: Mapping[str, str]) -> str:
    """The unit as people write it; one that has no word of its own is written as its plan does."""
    return units.get(line.unit or "", line.unit or "")


def _days(days: Iterable[date], language: str, usage: Mapping[str, str]) -> list[str]:
    """The days with use of each month, as 1-4, 7, 12-31 de octubre de 2026."""
    months = groupby(day_ranges(days), key=lambda one: one.first.replace(day=1))
    return [
        usage["days_in"].format(
            days=", ".join(_range(one, usage["range"]) for one in ranges), month=formatted_month(month, language)
        )
        for month, ranges in months
    ]


def _range(days: DayRange, dash: str) -> str:
    return str(days.first.day) if days.first == days.last else f"{days.first.day}{dash}{days.last.day}"


def _formatted_rate(rate_minor: Decimal, currency: str, language: str) -> str:
    """A rate of minor units with all the decimals that it has, as 0,0125 €."""
    rate = rate_minor.normalize().scaleb(-get_currency_precision(currency))
    return format_currency(rate, currency, locale=LOCALES[language], decimal_quantization=False)


def _formatted_number(number: Decimal, language: str) -> str:
    return format_decimal(number.normalize(), locale=LOCALES[language], decimal_quantization=False)
