"""A replay is the same every time, has what it promises, and its events are where they say they are."""

from collections import Counter
from itertools import islice
from random import Random

import pytest

from caas_sandbox.usage.agreement import Agreement
from caas_sandbox.usage.calendar import micros_of, month_of
from caas_sandbox.usage.month import invented
from caas_sandbox.usage.replay import Mixture, Use, What, Wish, disordered, sendings_of, uses_of
from deploy.sandbox.tests.usage.agreements import MADRID, PER_USE, an_agreement, at

WISH = Wish(month="2026-10", seed=7, events=20_000, mixture=Mixture(edge=500, late=500, before_start=500))


def agreements() -> list[Agreement]:
    """A hundred: most plain, some begun and some ended within the month."""
    found = list(invented(100, seed=3))
    new = [one.model_copy(update={"started_at": at("2026-10-10T09:00")}) for one in found[:10]]
    ended = [one.model_copy(update={"ended_at": at("2026-10-20T17:00")}) for one in found[10:20]]
    return [*new, *ended, *found[20:]]


def uses(wish: Wish = WISH) -> list[Use]:
    return list(uses_of(wish, agreements(), 100, MADRID))


def test_the_same_seed_makes_the_same_events_and_another_seed_others() -> None:
    assert uses() == uses()
    assert {use.usage_id for use in uses()}.isdisjoint(
        use.usage_id for use in uses(WISH.model_copy(update={"seed": 8}))
    )


def test_there_are_exactly_as_many_distinct_events_as_wished_and_every_kind_of_them() -> None:
    found = uses()
    assert len({use.usage_id for use in found}) == len(found) == WISH.events
    assert set(Counter(use.what for use in found)) == set(What)


def test_what_counts_lies_within_the_month_and_the_life_of_its_subscription() -> None:
    by_id = {one.subscription_id: one for one in agreements()}
    october, september = month_of("2026-10", MADRID), month_of("2026-09", MADRID)
    for use in uses():
        agreement = by_id[use.subscription_id]
        runs = agreement.starts <= use.at and (agreement.ends is None or use.at < agreement.ends)
        match use.what:
            case What.PLAIN | What.EDGE | What.WRONG_UNIT:
                assert runs
                assert october.begins <= use.at < october.ends
            case What.LATE:
                assert runs
                assert september.begins <= use.at < september.ends
            case What.AFTER_END:
                assert agreement.ends is not None
                assert agreement.ends <= use.at < october.ends
            case What.BEFORE_START:
                assert october.begins <= use.at < agreement.starts
            case What.UNKNOWN:
                assert use.subject_id not in by_id


@pytest.mark.parametrize("month", ["2026-10", "2026-03", "2028-02"])
def test_the_first_and_the_last_microsecond_of_a_month_are_used(month: str) -> None:
    wish = Wish(month=month, events=5000, mixture=Mixture(edge=10_000))
    instants = {use.at for use in uses_of(wish, [an_agreement(PER_USE)], 1, MADRID)}
    whole = month_of(month, MADRID)
    assert {whole.begins, whole.ends - 1} <= instants


def test_the_hour_that_comes_twice_is_used_both_times() -> None:
    twice = [micros_of(at("2026-10-25T02:00").replace(fold=fold)) for fold in (0, 1)]
    wish = Wish(month="2026-10", events=5000, mixture=Mixture(edge=10_000))
    found = {use.at for use in uses_of(wish, [an_agreement(PER_USE)], 1, MADRID)}
    assert twice[0] != twice[1]
    assert set(twice) <= found


def test_disorder_and_copies_lose_nothing_and_repeat_what_they_promise() -> None:
    found = uses()
    sent = list(sendings_of(disordered(found, Random(1)), WISH.seed))
    assert Counter(use.usage_id for use in sent) == {use.usage_id: use.copies for use in found}
    assert [use.at for use in islice(sent, 100)] != sorted(use.at for use in islice(sent, 100))
    again = [place for place, use in enumerate(sent) if place and use.usage_id == sent[place - 1].usage_id]
    assert 0 < len(again) < sum(use.copies - 1 for use in found)


def test_few_events_for_many_subscriptions_are_shared_out_exactly() -> None:
    wish = Wish(month="2026-10", events=37, mixture=Mixture(idle=5000))
    assert len(list(uses_of(wish, agreements(), 100, MADRID))) == 37
