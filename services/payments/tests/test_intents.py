"""One intent is one payment (PAY-7), and the risk decision comes before the gateway hears of it (RSK-1, RSK-2)."""

import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts import Money
from caas_contracts.operations import AlertRaised
from caas_contracts.payments import DeliveryDecision, PaymentFailed, PaymentInitiated, PaymentPurpose, RiskRating
from caas_payments.domain.risk import CustomerHistory, Limits, Question, RiskPolicy, Wish, decide_delivery
from caas_payments.domain.rules import Rules
from services.payments.tests.builders import a_settlement, a_success, an_authorization
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.reading import journey_of, payment_of, status_of
from services.payments.tests.working import settle


def euros(amount: int) -> Money:
    return Money(amount_minor=amount * 100, currency="EUR")


@pytest.fixture
def rules() -> Rules:
    """Limits that a test can reach: 50 a payment, 100 under way or delivered, one loss."""
    policy = RiskPolicy(
        version=2, currency="EUR", refuse=Limits(amount_minor=5_000, exposure_minor=10_000, write_offs=1)
    )
    return Rules(policy=policy, jitter=0.0)


async def test_the_same_intent_asked_again_is_the_same_payment(payments: Harness, gateway: InProcessGateway) -> None:
    command = an_authorization()
    await payments.receive(command, command.model_copy())
    await payments.receive(command.model_copy())
    await settle(payments)
    assert gateway.calls["authorize"] == 1
    assert len(await payments.published(PaymentInitiated)) == 1
    assert await payments.published(AlertRaised) == []


async def test_the_same_key_with_another_amount_is_refused_audited_and_told(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = an_authorization(idempotency_key="purchase-7")
    same_key = an_authorization(idempotency_key="purchase-7", amount=euros(1))
    same_id = command.model_copy(update={"amount": euros(2)})
    same_activation = an_authorization().model_copy(update={"activation_id": command.activation_id})
    await payments.receive(command, same_key, same_id, same_activation)
    await settle(payments)
    assert list(gateway.books) == [str(command.payment_id)]
    assert (await payment_of(payments, command.payment_id)).intent.amount == command.amount
    assert (await journey_of(payments, command.payment_id)).count("PROCESSING!authorize") == 3
    assert len(await payments.published(AlertRaised)) == 3
    refused = {failed.payment_id: failed.reason for failed in await payments.published(PaymentFailed)}
    assert refused == {
        same_key.payment_id: "idempotency_conflict",
        same_activation.payment_id: "idempotency_conflict",
    }
    assert await payments.parked() == []


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (euros(51), "amount_over_limit"),
        (Money(amount_minor=100, currency="USD"), "currency_not_covered"),
        (euros(0), "nothing_to_pay"),
    ],
)
async def test_a_payment_over_a_limit_fails_before_the_gateway_is_asked(
    payments: Harness, gateway: InProcessGateway, amount: Money, reason: str
) -> None:
    command = an_authorization(amount=amount)
    await payments.receive(command)
    await settle(payments)
    [failed] = await payments.published(PaymentFailed)
    assert (failed.reason, failed.customer_may_retry) == ("risk_refused", False)
    payment = await payment_of(payments, command.payment_id)
    assert payment.intent.delivery.reasons == [reason]
    assert (payment.intent.delivery.rating, payment.intent.delivery.policy_version) == (RiskRating.MEDIUM, 2)
    assert gateway.calls["authorize"] == 0


def test_a_final_payment_blocks_and_has_no_limit() -> None:  # RSK-1
    policy = RiskPolicy(
        version=2, currency="EUR", refuse=Limits(amount_minor=5_000, exposure_minor=10_000, write_offs=1)
    )
    history = CustomerHistory(at_risk_minor=10_000, write_offs=2)
    dear = Money(amount_minor=3_049_000, currency="EUR")
    final = decide_delivery(policy, Question(PaymentPurpose.FINAL, Wish.SALE, dear), history)
    assert (final.decision, final.rating) == (DeliveryDecision.ON_AUTHORIZATION, RiskRating.NONE)
    over = Question(PaymentPurpose.RESERVATION, Wish.SALE, Money(amount_minor=5_001, currency="EUR"))
    reservation = decide_delivery(policy, over, CustomerHistory())
    assert (reservation.decision, reservation.reasons) == (DeliveryDecision.REFUSE, ["amount_over_limit"])
    dollars = Question(PaymentPurpose.FINAL, Wish.SALE, Money(amount_minor=3_049_000, currency="USD"))
    foreign = decide_delivery(policy, dollars, CustomerHistory())
    assert foreign.reasons == ["currency_not_covered"]


async def test_open_exposure_is_limited_per_customer_also_within_one_batch(payments: Harness) -> None:
    commands = [an_authorization(amount=euros(40), customer_id="busy") for _ in range(3)]
    other = an_authorization(amount=euros(40), customer_id="other")
    await payments.receive(*commands, other)
    await payments.run_effects()
    assert [await status_of(payments, one.payment_id) for one in [*commands, other]] == [
        "AUTHORIZED",
        "AUTHORIZED",
        "FAILED",
        "AUTHORIZED",
    ]
    await payments.receive(a_success(commands[0]))
    await payments.run_effects()
    await payments.receive(a_settlement(commands[0]))
    again = an_authorization(amount=euros(40), customer_id="busy")
    await payments.receive(again)
    await payments.run_effects()
    assert await status_of(payments, again.payment_id) == "AUTHORIZED"


async def test_a_customer_who_caused_losses_is_refused(payments: Harness) -> None:
    for _ in range(2):
        command = an_authorization(customer_id="costly", payment_method="tok_capture_fails")
        await payments.receive(command)
        await payments.run_effects()
        await payments.receive(a_success(command))
        await payments.run_effects()
    command = an_authorization(customer_id="costly")
    await payments.receive(command)
    assert await status_of(payments, command.payment_id) == "FAILED"
