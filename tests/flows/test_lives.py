"""The whole life of purchases, over years: planned, renewed, ended, withdrawn from, given up, in any order.

The handlers, tables and adapters of all five services are the real ones; what is played is the broker, the partners
and time.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from caas_chassis.logs import configure_logging
from caas_chassis.testing.databases import DatabaseTemplates
from caas_contracts.orders import PurchaseKind
from tests.flows.bank import Fault
from tests.flows.broker import Pick
from tests.flows.cars import Conduct
from tests.flows.laws import assert_books_are_sound, assert_fence_holds, assert_rest_is_just
from tests.flows.processes import SERVICES
from tests.flows.slates import Slates
from tests.flows.world import FOR_A_WEEK, VEHICLES, Terms, World

STEP_LIMIT_S: Final = 120.0
_TERMS: Final = (
    FOR_A_WEEK,
    Terms(PurchaseKind.TEMPORARY, duration_days=30),
    Terms(PurchaseKind.PERMANENT),
    Terms(PurchaseKind.PLANNED, duration_days=30, days_ahead=3),
    Terms(PurchaseKind.PLANNED, days_ahead=40),
    Terms(PurchaseKind.PLANNED, period_months=1, days_ahead=2),
    Terms(PurchaseKind.RECURRING, period_months=1),
    Terms(PurchaseKind.RECURRING, period_months=12),
)
_METHODS: Final = (
    "tok_approved", "tok_approved", "tok_approved", "tok_pending", "tok_declined", "tok_capture_fails",
    "tok_fails_alone", "tok_refund_refused_twice",
)  # fmt: skip
# Sold in all of these ways, without a question to the maintenance system.
_OFFERS: Final = ("seat-heating", "range-extension")
_PERIODS: Final = "SELECT period_number FROM invoice JOIN invoice_line USING (invoice_id) ORDER BY supplied_at"
_DAYS: Final = (0.1, 1, 3, 6, 14, 15, 31, 31, 366)

type Wish = tuple[str, str, str, Terms]
"""Vehicle, service, payment method, and how it is bought."""

type Trouble = tuple[str, Fault, int]
"""Which of the gateway's operations meets what, how often."""

wishes = st.tuples(
    st.sampled_from(VEHICLES), st.sampled_from(_OFFERS), st.sampled_from(_METHODS), st.sampled_from(_TERMS)
)
troubles = st.tuples(
    st.sampled_from(("authorize", "sale", "capture", "void", "refund", "look_up", "feed")),
    st.sampled_from(Fault),
    st.integers(1, 3),
)
plans = st.tuples(*[st.lists(st.sampled_from(Conduct), max_size=6) for _ in VEHICLES])
deaths = st.lists(st.tuples(st.sampled_from(SERVICES), st.integers(1, 12)), max_size=4)
picks = st.lists(st.tuples(st.integers(0, 7), st.sampled_from((1, 1, 2))), min_size=1, max_size=12)
numbers = st.integers(0, 5)


class Lives(RuleBasedStateMachine):
    """Who does what next is Hypothesis' choice; the laws are checked after every step."""

    slates: Slates
    seen: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = World()
        self.broken = False

    def run(self, step: Coroutine[object, object, object]) -> None:
        """One step, bounded in real time."""
        try:
            self.runner.run(asyncio.wait_for(step, STEP_LIMIT_S))
        except BaseException:
            self.broken = True
            raise

    @initialize(first=st.lists(wishes, min_size=2, max_size=5), plans=plans, deaths=deaths)
    def open(self, first: list[Wish], plans: tuple[list[Conduct], ...], deaths: list[tuple[str, int]]) -> None:
        self.run(self.world.open(self.slates))
        for car, plan in zip(self.world.cars.by_id.values(), plans, strict=True):
            car.plan.extend(plan)
        for name, hour in deaths:
            self.world.processes[name].fate.hours.append(hour)
        for wish in first:
            self._buy(wish)

    @rule(wish=wishes)
    def buy(self, wish: Wish) -> None:
        self._buy(wish)

    def _buy(self, wish: Wish) -> None:
        vehicle_id, offer, method, terms = wish
        self.run(self.world.buy(vehicle_id, offer, method, "current", terms))

    @rule(which=numbers)
    def cancel(self, which: int) -> None:
        self.world.cancel(which)

    @rule(which=numbers, times=st.sampled_from((1, 1, 2)))
    def withdraw(self, which: int, times: int) -> None:
        self.run(self.world.withdraw(which, times=times))

    @rule()
    def steal(self) -> None:
        """One car, so that the others can still be sold for."""
        self.run(self.world.report_stolen(VEHICLES[-1]))

    @rule(consumer=st.sampled_from(SERVICES), picks=picks)
    def deliver(self, consumer: str, picks: Sequence[Pick]) -> None:
        self.run(self.world.deliver(consumer, picks))

    @rule(consumer=st.sampled_from(SERVICES), which=numbers, number=st.integers(1, 4))
    def deliver_again(self, consumer: str, which: int, number: int) -> None:
        self.run(self.world.deliver_again(consumer, which, number))

    @rule(order=st.permutations(SERVICES), rounds=st.sampled_from((1, 3, 6)))
    def flow(self, order: list[str], rounds: int) -> None:
        for _ in range(rounds):
            self.run(self.world.flow(order, delays_are_over=True))

    @rule(trouble=troubles)
    def disturb_gateway(self, trouble: Trouble) -> None:
        self.world.bank.will(*trouble)

    @rule(approved=st.booleans(), which=numbers)
    def decide(self, approved: bool, which: int) -> None:
        self.world.bank.decide(which, approved=approved)
        self.world.bank.let_stragglers_arrive()

    @rule(days=st.sampled_from(_DAYS), rounds=st.sampled_from((0, 2, 6)))
    def pass_time(self, days: float, rounds: int) -> None:
        self.world.move_clock(timedelta(days=days))
        for _ in range(rounds):
            self.run(self.world.flow(SERVICES, delays_are_over=True))

    @rule(name=st.sampled_from(SERVICES), hour=st.integers(1, 3))
    def doom(self, name: str, hour: int) -> None:
        self.world.processes[name].fate.hours.append(hour)

    @rule()
    def reconcile(self) -> None:
        self.run(self.world.start_reconciling())

    @invariant()
    def laws_hold(self) -> None:
        if self.world.processes:
            self.run(assert_fence_holds(self.world))
            self.run(assert_books_are_sound(self.world))

    def teardown(self) -> None:
        """Everything calms down, dates come, the books are reconciled; then justice must be done."""
        try:
            if self.world.processes and not self.broken:
                self.run(self._end())
                self.seen.update(self.world.proofs())
        finally:
            self.runner.run(self.world.close())
            self.runner.close()

    async def _end(self) -> None:
        """What renews itself is given up, so that no money is on its way at the end."""
        world = self.world
        for days in (0, 1, 20):
            world.move_clock(timedelta(days=days))
            await world.calm_down()
        for purchase_id in list(world.renewing):
            world.give_up(purchase_id)
        for days in (0, 3):
            world.move_clock(timedelta(days=days))
            await world.calm_down()
        await assert_fence_holds(world)
        await world.start_reconciling()
        await world.calm_down()
        await assert_books_are_sound(world)
        await assert_rest_is_just(world)


@pytest.fixture
def slates(database_templates: DatabaseTemplates) -> Iterator[Slates]:
    slates = Slates(database_templates)
    yield slates
    asyncio.run(slates.drop())


async def test_a_year_by_the_month_is_thirteen_payments_and_thirteen_invoices(slates: Slates) -> None:
    """REC-1 and REC-4: whatever the lengths of its months; then it is given up and keeps what is paid (REC-2)."""
    configure_logging("world", "CRITICAL")
    world = await World().open(slates)
    try:
        await world.buy(
            "veh-0", "seat-heating", "tok_approved", "current", Terms(PurchaseKind.RECURRING, period_months=1)
        )
        await world.calm_down()
        for _ in range(12):
            world.move_clock(timedelta(days=31))
            await world.calm_down()
        [purchase_id] = world.renewing
        world.give_up(purchase_id)
        await world.calm_down()
        invoiced = await world.processes["billing"].rows(_PERIODS)
        numbers = [row["period_number"] for row in invoiced]
        assert numbers == list(range(1, 14))
        await assert_fence_holds(world)
        for _ in range(2):
            world.move_clock(timedelta(days=31))
            await world.calm_down()
            await world.start_reconciling()
            await world.calm_down()
        await assert_rest_is_just(world)
        assert world.happened["recurring expired"] == 1
    finally:
        await world.close()


@pytest.mark.timeout(900)  # An example that fails is made smaller, which takes its time.
def test_every_life_of_a_purchase_ends_paid_and_active_or_free_and_gone(slates: Slates) -> None:
    configure_logging("world", "CRITICAL")
    Lives.slates, Lives.seen = slates, Counter()
    run_state_machine_as_test(
        Lives,
        settings=settings(
            max_examples=12,
            stateful_step_count=20,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"what happened: {dict(sorted(Lives.seen.items()))}")
    for what in ("active", "expired", "withdrawal confirmed"):
        assert Lives.seen[what], f"nothing was ever {what}: the search proves nothing"
