"""What customers and operations read, rendered from the templates of this package."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from caas_contracts.money import Money
from caas_contracts.operations import AlertRaised
from caas_contracts.subscriptions import RatePlan, RatePlanKind
from caas_orders.domain.notification import Letter, NoticeKind
from caas_orders.domain.order_notice import OrderNoticeKind
from caas_orders.domain.registration import Language

_MADRID: Final = ZoneInfo("Europe/Madrid")
_RATES: Final[Mapping[Language, Mapping[str, str]]] = {
    Language.SPANISH: {
        RatePlanKind.PER_USE: "{rate} por {unit}",
        RatePlanKind.PER_DAY_USED: "{rate} por día de uso",
        RatePlanKind.FLAT_MONTHLY: "{rate} al mes",
        RatePlanKind.TIERED: "{rate} por {unit} hasta {up_to}",
        "then": ", después ",
    },
    Language.ENGLISH: {
        RatePlanKind.PER_USE: "{rate} per {unit}",
        RatePlanKind.PER_DAY_USED: "{rate} per day of use",
        RatePlanKind.FLAT_MONTHLY: "{rate} per month",
        RatePlanKind.TIERED: "{rate} per {unit} up to {up_to}",
        "then": ", then ",
    },
}

type Fact = str | Money
"""What a letter says; amounts are written as its language does."""


def compose(kind: NoticeKind | OrderNoticeKind, language: Language, facts: Mapping[str, object]) -> Letter:
    """The letter of one outcome. `facts` are the names its template uses; a missing one is an error."""
    return _letter(_template(f"{kind}.{language}.txt").render(facts))


def compose_alert(alert: AlertRaised) -> Letter:
    """The letter to operations about one alert (NOT-2)."""
    return _letter(_template("alert.txt").render(alert=alert))


def amount(money: Money, language: Language) -> str:
    """An amount with two decimals, as the language writes it: `1.234,50 €` or `€1,234.50`."""
    whole, cents = divmod(money.amount_minor, 100)
    if language is Language.SPANISH:
        symbol = "€" if money.currency == "EUR" else money.currency
        return f"{f'{whole:,}'.replace(',', '.')},{cents:02d} {symbol}"
    symbol = "€" if money.currency == "EUR" else f"{money.currency} "
    return f"{symbol}{whole:,}.{cents:02d}"


def rates_in_words(plan: RatePlan, unit_names: Mapping[Language, str], language: Language) -> str:
    """What a rate plan costs: `0,015 € por km`, or `€8.99 per month`."""
    words = _RATES[language]
    unit = unit_names.get(language, "")
    if plan.kind is not RatePlanKind.TIERED:
        return words[plan.kind].format(rate=_rate(plan.rate or "0", plan.currency, language), unit=unit)
    steps = [
        words[plan.kind if tier.up_to else RatePlanKind.PER_USE].format(
            rate=_rate(tier.rate, plan.currency, language), unit=unit, up_to=tier.up_to
        )
        for tier in plan.tiers
    ]
    return words["then"].join(steps)


def local_time(instant: datetime, time_zone: str = "Europe/Madrid") -> str:
    """An instant as people in this zone write it: `22/11/2026 02:35`."""
    return instant.astimezone(ZoneInfo(time_zone)).strftime("%d/%m/%Y %H:%M")


def local_second(instant: datetime) -> str:
    """An instant on a receipt, with its seconds and its difference to UTC: `22/11/2026 02:35:07 (CET, UTC+01:00)`."""
    return instant.astimezone(_MADRID).strftime("%d/%m/%Y %H:%M:%S (%Z, UTC%:z)")


def local_date(instant: datetime) -> str:
    """The day of an instant as people in Madrid write it: `22/11/2026`."""
    return local_day(instant.astimezone(_MADRID).date())


def local_day(day: date) -> str:
    """A calendar day as people in Madrid write it: `22/11/2026`."""
    return day.strftime("%d/%m/%Y")


def _rate(minor: str, currency: str, language: Language) -> str:
    """A rate in major units, with two decimals at least and as many as it has."""
    major = Decimal(minor).scaleb(-2)
    text = f"{max(major, major.quantize(Decimal('0.01')), key=lambda one: -int(one.as_tuple().exponent)):f}"
    if language is Language.SPANISH:
        return f"{text.replace('.', ',')} {'€' if currency == 'EUR' else currency}"
    return f"€{text}" if currency == "EUR" else f"{currency} {text}"


def _letter(rendered: str) -> Letter:
    """The first line of a template is the subject, the rest after an empty line the text."""
    subject, _, text = rendered.partition("\n")
    return Letter(subject.strip(), text.strip() + "\n")


@cache
def _template(name: str) -> Template:
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    # Plain text is written, so nothing is to be escaped; a value with a line break cannot reach a header,
    # because the mail library refuses it.
    return Environment(
        loader=PackageLoader("caas_orders.gateway"),
        autoescape=False,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
