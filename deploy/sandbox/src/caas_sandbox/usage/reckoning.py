"""The sum that a subscription owes for a month, exactly: whole numbers only, and one rounding for each line.

A line is quantity times rate, half a minor unit up. Use that came after its month was billed costs what it would have
cost in time: at that month's price, a day that was billed not again, steps continued from where they were.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from caas_sandbox.usage.agreement import MILLION, Agreement, Kind, Price, Step, millionths
from caas_sandbox.usage.calendar import Month

_LINE = MILLION * MILLION
"""A quantity in millionths times a rate in millionths."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Use of one subscription in one month: `quantity` in millionths, `days` a bit for each day of the month."""

    quantity: int = 0
    days: int = 0
    events: int = 0

    def plus(self, quantity: int, day: int) -> "Tally":
        """With one more use."""
        return Tally(self.quantity + quantity, self.days | 1 << day, self.events + 1)

    def joined(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(self.quantity + other.quantity, self.days | other.days, self.events + other.events)


@dataclass(frozen=True, slots=True)
class Used:
    """Use of the month `month` that is billed now, and what was billed of that month before."""

    month: str
    now: Tally
    before: Tally = Tally()


def lines_of(agreement: Agreement, month: Month, used: Iterable[Used]) -> Iterator[tuple[str, str, int]]:
    """Every line of one month's bill: (kind, month of the use, minor units). Lines of zero are left out."""
    price = agreement.price_in(month.name)
    if price.kind is Kind.FLAT_MONTHLY:
        running = month.days_between(agreement.starts, agreement.ends)
        flat = rounded(_rate(price) * running, MILLION * month.length)
        if flat:
            yield price.kind, month.name, flat
    for use in used:
        then = agreement.price_in(use.month)
        for amount in _amounts(then, use):
            if amount:
                yield then.kind, use.month, amount


def rounded(numerator: int, denominator: int) -> int:
    """The quotient as a whole number, half up; neither may be negative."""
    return (2 * numerator + denominator) // (2 * denominator)


def _amounts(price: Price, use: Used) -> Iterator[int]:
    match price.kind:
        case Kind.PER_USE:
            yield rounded(_rate(price) * use.now.quantity, _LINE)
        case Kind.PER_DAY_USED:
            yield rounded(_rate(price) * (use.now.days & ~use.before.days).bit_count(), MILLION)
        case Kind.TIERED:
            for step, inside in _climb(price.tiers, use.before.quantity, use.before.quantity + use.now.quantity):
                yield rounded(millionths(step.rate) * inside, _LINE)
        case Kind.FLAT_MONTHLY:
            return


def _climb(tiers: Iterable[Step], start: int, end: int) -> Iterator[tuple[Step, int]]:
    """How much of the way from one quantity to another lies inside each step."""
    at = start
    for step in tiers:
        top = end if step.up_to is None else min(end, millionths(step.up_to))
        if top > at:
            yield step, top - at
            at = top


def _rate(price: Price) -> int:
    if price.rate is None:
        raise ValueError(f"a {price.kind} price needs a rate")
    return millionths(price.rate)
