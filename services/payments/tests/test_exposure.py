"""Open exposure (RSK-3): always what the published events add up to; and the limits that use it (RSK-1)."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts import Message, Money
from caas_contracts.gateway import GatewayWebhookReceived
from caas_contracts.payments import (
    AuthorizePayment,
    ChargebackReceived,
    DeliveryDecision,
    PaymentCaptured,
    PaymentConfirmed,
    PaymentFailed,
    PaymentInitiated,
    PaymentPurpose,
    PaymentRefunded,
    PaymentSettled,
    RiskRating,
)
from caas_payments.app import service_of
from caas_payments.domain.risk import (
    CustomerHistory,
    Limits,
    Question,
    RiskPolicy,
    Wish,
    decide_delivery,
    released_policies,
)
from caas_payments.domain.rules import Rules
from caas_payments.handlers.exposing import ExposureGauges
from caas_payments.store.exposure import read_customer_exposures, read_exposure, read_exposure_of
from services.payments.tests.builders import NOW, PRICE, a_charge, a_refund, a_settlement, a_success, an_authorization
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.web import a_token, serving
from services.payments.tests.webhook_builders import a_body
from services.payments.tests.working import settle

type Step = tuple[str, int, int]
"""What is said, about which payment, and how much of it in hundredths."""

STEPS = ("succeed", "settle", "refund", "charge back", "work")
stories = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2), st.integers(1, 120)), min_size=3, max_size=14)


def a_chargeback(of: AuthorizePayment, amount_minor: int) -> GatewayWebhookReceived:
    body = a_body(
        str(of.payment_id), "chargeback.opened", id=f"cb_{new_id().hex[:12]}", transaction_id="txn_1",
        amount_minor=amount_minor, currency="EUR", reason="fraud",
    )  # fmt: skip
    return GatewayWebhookReceived(
        webhook_id=f"msg_{new_id().hex}", event_type="chargeback.opened", transaction_id="txn_1",
        reference=str(of.payment_id), body=body.decode(), received_at=NOW,
    )  # fmt: skip


def message_of(step: str, command: AuthorizePayment, hundredths: int) -> Message:
    amount_minor = max(1, command.amount.amount_minor * hundredths // 100)
    made: dict[str, Message] = {
        "succeed": a_success(command),
        "settle": a_settlement(command, gross_minor=amount_minor, fee_minor=0),
        "refund": a_refund(command, amount_minor),
        "charge back": a_chargeback(command, amount_minor),
    }
    return made[step]


async def recomputed(payments: Harness, commands: Sequence[AuthorizePayment]) -> int:
    """What is owed for what was delivered, from what payments told others and from nothing else."""
    total = 0
    for command in commands:
        name = command.payment_id
        captured = [one.captured for one in await payments.published(PaymentCaptured) if one.payment_id == name]
        settled = [one.settled for one in await payments.published(PaymentSettled) if one.payment_id == name]
        refunded = [one.refunded for one in await payments.published(PaymentRefunded) if one.payment_id == name]
        disputed = [one.disputed for one in await payments.published(ChargebackReceived) if one.payment_id == name]
        gone = sum(amount.amount_minor for amount in (*settled, *refunded, *disputed))
        total += max(0, sum(amount.amount_minor for amount in captured) - gone)
    return total


@settings(max_examples=25, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=stories, prices=st.lists(st.integers(1, 5000), min_size=3, max_size=3))
async def test_exposure_is_what_the_events_add_up_to(payments: Harness, steps: list[Step], prices: list[int]) -> None:
    customer = f"C-{new_id()}"
    commands = [
        an_authorization(customer_id=customer, amount=Money(amount_minor=price, currency="EUR")) for price in prices
    ]
    await payments.receive(*commands)
    await payments.run_effects()
    for step, place, hundredths in steps:
        if step == "work":
            await payments.run_effects()
        else:
            await payments.receive(message_of(step, commands[place], hundredths))
    await settle(payments)
    async with payments.transaction() as tx:
        exposed = await read_exposure_of(tx, customer)
        totals, customers = await read_exposure(tx), await read_customer_exposures(tx, 1000)
    assert sum(one.amount_minor for one in exposed) == await recomputed(payments, commands)
    # The total is that of its customers and of its ages.
    total = totals[0] if totals else None
    assert (total.amount_minor if total else 0) == sum(one.amount_minor for one in customers)
    assert total is None or sum(total.by_age_minor.values()) == total.amount_minor


async def a_delivered_payment(payments: Harness, customer_id: str, amount_minor: int = 1999) -> AuthorizePayment:
    command = an_authorization(customer_id=customer_id, amount=Money(amount_minor=amount_minor, currency="EUR"))
    await payments.receive(command)
    await payments.run_effects()
    await payments.receive(a_success(command, applied_at=payments.clock.now()))
    await payments.run_effects()
    return command


async def test_exposure_by_age_and_by_customer_is_shown_to_operators_and_measured(
    payments: Harness, gateway: InProcessGateway
) -> None:
    await a_delivered_payment(payments, "C-old", 500)
    payments.clock.move(timedelta(days=2))
    await a_delivered_payment(payments, "C-new", 700)
    part = await a_delivered_payment(payments, "C-new", 1000)
    await payments.receive(a_settlement(part, gross_minor=400), a_refund(part, 100))
    await settle(payments)
    gauges = ExposureGauges(60, payments.runtime.transaction)
    await gauges.run_once()
    assert gauge("under_3_days") == 500
    assert gauge("under_1_day") == 700 + 500
    async with serving(payments.runtime.settings.database_url, gateway) as api:
        answer = await api.get("/exposure/customers/C-new", headers=a_token("ana", "operator"))
        nobody = await api.get("/exposure/customers/C-nobody", headers=a_token("ana", "operator"))
        refused = await api.get("/exposure/customers/C-new", headers=a_token("C-new", "customer"))
    seen = answer.json()
    assert (seen["at_risk_minor"], seen["write_offs"]) == (1200, 0)
    assert [(one["currency"], one["payments"], one["amount_minor"]) for one in seen["delivered"]] == [("EUR", 2, 1200)]
    assert (nobody.status_code, nobody.json()["delivered"]) == (httpx.codes.OK, [])
    assert refused.status_code == httpx.codes.FORBIDDEN


def gauge(age: str) -> float | None:
    return REGISTRY.get_sample_value("caas_payments_exposure_minor", {"currency": "EUR", "age": age})


async def test_what_is_settled_is_not_measured_any_more(payments: Harness) -> None:
    command = await a_delivered_payment(payments, "C-1")
    gauges = ExposureGauges(60, payments.runtime.transaction)
    await gauges.run_once()
    assert gauge("under_1_day") == 1999
    await payments.receive(a_settlement(command))
    await gauges.run_once()
    assert gauge("under_1_day") is None


POLICY = RiskPolicy(version=1, currency="EUR", refuse=Limits(amount_minor=1000, exposure_minor=1500, write_offs=2))


@pytest.mark.parametrize(
    ("amount_minor", "at_risk_minor", "write_offs", "objections"),
    [
        (1000, 0, 0, []),
        (1001, 0, 0, ["amount_over_limit"]),
        (500, 1000, 0, []),
        (501, 1000, 0, ["exposure_over_limit"]),
        (1, 1500, 0, ["exposure_over_limit"]),
        (1, 0, 2, []),
        (1, 0, 3, ["too_many_write_offs"]),
        (1001, 500, 3, ["amount_over_limit", "exposure_over_limit", "too_many_write_offs"]),
        (0, 0, 0, ["nothing_to_pay"]),
    ],
)
def test_each_limit_holds_to_the_cent(
    amount_minor: int, at_risk_minor: int, write_offs: int, objections: list[str]
) -> None:
    history = CustomerHistory(at_risk_minor, write_offs)
    question = Question(PaymentPurpose.SERVICE, Wish.HOLD, Money(amount_minor=amount_minor, currency="EUR"))
    delivery = decide_delivery(POLICY, question, history)
    decision = DeliveryDecision.REFUSE if objections else DeliveryDecision.ON_AUTHORIZATION
    assert (delivery.decision, delivery.reasons) == (decision, objections or ["within_limits"])


@pytest.mark.parametrize(
    ("purpose", "rating"),
    [
        (PaymentPurpose.RESERVATION, RiskRating.LOW),
        (PaymentPurpose.FINAL, RiskRating.NONE),
        (PaymentPurpose.SERVICE, RiskRating.MEDIUM),
        (PaymentPurpose.SUBSCRIPTION, RiskRating.HIGH),
    ],
)
def test_every_purpose_has_its_rating(purpose: PaymentPurpose, rating: RiskRating) -> None:
    question = Question(purpose, Wish.SALE, Money(amount_minor=1, currency="EUR"))
    assert decide_delivery(released_policies()[1], question, CustomerHistory()).rating is rating


async def test_two_purchases_at_once_cannot_both_pass_the_limit(payments: Harness, gateway: InProcessGateway) -> None:
    """Each of two replicas gets one of two purchases that fit alone and not together, again and again."""
    service = service_of(Rules(jitter=0.0, policy=POLICY), gateway)
    async with Harness(service, payments.owner_url) as one, Harness(service, payments.owner_url) as other:
        for number in range(12):
            customer = f"C-{number}"
            pair = [
                an_authorization(customer_id=customer, amount=Money(amount_minor=800, currency="EUR")) for _ in "ab"
            ]
            await asyncio.gather(one.receive(pair[0]), other.receive(pair[1]))
        begun = await one.published(PaymentInitiated)
        refused = await one.published(PaymentFailed)
    assert len({event.customer_id for event in begun}) == 12
    assert sorted(event.customer_id for event in refused) == sorted({event.customer_id for event in begun})
    assert {event.reason for event in refused} == {"risk_refused"}


async def test_a_settled_purchase_makes_room_for_the_next(payments: Harness, gateway: InProcessGateway) -> None:
    service = service_of(Rules(jitter=0.0, policy=POLICY), gateway)
    async with Harness(service, payments.owner_url) as limited:
        first = await a_delivered_payment(limited, "C-1", 800)
        too_much = an_authorization(customer_id="C-1", amount=Money(amount_minor=800, currency="EUR"))
        await limited.receive(too_much)
        assert [event.payment_id for event in await limited.published(PaymentFailed)] == [too_much.payment_id]
        await limited.receive(a_settlement(first))
        await a_delivered_payment(limited, "C-1", 800)
        assert len(await limited.published(PaymentFailed)) == 1


async def test_what_a_customer_owes_besides_refuses_no_monthly_bill(payments: Harness) -> None:  # RSK-1
    """A bill is for use that was delivered; only an amount that no bill should have is refused."""
    most_minor = Rules().policy.refuse.amount_minor
    assert most_minor is not None
    most = Money(amount_minor=most_minor, currency="EUR")
    await payments.receive(*(an_authorization(amount=most) for _ in range(5)))
    bills = [
        a_charge(purpose=PaymentPurpose.SUBSCRIPTION, amount=amount, customer_present=False)
        for amount in (PRICE, most, Money(amount_minor=most_minor + 1, currency="EUR"))
    ]
    await payments.receive(*bills, an_authorization(amount=PRICE))
    await payments.run_effects()
    paid = {one.payment_id for one in await payments.published(PaymentConfirmed)}
    assert paid == {one.payment_id for one in bills[:2]}
    assert [one.reason for one in await payments.published(PaymentFailed)] == ["risk_refused"] * 2
    ratings = {one.rating for one in await payments.published(PaymentInitiated) if one.payment_id in paid}
    assert ratings == {RiskRating.HIGH}
