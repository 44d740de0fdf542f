"""Whether a purchase can be withdrawn from, to the microsecond (DES-1 to DES-3), against a reference of its own."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from caas_contracts.orders import PurchaseKind
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.refusal import RefusalCode
from caas_orders.domain.status import ENDED_WITHOUT_SERVICE, IN_PROGRESS, MoneyOutcome, PurchaseStatus
from caas_orders.domain.withdrawing import right_of
from services.orders.tests.test_purchase_states import a_placed_purchase

MADRID = ZoneInfo("Europe/Madrid")
TICK = timedelta(microseconds=1)
INSTANTS = st.timedeltas(timedelta(0), timedelta(days=5843)).map(lambda later: datetime(2024, 1, 1, tzinfo=UTC) + later)


def an_active_purchase(bought_at: datetime, days: int | None, activated_at: datetime | None = None) -> Purchase:
    began_at = activated_at or bought_at
    return replace(
        a_placed_purchase().purchase,
        kind=PurchaseKind.PERMANENT if days is None else PurchaseKind.TEMPORARY,
        duration_days=days,
        status=PurchaseStatus.ACTIVE,
        money=MoneyOutcome.CAPTURED,
        requested_at=bought_at,
        activated_at=began_at,
        ends_at=None if days is None else began_at + timedelta(days=days),
    )


def objection(purchase: Purchase, at: datetime) -> RefusalCode | None:
    refusal = right_of(purchase, MADRID, at).objection
    return None if refusal is None else refusal.code


def madrid_day(instant: datetime) -> date:
    """Another way to the local day than the code's: by the European rule of summer time."""
    begins, ends = (_last_sunday(instant.year, month) for month in (3, 10))
    is_summer = begins <= instant < ends
    return (instant + timedelta(hours=2 if is_summer else 1)).date()


def _last_sunday(year: int, month: int) -> datetime:
    last = datetime(year, month, 31, 1, tzinfo=UTC)
    return last - timedelta(days=(last.weekday() + 1) % 7)


@given(
    bought_at=INSTANTS, days=st.sampled_from([None, 15, 30, 90, 365]), after=st.timedeltas(timedelta(0), timedelta(17))
)
@example(bought_at=datetime(2026, 3, 14, 22, 59, 59, tzinfo=UTC), days=None, after=timedelta(14))  # into summer time
@example(bought_at=datetime(2026, 10, 10, 22, 0, tzinfo=UTC), days=30, after=timedelta(15))  # out of summer time
def test_a_long_service_can_be_withdrawn_from_to_the_end_of_the_fourteenth_day_in_madrid(
    bought_at: datetime, days: int | None, after: timedelta
) -> None:
    now = bought_at + after  # DES-1
    days_after = (madrid_day(now) - madrid_day(bought_at)).days
    over = None if days_after <= 14 else RefusalCode.WITHDRAWAL_PERIOD_OVER
    assert objection(an_active_purchase(bought_at, days), now) is over


@given(bought_at=INSTANTS, days=st.sampled_from([None, 15, 30]))
def test_the_last_moment_is_named_exactly(bought_at: datetime, days: int | None) -> None:
    purchase = an_active_purchase(bought_at, days)  # DES-1
    right = right_of(purchase, MADRID, bought_at)
    assert objection(purchase, right.until - TICK) is None
    assert objection(purchase, right.until) is RefusalCode.WITHDRAWAL_PERIOD_OVER
    assert right.last_day(MADRID) == madrid_day(bought_at) + timedelta(days=14)
    assert madrid_day(right.until) == madrid_day(bought_at) + timedelta(days=15)


@given(bought_at=INSTANTS, days=st.integers(1, 14), delay=st.timedeltas(timedelta(0), timedelta(days=7)))
def test_a_short_service_can_be_withdrawn_from_until_it_ends(bought_at: datetime, days: int, delay: timedelta) -> None:
    purchase = an_active_purchase(bought_at, days, bought_at + delay)  # DES-2
    assert purchase.ends_at is not None
    assert objection(purchase, purchase.ends_at - TICK) is None
    assert objection(purchase, purchase.ends_at) is RefusalCode.SERVICE_ENDED
    expired = replace(purchase, status=PurchaseStatus.EXPIRED)
    assert objection(expired, purchase.ends_at + TICK) is RefusalCode.SERVICE_ENDED


@pytest.mark.parametrize(
    ("bought_at", "until"),
    [
        # Bought in the last second of a day, in winter, and in the first of the next.
        ("2026-11-22T22:59:59Z", "2026-12-06T23:00:00Z"),
        ("2026-11-22T23:00:00Z", "2026-12-07T23:00:00Z"),
        # Across the night that has no hour from two to three, and the one that has it twice.
        ("2026-03-20T12:00:00Z", "2026-04-03T22:00:00Z"),
        ("2026-03-15T12:00:00Z", "2026-03-29T22:00:00Z"),
        ("2026-10-11T12:00:00Z", "2026-10-25T23:00:00Z"),
        ("2026-10-24T22:30:00Z", "2026-11-08T23:00:00Z"),
        # Across the end of a year, and the day that leap years have.
        ("2026-12-25T12:00:00Z", "2027-01-08T23:00:00Z"),
        ("2028-02-20T12:00:00Z", "2028-03-05T23:00:00Z"),
    ],
)
def test_the_fourteenth_day_ends_at_midnight_in_madrid(bought_at: str, until: str) -> None:
    purchase = an_active_purchase(datetime.fromisoformat(bought_at), None)  # DES-1
    assert right_of(purchase, MADRID, purchase.requested_at).until == datetime.fromisoformat(until)


def test_fourteen_days_are_short_and_fifteen_are_long() -> None:
    bought_at = datetime(2026, 11, 22, 9, tzinfo=UTC)
    short, long = an_active_purchase(bought_at, 14), an_active_purchase(bought_at, 15)
    assert right_of(short, MADRID, bought_at).until == bought_at + timedelta(days=14)  # DES-2
    assert right_of(long, MADRID, bought_at).until == datetime(2026, 12, 6, 23, tzinfo=UTC)  # DES-1


@given(bought_at=INSTANTS, ahead=st.integers(1, 60), days=st.sampled_from([None, 7, 30]))
def test_a_planned_purchase_is_paid_back_until_its_date_and_then_as_any_other(
    bought_at: datetime, ahead: int, days: int | None
) -> None:
    starts_at = bought_at + timedelta(days=ahead)  # PLN-1
    active = replace(an_active_purchase(bought_at, days, starts_at), kind=PurchaseKind.PLANNED, starts_at=starts_at)
    scheduled = replace(active, status=PurchaseStatus.SCHEDULED, money=None, activated_at=None, ends_at=None)
    before = right_of(scheduled, MADRID, starts_at - TICK)
    assert (before.objection, before.refund) == (None, scheduled.price)
    if days == 7:
        assert (
            active.ends_at == right_of(scheduled, MADRID, bought_at).until == right_of(active, MADRID, bought_at).until
        )
        assert objection(active, starts_at + timedelta(days=7) - TICK) is None
    else:
        over = (madrid_day(starts_at) - madrid_day(bought_at)).days > 14
        assert objection(active, starts_at) is (RefusalCode.WITHDRAWAL_PERIOD_OVER if over else None)


@pytest.mark.parametrize("status", PurchaseStatus)
def test_what_renews_itself_is_cancelled_instead_in_every_state(status: PurchaseStatus) -> None:
    recurring = replace(  # DES-3, PLN-2
        a_placed_purchase().purchase, kind=PurchaseKind.RECURRING, duration_days=None, period_months=1, status=status
    )
    planned = replace(recurring, kind=PurchaseKind.PLANNED, starts_at=recurring.requested_at)
    subscription = replace(recurring, kind=PurchaseKind.SUBSCRIPTION, period_months=None, payment_id=None)
    for purchase in (recurring, planned, subscription):
        assert objection(purchase, purchase.requested_at) is RefusalCode.CANCEL_INSTEAD


@pytest.mark.parametrize("status", sorted(ENDED_WITHOUT_SERVICE))
def test_what_was_never_charged_leaves_nothing_to_withdraw_from(status: PurchaseStatus) -> None:
    purchase = replace(a_placed_purchase().purchase, status=status, money=MoneyOutcome.VOIDED)
    assert objection(purchase, purchase.requested_at) is RefusalCode.NOTHING_TO_WITHDRAW


@pytest.mark.parametrize("status", sorted(IN_PROGRESS - {PurchaseStatus.SCHEDULED, PurchaseStatus.SETTLING}))
def test_what_is_only_held_is_released_and_nothing_is_paid_back(status: PurchaseStatus) -> None:
    right = right_of(replace(a_placed_purchase().purchase, status=status), MADRID, datetime(2026, 11, 23, tzinfo=UTC))
    assert (right.objection, right.refund.amount_minor) == (None, 0)  # DES-4


def test_what_was_written_off_has_nothing_to_be_paid_back() -> None:
    purchase = an_active_purchase(datetime(2026, 11, 22, tzinfo=UTC), 30)
    lost = replace(purchase, money=MoneyOutcome.WRITTEN_OFF)  # SVC-8
    assert right_of(purchase, MADRID, purchase.requested_at).refund == purchase.price
    assert right_of(lost, MADRID, purchase.requested_at).refund.amount_minor == 0
