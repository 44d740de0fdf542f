"""The immediate-delivery engine (RSK-2): three decisions, from policies that are data and never change."""

import hashlib
import tomllib
from importlib import resources
from typing import Any

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts import Money
from caas_contracts.payments import (
    AuthorizePayment,
    DeliveryDecision,
    PaymentAuthorized,
    PaymentConfirmed,
    PaymentFailed,
    PaymentPurpose,
    PaymentRefunded,
    PaymentSettled,
)
from caas_payments.domain.risk import (
    CustomerHistory,
    Limits,
    Question,
    RiskPolicy,
    Wish,
    decide_delivery,
    policy_from,
    released_policies,
)
from caas_payments.domain.rules import Rules
from services.payments.tests.builders import (
    a_cancellation,
    a_charge,
    a_planned_charge,
    a_renewal,
    a_settlement,
    a_success,
    an_authorization,
)
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.reading import payment_of, rows_of
from services.payments.tests.working import settle

RELEASED = {
    "1.toml": "f8630c1cae7da8455a37bcb4e422b8773ff1dd230945fd4b9d12a5f67ad3b06d",
    "2.toml": "af3fee68c3bcccc8bc86a551a5682fd8f673cb1b533ca491ef635142bfad0e00",
    "3.toml": "90077548a75b27d9863d62b7a98bc54660195ae5770a20b70f6eeafecabfca6e",
}
"""The digests of released policies. A new one gets a line; a line that is here is never changed."""

POLICY = RiskPolicy(
    version=7,
    currency="EUR",
    refuse=Limits(amount_minor=5_000, exposure_minor=10_000, write_offs=2, services=frozenset({"recalled"})),
    after_settlement=Limits(amount_minor=2_000, exposure_minor=4_000, write_offs=0, services=frozenset({"sport"})),
)


@pytest.fixture
def rules() -> Rules:
    """Limits that a test can reach."""
    return Rules(policy=POLICY, jitter=0.0)


def euros(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="EUR")


def test_a_released_policy_is_never_changed() -> None:
    files = resources.files("caas_payments").joinpath("policies").iterdir()
    assert {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in files} == RELEASED


def test_every_policy_has_the_version_that_its_file_says() -> None:
    assert {f"{version}.toml" for version in released_policies()} == RELEASED.keys()
    assert Rules().policy is released_policies()[2]


@pytest.mark.parametrize(
    ("amount_minor", "at_risk_minor", "write_offs", "service", "decision", "reasons"),
    [
        (2_000, 2_000, 0, "heat", DeliveryDecision.ON_AUTHORIZATION, ["within_limits"]),
        (2_001, 0, 0, "heat", DeliveryDecision.AFTER_SETTLEMENT, ["amount_settles_first"]),
        (2_000, 2_001, 0, "heat", DeliveryDecision.AFTER_SETTLEMENT, ["exposure_settles_first"]),
        (1, 0, 1, "heat", DeliveryDecision.AFTER_SETTLEMENT, ["write_offs_settles_first"]),
        (1, 0, 0, "sport", DeliveryDecision.AFTER_SETTLEMENT, ["service_settles_first"]),
        (5_000, 5_000, 2, "sport", DeliveryDecision.AFTER_SETTLEMENT,
         ["amount_settles_first", "exposure_settles_first", "write_offs_settles_first", "service_settles_first"]),
        (5_001, 0, 0, "sport", DeliveryDecision.REFUSE, ["amount_over_limit"]),
        (5_000, 5_001, 0, "heat", DeliveryDecision.REFUSE, ["exposure_over_limit"]),
        (1, 0, 3, "heat", DeliveryDecision.REFUSE, ["too_many_write_offs"]),
        (1, 0, 0, "recalled", DeliveryDecision.REFUSE, ["service_not_sold"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wish", [Wish.HOLD, Wish.AHEAD])
def test_the_three_decisions_hold_to_the_cent(
    wish: Wish, amount_minor: int, at_risk_minor: int, write_offs: int, service: str,
    decision: DeliveryDecision, reasons: list[str],
) -> None:  # fmt: skip
    question = Question(PaymentPurpose.SERVICE, wish, euros(amount_minor), service)
    delivery = decide_delivery(POLICY, question, CustomerHistory(at_risk_minor, write_offs))
    assert (delivery.decision, delivery.reasons, delivery.policy_version) == (decision, reasons, 7)


@pytest.mark.parametrize(
    ("purpose", "wish"),
    [(PaymentPurpose.SERVICE, Wish.RENEWAL), *((one, Wish.SALE) for one in PaymentPurpose if one != "service")],
)
def test_only_what_is_still_to_be_delivered_waits_for_its_money(purpose: PaymentPurpose, wish: Wish) -> None:
    delivery = decide_delivery(POLICY, Question(purpose, wish, euros(3_000), "sport"), CustomerHistory(6_000, 1))
    assert delivery.decision is DeliveryDecision.ON_AUTHORIZATION


async def test_a_hold_that_is_delivered_after_settlement_becomes_money_taken_ahead(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = an_authorization(amount=euros(3_000))
    await payments.receive(command, command.model_copy())
    await settle(payments)
    [confirmed] = await payments.published(PaymentConfirmed)
    assert confirmed.delivery is not None
    assert confirmed.delivery.decision is DeliveryDecision.AFTER_SETTLEMENT
    assert confirmed.delivery.reasons == ["amount_settles_first"]
    assert (confirmed.activation_id, confirmed.delivery.policy_version) == (command.activation_id, 7)
    assert (gateway.calls["sale"], gateway.calls["authorize"]) == (1, 0)
    assert await payments.published(PaymentAuthorized) == []
    await payments.receive(a_settlement(command))
    await payments.receive(a_success(command))
    await settle(payments)
    assert len(await payments.published(PaymentSettled)) == 1
    assert (await payment_of(payments, command.payment_id)).delivered
    assert gateway.calls["capture"] == 0


async def test_nobody_waits_for_a_settlement_that_came_before_the_confirmation(payments: Harness) -> None:
    command = a_planned_charge(amount=euros(3_000))
    await payments.receive(command, a_settlement(command))
    await settle(payments)
    [confirmed] = await payments.published(PaymentConfirmed)
    assert confirmed.delivery is not None
    assert confirmed.delivery.decision is DeliveryDecision.ON_AUTHORIZATION
    assert confirmed.delivery.reasons == ["amount_settles_first", "settled_already"]


async def test_what_waits_for_its_settlement_is_given_back_when_it_is_cancelled(payments: Harness) -> None:
    command = an_authorization(amount=euros(3_000))
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_cancellation(command))
    await settle(payments)
    assert [one.refunded for one in await payments.published(PaymentRefunded)] == [euros(3_000)]


async def test_every_decision_is_kept_with_what_it_was_taken_from(payments: Harness) -> None:
    first, second = an_authorization(amount=euros(1_500)), a_planned_charge(amount=euros(1_000))
    refused: AuthorizePayment = an_authorization(amount=euros(9_999))
    await payments.receive(first, second, refused)
    await payments.run_effects()
    await payments.receive(a_success(first))
    await payments.receive(a_renewal(first), a_charge(amount=euros(100)))
    async with payments.transaction() as tx:
        kept = [tuple(row) for row in await tx.fetch(
            "SELECT wish, at_risk_minor, write_offs FROM risk_inputs ORDER BY payment_id")]  # fmt: skip
    assert kept[:3] == [("hold", 0, 0), ("ahead", 1_500, 0), ("hold", 1_500, 0)]
    assert sorted(kept[3:]) == [("renewal", 2_500, 0), ("sale", 4_000, 0)]
    [failed] = await payments.published(PaymentFailed)
    assert (failed.payment_id, failed.reason) == (refused.payment_id, "risk_refused")
    assert len(await rows_of(payments, "risk_inputs", first.payment_id)) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"refuse": {"amount_over": 1}}, "a table of limits has no amount_over; it may have amount_over_minor"),
        ({"refuse": {"amount_over_minor": -1}}, "amount_over_minor is a whole number of at least 0, not -1"),
        ({"refuse": {"write_offs_over": 1.5}}, "write_offs_over is a whole number of at least 0, not 1.5"),
        ({"refuse": {"services": "heat"}}, "services is a list of texts"),
        ({"refuse": 3}, "refuse and after_settlement are tables of limits"),
        ({"currency": 3}, "3 is no text"),
        ({"refused": {}}, "a policy has no refused"),
        ({"owed_already": ["lease"]}, "'lease' is not a valid PaymentPurpose"),
    ],
)
def test_what_is_wrong_with_a_policy_is_said(change: dict[str, Any], words: str) -> None:
    text = resources.files("caas_payments").joinpath("policies/3.toml").read_text()
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        policy_from(tomllib.loads(text) | change)


def test_a_policy_without_what_it_needs_is_none() -> None:
    with pytest.raises(ValueError, match="a policy needs currency, refuse"):
        policy_from({"version": 4})
