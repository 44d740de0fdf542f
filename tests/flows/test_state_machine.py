"""Purchases, cancellations, faults, deaths and clock moves in any order, against all five services at once.

The handlers, tables and adapters are the real ones; what is played is the broker, the partners and time.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from caas_chassis.logs import configure_logging
from caas_chassis.testing.databases import DatabaseTemplates
from tests.flows.bank import Fault
from tests.flows.broker import Pick
from tests.flows.cars import Conduct, Road
from tests.flows.laws import assert_books_are_sound, assert_fence_holds, assert_rest_is_just
from tests.flows.processes import SERVICES
from tests.flows.slates import Slates
from tests.flows.world import MAINTENANCE, OFFERS, VEHICLES, World

STEP_LIMIT_S: Final = 120.0
_MINUTES: Final = (4, 26, 40)
_DAYS: Final = (1, 4, 9.1)
_METHODS: Final = ("tok_approved", "tok_approved", "tok_approved", "tok_pending", "tok_declined", "tok_capture_fails")
_OPERATIONS: Final = ("authorize", "capture", "void", "look_up", "feed")

type Wish = tuple[str, str, str, str]
"""Vehicle, service, payment method, and what the maintenance system knows."""

type Trouble = tuple[str, Fault, int]
"""Which of the gateway's operations meets what, how often."""

type Death = tuple[str, int]
"""Which service dies at which of its next transactions."""

type Plan = list[tuple[Conduct, int]]
"""How a car treats its next commands: all retries of one must go unheard before silence is decided about."""

services = st.sampled_from(SERVICES)
picks = st.lists(st.tuples(st.integers(0, 7), st.sampled_from((1, 1, 1, 2))), min_size=1, max_size=12)
conducts = st.sampled_from(Conduct)
# Weighted towards silence that outlasts all retries, of cars that have obeyed: what the fence is for.
planned = st.tuples(st.sampled_from((Conduct.MUTE, *Conduct)), st.sampled_from((1, 2, 5, 6)))
plans = st.tuples(*[st.lists(planned, min_size=1, max_size=3) for _ in VEHICLES])
deaths = st.lists(st.tuples(st.sampled_from(SERVICES), st.integers(1, 8)), max_size=4)
numbers = st.integers(0, 5)
moves = st.sampled_from([timedelta(minutes=n) for n in _MINUTES] + [timedelta(days=n) for n in _DAYS])
wishes = st.tuples(
    st.sampled_from(VEHICLES),
    st.sampled_from(OFFERS),
    st.sampled_from(_METHODS),
    st.sampled_from(("current", "current", "current", *MAINTENANCE)),
)

troubles = st.tuples(st.sampled_from(_OPERATIONS), st.sampled_from(Fault), st.integers(1, 4))


class Market(RuleBasedStateMachine):
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

    @initialize(
        first=st.lists(wishes, min_size=2, max_size=5),
        troubles=st.lists(troubles, max_size=5),
        plans=plans,
        deaths=deaths,
    )
    def open(self, first: list[Wish], troubles: list[Trouble], plans: tuple[Plan, ...], deaths: list[Death]) -> None:
        self.run(self.world.open(self.slates))
        for trouble in troubles:
            self.world.bank.will(*trouble)
        for car, plan in zip(self.world.cars.by_id.values(), plans, strict=True):
            for conduct, times in plan:
                car.plan.extend([conduct] * times)
        for name, hour in deaths:
            self.world.processes[name].fate.hours.append(hour)
        for wish in first:
            self.run(self.world.buy(*wish))

    @rule(wish=wishes)
    def buy(self, wish: Wish) -> None:
        self.run(self.world.buy(*wish))

    @rule(which=numbers)
    def cancel(self, which: int) -> None:
        self.world.cancel(which)

    @rule(consumer=services, picks=picks)
    def deliver(self, consumer: str, picks: Sequence[Pick]) -> None:
        self.run(self.world.deliver(consumer, picks))

    @rule(consumer=services, which=numbers, number=st.integers(1, 4))
    def deliver_again(self, consumer: str, which: int, number: int) -> None:
        self.run(self.world.deliver_again(consumer, which, number))

    @rule(name=services, delays_are_over=st.booleans())
    def work(self, name: str, delays_are_over: bool) -> None:
        self.run(self.world.work(name, delays_are_over=delays_are_over))

    @rule(order=st.permutations(SERVICES), delays_are_over=st.booleans())
    def flow(self, order: list[str], delays_are_over: bool) -> None:
        self.run(self.world.flow(order, delays_are_over=delays_are_over))

    @precondition(lambda self: any(car.inbox for car in self.world.cars.by_id.values()))
    @rule(vehicle=st.sampled_from(VEHICLES), conduct=conducts, number=st.integers(1, 3))
    def drive(self, vehicle: str, conduct: Conduct, number: int) -> None:
        self.world.read(vehicle, number, conduct)

    @precondition(lambda self: self.world.cars.answers)
    @rule(picks=picks, withheld=st.booleans())
    def hear(self, picks: Sequence[Pick], withheld: bool) -> None:
        if withheld:
            self.world.cars.release()
        self.run(self.world.hear(picks))

    @rule(trouble=troubles)
    def disturb_gateway(self, trouble: Trouble) -> None:
        self.world.bank.will(*trouble)

    @rule(road=st.sampled_from((Road.CLOSED, Road.NO_RECEIPT)), mails=st.integers(0, 2))
    def disturb_others(self, road: Road, mails: int) -> None:
        self.world.cars.road.append(road)
        self.world.post.busy += mails

    @rule(approved=st.booleans(), which=numbers)
    def decide(self, approved: bool, which: int) -> None:
        self.world.bank.decide(which, approved=approved)
        self.world.bank.let_stragglers_arrive()

    @precondition(lambda self: self.world.bank.webhooks)
    @rule(number=st.integers(1, 4), again=st.booleans())
    def post_webhooks(self, number: int, again: bool) -> None:
        self.run(self.world.post_webhooks(number, again=again))

    @rule(by=moves)
    def move_clock(self, by: timedelta) -> None:
        self.world.move_clock(by)

    @rule(name=services, hour=st.integers(1, 3))
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
        """Everything calms down, time passes all deadlines, the books are reconciled; then justice must be done."""
        try:
            if self.world.processes and not self.broken:
                self.run(self._end())
                self.seen.update(self.world.proofs())
        finally:
            self.runner.run(self.world.close())
            self.runner.close()

    async def _end(self) -> None:
        world = self.world
        for hours in (0, 3):  # Past every `not_after`, while nobody is healed.
            world.move_clock(timedelta(hours=hours))
            await world.run_on(8)
            await assert_fence_holds(world)
        await world.calm_down()
        for days in (1, 20):
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


@pytest.mark.timeout(900)  # An example that fails is made smaller, which takes its time.
def test_no_order_of_events_charges_without_activation_or_activates_without_charge(slates: Slates) -> None:
    configure_logging("world", "CRITICAL")
    Market.slates, Market.seen = slates, Counter()
    run_state_machine_as_test(
        Market,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"what happened: {dict(sorted(Market.seen.items()))}")
    assert Market.seen["expired"], "nothing was ever sold: the search proves nothing"
    assert any("died" in name for name in Market.seen), "no process ever died: the search proves nothing"
