"""What customers and operations read, rendered from the templates of this package."""

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from caas_contracts.money import Money
from caas_contracts.operations import AlertRaised
from caas_orders.domain.notification import Letter, NoticeKind
from caas_orders.domain.order_notice import OrderNoticeKind
from caas_orders.domain.registration import Language

_MADRID: Final = ZoneInfo("Europe/Madrid")


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


def local_time(instant: datetime) -> str:
    """An instant as people in Madrid write it: `22/11/2026 02:35`."""
    return instant.astimezone(_MADRID).strftime("%d/%m/%Y %H:%M")


def local_day(day: date) -> str:
    """A calendar day as people in Madrid write it: `22/11/2026`."""
    return day.strftime("%d/%m/%Y")


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
