"""The settlement feed: the real sandbox gateway, the one in this process, and answers that are none."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.payments import RecordSettlement
from caas_contracts.reconciliation import DiscrepancyKind
from caas_reconciliation.app import build_service
from caas_reconciliation.domain.settlement import SettlementLine
from caas_reconciliation.gateway import FeedAnswer, GatewaySettlements, Page, SettlementFeed, Unavailable, Unusable
from services.reconciliation.tests.builders import (
    AN_INSTANT,
    a_capture,
    a_chargeback,
    a_line,
    a_refund,
    euros,
    settings_for,
)
from services.reconciliation.tests.in_process_feed import InProcessFeed
from services.reconciliation.tests.running import Reconciliation, migrate
from services.reconciliation.tests.sandbox import API_KEY, SandboxGateway, a_sandbox_gateway

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxGateway]:
    """The sandbox gateway that these tests share: one of them sells, the others only ask."""
    with a_sandbox_gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
async def over_http(gateway: SandboxGateway) -> AsyncIterator[GatewaySettlements]:
    """The feed of the sandbox gateway."""
    async with httpx.AsyncClient(base_url=gateway.url, timeout=1) as client:
        yield GatewaySettlements(client, API_KEY)


async def check_contract(feed: SettlementFeed, stated: int) -> None:
    """What reconciliation relies on: `stated` lines in pages, in one order, the cursor good for ever."""
    whole = await feed.page("", 100)
    assert isinstance(whole, Page)
    assert (len(whole.lines), whole.has_more) == (stated, False)
    seen: list[SettlementLine] = []
    cursor = ""
    for _ in range(stated):
        page = await feed.page(cursor, 1)
        assert isinstance(page, Page)
        seen += page.lines
        cursor = page.next_cursor
        assert page.has_more == (len(seen) < stated)
    assert [line.line_id for line in seen] == [line.line_id for line in whole.lines]
    end = await feed.page(whole.next_cursor, 1)
    assert end == Page((), whole.next_cursor, has_more=False)


async def test_the_feed_in_this_process_keeps_the_contract() -> None:
    feed = InProcessFeed()
    feed.state(*[a_line(uuid4()) for _ in range(3)])
    await check_contract(feed, 3)


async def test_the_sandbox_gateway_keeps_the_contract(gateway: SandboxGateway, over_http: GatewaySettlements) -> None:
    gateway.move_clock(AN_INSTANT)
    for _ in range(3):
        gateway.sell(uuid4(), "tok_approved", 1999)
    gateway.move_clock(AN_INSTANT + 3 * DAY)
    await check_contract(over_http, 3)


@pytest.mark.parametrize("kind", ["timeout_before", "503", "429", "garbage", "half"])
async def test_a_gateway_in_trouble_is_an_answer_and_no_error(
    gateway: SandboxGateway, over_http: GatewaySettlements, kind: str
) -> None:
    gateway.fail(operation="settlements", kind=kind, times=1)
    assert isinstance(await over_http.page("", 10), Unavailable | Unusable)
    assert isinstance(await over_http.page("", 10), Page)


async def test_a_wrong_key_is_refused(gateway: SandboxGateway) -> None:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=5) as client:
        assert await GatewaySettlements(client, "other").page("", 10) == Unusable("status 401")


async def test_a_gateway_that_is_not_there_is_unavailable() -> None:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:9", timeout=5) as client:
        assert await GatewaySettlements(client, API_KEY).page("", 10) == Unavailable("no answer: ConnectError")


LINE = {
    "id": "stl_1",
    "transaction_id": "txn_1",
    "reference": "r",
    "kind": "capture",
    "gross_minor": 100,
    "fee_minor": 1,
    "net_minor": 99,
    "currency": "EUR",
    "settled_on": "2026-03-05",
    "payout_id": "po_1",
}


async def answer_to(body: bytes, status: int = 200, **headers: str) -> FeedAnswer:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body, headers=headers))
    async with httpx.AsyncClient(base_url="http://gateway", transport=transport) as client:
        return await GatewaySettlements(client, API_KEY).page("c", 10)


def a_page(**line: Any) -> bytes:
    return json.dumps({"lines": [LINE | line], "next_cursor": "1", "has_more": False}).encode()


async def test_what_the_gateway_says_beyond_the_agreed_is_kept_with_the_raw_line() -> None:
    page = await answer_to(a_page(colour="blue"))
    assert isinstance(page, Page)
    assert json.loads(page.lines[0].raw)["colour"] == "blue"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>",
        a_page(gross_minor=1.5),
        a_page(gross_minor="100"),
        a_page(gross_minor=10**15),
        a_page(currency="euro"),
        a_page(settled_on="yesterday"),
        a_page(id=""),
        a_page(reference="\x00"),
        a_page()[:-20],
        json.dumps({"lines": [], "has_more": True}).encode(),
        b" " * (5 * 1024 * 1024),
    ],
)
async def test_an_answer_that_is_no_page_is_unusable_as_a_whole(body: bytes) -> None:
    assert isinstance(await answer_to(body), Unusable)


async def test_the_gateway_says_how_long_to_wait() -> None:
    assert await answer_to(b"", 429, **{"Retry-After": "7"}) == Unavailable("status 429", 7.0)
    assert await answer_to(b"", 503, **{"Retry-After": "soon"}) == Unavailable("status 503", None)


TOKENS = ("tok_approved", "tok_settles_partially", "tok_settles_late", "tok_chargeback", "tok_approved:refunded")


async def sell_everything(gateway: SandboxGateway, service: Reconciliation) -> int:
    """A sale per token, with what payments tells of each; returns how much was captured."""
    sales = {token: (uuid4(), 2000 + number) for number, token in enumerate(TOKENS)}
    for token, (payment, minor) in sales.items():
        transaction_id = gateway.sell(payment, token, minor)
        capture = a_capture(payment, amount=euros(minor))
        await service.harness.receive(capture.model_copy(update={"gateway_transaction_id": transaction_id}))
        if token == "tok_approved:refunded":
            refund = a_refund(payment, 500)
            gateway.refund(transaction_id, 500, refund.refund_id)
            await service.harness.receive(refund)
    await service.harness.receive(a_chargeback(sales["tok_chargeback"][0], disputed_minor=2003))
    return sum(minor for _, minor in sales.values())


async def test_the_sandbox_gateway_is_reconciled_to_the_cent(tmp_path: Path, make_database: MakeDatabase) -> None:
    """Approved, partial, late, refunded and charged back, pulled from the real process while time goes by."""
    url = await make_database("reconciliation", migrate)
    with a_sandbox_gateway(tmp_path) as gateway:
        gateway.move_clock(AN_INSTANT)
        async with httpx.AsyncClient(base_url=gateway.url, timeout=5) as client:
            feed = GatewaySettlements(client, API_KEY)
            async with Harness(build_service(settings_for(url, page_size=2), feed), url) as harness:
                await check_settlement(gateway, Reconciliation(harness, InProcessFeed()))


async def check_settlement(gateway: SandboxGateway, service: Reconciliation) -> None:
    captured = await sell_everything(gateway, service)
    open_kinds = {days: await open_kinds_after(gateway, service, days) for days in (0, 9, 14)}
    assert open_kinds == {
        0: [DiscrepancyKind.CHARGEBACK],
        9: [DiscrepancyKind.CHARGEBACK, DiscrepancyKind.DELAYED, DiscrepancyKind.PARTIAL],
        14: [DiscrepancyKind.CHARGEBACK, DiscrepancyKind.PARTIAL],
    }
    await service.assert_books_hold()
    assert len(await service.harness.published(RecordSettlement)) == len(TOKENS)
    balances = await service.balances()
    assert gateway.books()["captured_minor"] == captured == 500 - balances["receivable"]
    assert balances["chargebacks"] == 2003
    assert balances["cash_in_transit"] == 2001 - 1000


async def open_kinds_after(gateway: SandboxGateway, service: Reconciliation, days: int) -> list[DiscrepancyKind]:
    """The kinds of open cases once so many days have passed since the sales."""
    now = AN_INSTANT + days * DAY + timedelta(hours=1)
    gateway.move_clock(now)
    await service.move_to(now)
    report = await service.reconcile()
    assert report.proof_difference_minor == 0
    assert report.unexplained_lines == 0
    return sorted(case.finding.kind for case in await service.open_cases())
