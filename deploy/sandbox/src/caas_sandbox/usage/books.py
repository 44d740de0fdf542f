"""Replays what is wished, and says what each subscription owes: what is counted is what is sent, in one pass.

A replay that was interrupted is done again from its first event: the same events, so that each still counts once.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from zoneinfo import ZoneInfo

from aiokafka.errors import KafkaError

from caas_sandbox.usage.agreement import Agreement
from caas_sandbox.usage.calendar import Month, month_of, name_of
from caas_sandbox.usage.reckoning import Tally, lines_of
from caas_sandbox.usage.replay import Use, What, disordered, sendings_of, uses_of
from caas_sandbox.usage.store import Bill, Replay, Store
from caas_sandbox.usage.topic import UsageTopic

POLL_S = 0.05
TRIES = 5
PAUSE_S = 2.0
_FLUSH = 2000
"""So many tallies are written at a time."""
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Owed:
    """What one subscription owes for a month: `lines` are (kind, month of the use, minor units)."""

    serial: int
    subscription_id: str
    currency: str
    lines: Sequence[tuple[str, str, int]]

    @property
    def minor(self) -> int:
        """The sum of its lines."""
        return sum(amount for _, _, amount in self.lines)


class Books:
    """One book, one broker, one time zone."""

    def __init__(self, store: Store, zone: ZoneInfo, bootstrap_servers: str) -> None:
        self.store = store
        self._zone = zone
        self._bootstrap_servers = bootstrap_servers
        self.sent = 0

    async def run(self) -> None:
        """Replay what is wished, one after the other, for ever."""
        while True:
            wanted = self.store.next_wanted()
            if wanted is None:
                await asyncio.sleep(POLL_S)
            else:
                await self._try(wanted)

    async def replay(self, replay: Replay) -> Counter[str]:
        """Send a whole replay and book it; returns how many events were of which kind, and how many `records`."""
        source, wish, counts = f"replay:{replay.serial}", replay.wish, Counter[str]()
        self.store.forget_tallies(source)
        uses = uses_of(wish, self.store.agreements(), self.store.number(), self._zone)
        mixed = disordered(self._booked(source, wish.month, uses, counts), Random(f"{wish.seed}:disorder"))
        async with UsageTopic(self._bootstrap_servers) as topic:
            await topic.send(self._watched(sendings_of(mixed, wish.seed)), wish.seed)
            counts["records"] = topic.sent
        return counts

    async def send(self, uses: Sequence[tuple[Use, str | None]]) -> None:
        """Send single events, each with the month in which it is billed; None when it costs nothing.

        The same use sent again is booked once.
        """
        for use, billed_in in uses:
            if billed_in is not None:
                tally = Tally().plus(use.quantity, use.day)
                self.store.put_tallies(use.usage_id, {(use.subscription_id, billed_in, use.used_in): tally})
        async with UsageTopic(self._bootstrap_servers) as topic:
            await topic.send(use for use, _ in uses for _ in range(use.copies))

    def use_of(self, agreement: Agreement, usage_id: str, at: int, quantity: int, *, unit: str, copies: int) -> Use:
        """A single event of a subscription."""
        month = month_of(name_of(at, self._zone), self._zone)
        subject = agreement.subscription_id
        return Use(
            usage_id, subject, subject, None, at, quantity, unit, What.PLAIN, month.name, month.day_of(at), copies
        )

    def owed(self, month_name: str, after: int = 0) -> Iterator[Owed]:
        """What is owed for a month by everyone who ran in it or used something that is billed in it."""
        month = month_of(month_name, self._zone)
        while page := self.store.agreements_after(after, _PAGE):
            after = page[-1][0]
            yield from self._owed_on(page, month)

    def _owed_on(self, page: Sequence[tuple[int, Agreement]], month: Month) -> Iterator[Owed]:
        used_by = self.store.used([agreement.subscription_id for _, agreement in page], month.name)
        for serial, agreement in page:
            used = used_by.get(agreement.subscription_id, [])
            if used or month.days_between(agreement.starts, agreement.ends):
                lines = list(lines_of(agreement, month, used))
                yield Owed(serial, agreement.subscription_id, agreement.price_in(month.name).currency, lines)

    async def _try(self, replay: Replay) -> None:
        try:
            counts = await self.replay(replay)
        except (KafkaError, TimeoutError) as error:
            print(f"replay {replay.serial}: {error!r}", file=sys.stderr, flush=True)
            self.store.end_replay(replay.serial, "wanted" if replay.attempts + 1 < TRIES else "failed", {})
            await asyncio.sleep(PAUSE_S)
        else:
            self.store.end_replay(replay.serial, "done", counts)

    def _booked(self, source: str, month: str, uses: Iterable[Use], counts: Counter[str]) -> Iterator[Use]:
        """The same events; on their way those that count are added up, subscription by subscription."""
        tallies: dict[Bill, Tally] = {}
        last = ""
        for use in uses:
            if use.subscription_id != last and len(tallies) >= _FLUSH:
                self.store.put_tallies(source, tallies)
                tallies = {}
            last = use.subscription_id
            counts[use.what] += 1
            counts["duplicates"] += use.copies - 1
            if use.what.counts:
                bill = (use.subscription_id, month, use.used_in)
                tallies[bill] = tallies.get(bill, Tally()).plus(use.quantity, use.day)
            yield use
        self.store.put_tallies(source, tallies)

    def _watched(self, uses: Iterable[Use]) -> Iterator[Use]:
        self.sent = 0
        for use in uses:
            self.sent += 1
            yield use
