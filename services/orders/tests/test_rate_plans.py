"""Rate plans: versions that never touch what runs, published once, never with other terms (SUB-3)."""

import asyncio
import copy
import tomllib
from datetime import datetime
from importlib import resources
from typing import Any

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.subscriptions import RatePlan, RatePlanKind, RatePlanPublished
from caas_orders.domain.catalogue import Catalogue, catalogue_from, current_catalogue
from caas_orders.domain.rate_plans import plan_from
from caas_orders.domain.registration import Language
from caas_orders.errors import PublishedPlanChanged
from caas_orders.gateway.letters import rates_in_words
from caas_orders.handlers.publishing_plans import RatePlanPublisher, publish_plans


def packaged() -> dict[str, Any]:
    return tomllib.loads(resources.files("caas_orders").joinpath("catalogue.toml").read_text(encoding="utf-8"))


def a_plan(*versions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"plan_code": "plan", "unit_name": {"es": "km", "en": "km"}, "versions": list(versions)} | changes


def a_version(version: int = 1, effective_from: str = "2026-01", **changes: Any) -> dict[str, Any]:
    terms = {"kind": "per_use", "unit": "km", "rate": "1.5"} | changes
    given = {name: value for name, value in terms.items() if value is not None}
    return {"version": version, "effective_from": effective_from, **given}


async def publish(harness: Harness, catalogue: Catalogue) -> int:
    async with harness.transaction() as tx:
        return await publish_plans(catalogue, tx=tx)


def test_the_packaged_plans_cover_every_kind_and_one_has_a_price_to_come() -> None:
    catalogue = current_catalogue()
    subscribed = [offer.plan for offer in catalogue.offers.values() if offer.plan is not None]
    assert len(subscribed) >= 4
    assert {plan.versions[0].kind for plan in subscribed} == set(RatePlanKind)
    assert any(plan.after(1) for plan in subscribed)


def test_a_version_is_in_force_from_the_first_instant_of_its_month_in_madrid() -> None:
    plan = plan_from(a_plan(a_version(1, "2026-01"), a_version(2, "2026-04")), "EUR")

    def version_at(text: str, at_least: int = 0) -> int | None:
        found = plan.in_force_at(datetime.fromisoformat(text), at_least=at_least)
        return None if found is None else found.version

    assert version_at("2025-12-31T22:59:59Z") is None
    assert version_at("2025-12-31T23:00:00Z") == 1
    assert version_at("2026-03-31T21:59:59Z") == 1
    assert version_at("2026-03-31T22:00:00Z") == 2, "summer time"
    assert version_at("2026-03-31T21:00:00Z", at_least=2) == 2


@pytest.mark.parametrize(
    "plan",
    [
        a_plan(),
        a_plan(a_version(1, "2026-01"), a_version(1, "2026-02")),
        a_plan(a_version(1, "2026-02"), a_version(2, "2026-02")),
        a_plan(a_version(rate=None)),
        a_plan(a_version(unit=None)),
        a_plan(a_version(kind="flat_monthly")),
        a_plan(a_version(kind="tiered")),
        a_plan(a_version(kind="tiered", rate=None)),
        a_plan(a_version(kind="tiered", rate=None, tiers=[{"up_to": "5", "rate": "1"}])),
        a_plan(a_version(kind="tiered", rate=None, tiers=[{"rate": "1"}, {"rate": "1"}])),
        a_plan(a_version(kind="tiered", rate=None, tiers=[{"up_to": "5", "rate": "1"}] * 2 + [{"rate": "1"}])),
        a_plan(a_version(kind="by_the_moon")),
        a_plan(a_version(rate="-1")),
        a_plan(a_version(rate="1.1234567")),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_at_the_start(plan: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"plan|RatePlan|by_the_moon"):
        plan_from(plan, "EUR")


def test_rates_are_written_as_the_language_does() -> None:
    plans = current_catalogue().plans

    def words(plan_code: str, language: Language) -> str:
        return rates_in_words(plans[plan_code].versions[0], plans[plan_code].unit_names, language)

    assert words("lane-keeping-km", Language.SPANISH) == "0,015 € por km"
    assert words("premium-audio-month", Language.ENGLISH) == "€8.99 per month"
    assert words("seat-heating-days", Language.SPANISH) == "0,79 € por día de uso"
    assert words("adaptive-cruise-km", Language.SPANISH) == (
        "0,04 € por km hasta 500, después 0,0275 € por km hasta 2000, después 0,01333333 € por km"
    )


async def test_every_version_is_published_once_however_many_replicas_start(harness: Harness) -> None:
    replicas = [RatePlanPublisher(harness.runtime.transaction) for _ in range(4)]
    await asyncio.gather(*[replica.run_once() for replica in replicas])
    await RatePlanPublisher(harness.runtime.transaction).run_once()
    published = [message.plan for message in await harness.published(RatePlanPublished)]
    expected = [version for plan in current_catalogue().plans.values() for version in plan.versions]
    assert sorted(published, key=_named) == sorted(expected, key=_named)


async def test_a_release_with_a_new_version_publishes_that_alone(harness: Harness) -> None:
    await publish(harness, current_catalogue())
    data = packaged()
    audio = next(plan for plan in data["plans"] if plan["plan_code"] == "premium-audio-month")
    audio["versions"].append({**audio["versions"][-1], "version": 3, "effective_from": "2028-01", "rate": "999"})
    assert await publish(harness, catalogue_from(data)) == 1
    assert (await harness.published(RatePlanPublished))[-1].plan.version == 3


async def test_a_release_that_changes_a_published_version_is_refused(harness: Harness) -> None:
    await publish(harness, current_catalogue())
    data = copy.deepcopy(packaged())
    data["plans"][0]["versions"][0]["rate"] = "99"
    with pytest.raises(PublishedPlanChanged, match="add a version"):
        await publish(harness, catalogue_from(data))


def _named(plan: RatePlan) -> tuple[str, int]:
    return plan.plan_code, plan.version
