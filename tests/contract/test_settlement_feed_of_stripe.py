"""What reconciliation asks Stripe is what Stripe's own OpenAPI document allows: stripe-mock checks every request."""

from collections.abc import Iterator

import httpx
import pytest

from caas_reconciliation.gateway import Page, StripeSettlements, Unusable
from services.payments.tests.gateway.processes import running_stripe_mock
from services.payments.tests.gateway.programs import Missing
from services.payments.tests.gateway.targets import give_up
from services.reconciliation.tests.stripe_in_process import StripeInProcess, a_charge, a_row

KEY = "sk_test_feed"
PATIENCE_S = 20.0

# Building stripe-mock for the first time takes longer than a test may.
pytestmark = pytest.mark.timeout(700)


@pytest.fixture(scope="module")
def stripe_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        with running_stripe_mock(tmp_path_factory.mktemp("stripe-mock"), print) as url:
            yield url
    except Missing as missing:
        give_up(missing)


async def every_question() -> list[httpx.Request]:
    """What a feed with two payouts, read row by row, is asked."""
    stripe = StripeInProcess()
    for name in ("po_1", "po_2"):
        stripe.pay_out(name, *(a_row(f"{name}_{at}", "charge", 1999, 53, a_charge("ours")) for at in range(2)))
    feed, cursor, has_more = StripeSettlements(stripe.client(), KEY), "", True
    while has_more:
        page = await feed.page(cursor, 1)
        assert isinstance(page, Page)
        cursor, has_more = page.next_cursor, page.has_more
    return stripe.asked


async def test_every_question_is_valid_by_stripes_own_document(stripe_mock: str) -> None:
    asked = await every_question()
    assert len(asked) > 6
    async with httpx.AsyncClient(base_url=stripe_mock, timeout=PATIENCE_S) as checker:
        for request in asked:
            headers = {name: value for name, value in request.headers.items() if name != "host"}
            answer = await checker.get(request.url.raw_path.decode(), headers=headers)
            assert answer.status_code == httpx.codes.OK, (str(request.url), answer.text)


async def test_stripes_own_fixtures_are_read(stripe_mock: str) -> None:
    async with httpx.AsyncClient(base_url=stripe_mock, timeout=PATIENCE_S) as client:
        feed = StripeSettlements(client, KEY)
        # The payout in the fixtures is under way, so nothing is settled yet; by its name it is read to its end.
        assert await feed.page("", 100) == Page((), "", has_more=False)
        page = await feed.page("po_1/txn_1", 100)
        assert isinstance(page, Page)
        [line] = page.lines
        assert (line.kind, line.gross_minor, line.currency) == ("capture", 100, "USD")
        # Not the line's own id: what the line is about came with it.
        assert line.transaction_id != line.line_id
        assert isinstance(await StripeSettlements(client, "wrong").page("", 100), Unusable)
