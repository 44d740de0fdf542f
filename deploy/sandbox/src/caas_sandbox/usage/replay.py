"""A month of use, made from a seed: the same seed and agreements give the same events, whoever asks and how often.

Every event says what it is: what counts (and for which month), and what is wrong with it on purpose.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from caas_sandbox.usage.agreement import MILLION, Agreement, Kind, MonthName
from caas_sandbox.usage.calendar import Month, month_of, previous_name

_WHOLE = 10_000
_WINDOW = 4096
"""So many events are shuffled at a time: disorder of whole minutes at any rate, in bounded memory."""
type Share = Annotated[int, Field(ge=0, le=_WHOLE, description="events of ten thousand")]


class What(StrEnum):
    """What an event is. Only the first three cost anything."""

    PLAIN = "plain"
    EDGE = "edge"
    LATE = "late"
    AFTER_END = "after_end"
    BEFORE_START = "before_start"
    WRONG_UNIT = "wrong_unit"
    UNKNOWN = "unknown"

    @property
    def counts(self) -> bool:
        """Whether it is owed for."""
        return self in (What.PLAIN, What.EDGE, What.LATE)


class Mixture(BaseModel):
    """How many events of ten thousand are not plain. `late` is use of the month before, which is billed already.

    Only subscriptions that ran in that month are late; only those that have ended have use `after_end`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    duplicates: Share = 200
    edge: Share = 100
    late: Share = 100
    after_end: Share = 1000
    before_start: Share = 20
    wrong_unit: Share = 20
    unknown: Share = 20
    idle: Share = 200
    """Subscriptions, not events, that are not used at all."""


class Wish(BaseModel):
    """A replay of so many distinct events. `month` is the one that is billed next."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    month: MonthName
    seed: int = 1
    events: Annotated[int, Field(ge=1, le=100_000_000)]
    mixture: Mixture = Mixture()


@dataclass(frozen=True, slots=True)
class Use:
    """One event. `quantity` in millionths, `at` in microseconds since 1970; `copies` is how often it is sent."""

    usage_id: str
    subscription_id: str
    subject_id: str
    service_code: str | None
    at: int
    quantity: int
    unit: str
    what: What
    used_in: str
    day: int
    copies: int = 1


def uses_of(wish: Wish, agreements: Iterable[Agreement], number: int, zone: ZoneInfo) -> Iterator[Use]:
    """Every distinct event once, one subscription after the other; `number` is how many agreements there are.

    What befalls a subscription is decided by the seed and its own id; the others decide only how often.
    """
    month, before = month_of(wish.month, zone), month_of(previous_name(wish.month), zone)
    shares = _Shares(wish, number)
    for place, agreement in enumerate(agreements, start=1):
        life = _Life(agreement, wish, month, before)
        for _ in range(shares.next(is_last=place == number, is_idle=life.is_idle)):
            yield life.next_use()


def sendings_of(uses: Iterable[Use], seed: int) -> Iterator[Use]:
    """Every event as often as it is sent: some copies follow at once, others when all else was sent."""
    dice = Random(f"{seed}:copies")
    held: list[Use] = []
    for use in uses:
        yield use
        for _ in range(use.copies - 1):
            if len(held) < _WINDOW and dice.random() < 0.5:
                held.append(use)
            else:
                yield use
    yield from held


def disordered[T](things: Iterable[T], dice: Random) -> Iterator[T]:
    """The same things in another order, with at most so many of them in memory."""
    window: list[T] = []
    for thing in things:
        window.append(thing)
        if len(window) == _WINDOW:
            yield _drawn(window, dice)
    while window:
        yield _drawn(window, dice)


def _drawn[T](window: list[T], dice: Random) -> T:
    place = int(dice.random() * len(window))
    window[place], window[-1] = window[-1], window[place]
    return window.pop()


class _Shares:
    """How many events fall to each: between none and twice the mean, and exactly the wanted number together."""

    def __init__(self, wish: Wish, number: int) -> None:
        self._events, self._number = wish.events, number
        self._dice = Random(f"{wish.seed}:shares")
        self._place = self._given = 0

    def next(self, *, is_last: bool, is_idle: bool) -> int:
        """For the next one; an idle one leaves its own to those that follow."""
        self._place += 1
        if is_idle and not is_last:
            return 0
        whole = self._events * self._place / self._number
        upto = self._events if is_last else int(whole + self._dice.random() * self._events / self._number)
        share = max(0, min(upto, self._events) - self._given)
        self._given += share
        return share


class _Life:
    """The use of one subscription in a month, decided by the seed and its own id."""

    def __init__(self, agreement: Agreement, wish: Wish, month: Month, before: Month) -> None:
        self._agreement, self._month, self._before = agreement, month, before
        self._price = agreement.price_in(month.name)
        self._dice = Random(f"{wish.seed}:{wish.month}:{agreement.subscription_id}")
        self._from = max(agreement.starts, month.begins)
        self._until = month.ends if agreement.ends is None else min(agreement.ends, month.ends)
        self.is_idle = self._roll(wish.mixture.idle) or self._is_void
        self._edges = [edge for edge in (*month.edges(), self._from, self._until - 1) if self._runs_at(edge)]
        self._odds = self._possible(wish.mixture)

    def next_use(self) -> Use:
        """One more event, different from all others."""
        what, copies = self._draw(), 1
        while copies < 4 and self._roll(self._odds["duplicates"]):
            copies += 1
        at = self._instant(what)
        month = self._before if what is What.LATE else self._month
        is_by_vehicle = what is not What.UNKNOWN and self._dice.random() < 0.3
        agreement = self._agreement
        subject = agreement.vehicle_id if is_by_vehicle else agreement.subscription_id
        return Use(
            usage_id=self._new_id(),
            subscription_id=agreement.subscription_id,
            subject_id=self._new_id() if what is What.UNKNOWN else subject,
            service_code=agreement.service_code if is_by_vehicle else None,
            at=at,
            quantity=self._quantity(),
            unit="parsec" if what is What.WRONG_UNIT else self._price.unit or "use",
            what=what,
            used_in=month.name,
            day=month.day_of(at) if what.counts else 0,
            copies=copies,
        )

    def _possible(self, mixture: Mixture) -> dict[str, int]:
        """The mixture without what cannot happen to this subscription."""
        odds = {name: int(share) for name, share in mixture.model_dump().items()}
        agreement, month, before = self._agreement, self._month, self._before
        has_ended = agreement.ends is not None and month.begins <= agreement.ends < month.ends
        ran_before = agreement.starts < before.ends and (agreement.ends is None or agreement.ends > month.begins)
        is_new = month.begins < agreement.starts < month.ends
        impossible = {
            "after_end": not has_ended,
            "late": not ran_before,
            "before_start": not is_new,
            "wrong_unit": self._price.unit is None or self._price.kind is Kind.FLAT_MONTHLY,
            "edge": not self._edges,
        }
        return {name: 0 if impossible.get(name) else share for name, share in odds.items()}

    def _draw(self) -> What:
        if self._is_void:
            return What.UNKNOWN
        left = int(self._dice.random() * _WHOLE)
        for what in (What.EDGE, What.LATE, What.AFTER_END, What.BEFORE_START, What.WRONG_UNIT, What.UNKNOWN):
            left -= self._odds[what]
            if left < 0:
                return what
        return What.PLAIN

    def _instant(self, what: What) -> int:
        match what:
            case What.EDGE:
                return self._dice.choice(self._edges)
            case What.LATE:
                return self._between(max(self._agreement.starts, self._before.begins), self._before.ends)
            case What.AFTER_END:
                return self._between(self._until, self._month.ends)
            case What.BEFORE_START:
                return self._between(self._month.begins, self._from)
            case _ if self._is_void:
                return self._between(self._month.begins, self._month.ends)
            case _:
                return self._between(self._from, self._until)

    @property
    def _is_void(self) -> bool:
        """Whether it did not run in this month at all: then nothing that counts can happen."""
        return self._from >= self._until

    def _runs_at(self, at: int) -> bool:
        return self._from <= at < self._until

    def _between(self, first: int, end: int) -> int:
        return first + int(self._dice.random() * (end - first))

    def _quantity(self) -> int:
        """Mostly small whole numbers; sometimes thousandths, and now and then a millionth."""
        kind = self._dice.random()
        if kind < 0.6:
            return (1 + int(self._dice.random() * 5)) * MILLION
        if kind < 0.98:
            return (1 + int(self._dice.random() * 20_000)) * 1000
        return 1 + int(self._dice.random() * MILLION)

    def _new_id(self) -> str:
        return str(UUID(int=self._dice.getrandbits(128), version=4))

    def _roll(self, share: int) -> bool:
        return self._dice.random() * _WHOLE < share
