"""The command that replays a month of invented subscriptions: `python -m caas_sandbox.usage.month --help`.

Prints one line of progress to the error output and the book's totals, as JSON, at the end.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

from caas_sandbox.database import open_database
from caas_sandbox.usage.agreement import Agreement, Kind, Price, Step
from caas_sandbox.usage.books import Books
from caas_sandbox.usage.replay import Wish
from caas_sandbox.usage.store import SCHEMA, Store

_PRICES = (
    Price(kind=Kind.PER_USE, unit="km", rate="3.5"),
    Price(kind=Kind.PER_DAY_USED, unit="km", rate="149"),
    Price(kind=Kind.FLAT_MONTHLY, rate="990"),
    Price(kind=Kind.TIERED, unit="km", tiers=(Step(up_to="100", rate="4"), Step(rate="1.25"))),
)
_PAGE = 5000
_LINE_EVERY_S = 1.0


def invented(number: int, seed: int) -> Iterator[Agreement]:
    """So many agreements of all kinds; the same seed invents the same ones."""
    dice = Random(f"{seed}:agreements")
    for place in range(number):
        yield Agreement(
            subscription_id=str(UUID(int=dice.getrandbits(128), version=4)),
            vehicle_id=f"VIN-{place // 4:07}",
            service_code=f"service-{place % 4}",
            prices=(_PRICES[place % 4],),
            started_at=datetime(2020, 1, 1, tzinfo=UTC),
        )


def main() -> None:
    """Replays, and prints the totals."""
    parser = argparse.ArgumentParser(prog="caas_sandbox.usage.month", description="Replay a month of use")
    parser.add_argument("--bootstrap-servers", required=True, help="the broker, host:port")
    parser.add_argument("--state-dir", type=Path, required=True, help="a new folder for the book")
    parser.add_argument("--month", required=True, help="like 2026-10")
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=1_000_000, help="distinct events; copies come on top")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--zone", type=ZoneInfo, default=ZoneInfo("Europe/Madrid"))
    given = parser.parse_args()
    store = Store(open_database(given.state_dir / "usage.sqlite3", SCHEMA))
    if store.number():
        parser.error("the folder has a book already: give another --state-dir")
    page: list[Agreement] = []
    for agreement in invented(given.subscriptions, given.seed):
        page.append(agreement)
        if len(page) == _PAGE:
            store.put_agreements(page)
            page = []
    store.put_agreements(page)
    books = Books(store, given.zone, given.bootstrap_servers)
    asyncio.run(_replay(books, Wish(month=given.month, seed=given.seed, events=given.events)))


async def _replay(books: Books, wish: Wish) -> None:
    replay = books.store.replay(books.store.insert_replay(wish))
    assert replay is not None, "it was just written"
    watching = asyncio.create_task(_watch(books, wish.events))
    try:
        counts = await books.replay(replay)
    finally:
        watching.cancel()
    books.store.end_replay(replay.serial, "done", counts)
    print("", file=sys.stderr)
    owed: Counter[str] = Counter()
    for one in books.owed(wish.month):
        owed[one.currency] += one.minor
    print(json.dumps({"month": wish.month, "sent": counts, "owed_minor": owed}, indent=2))


async def _watch(books: Books, events: int) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(_LINE_EVERY_S)
        rate = books.sent / (time.monotonic() - began)
        left_s = max(0, events - books.sent) / max(rate, 1)
        line = f"{books.sent:,} of about {events:,} records, {rate:,.0f} a second, {left_s:.0f} s left"
        print(f"\r{line:<76}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
