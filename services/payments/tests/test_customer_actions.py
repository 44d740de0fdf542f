"""Strong customer authentication (PAY-9): the payment waits, its link works once, nobody charges behind their back."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from caas_chassis.testing.harness import Harness
from caas_contracts.gateway import GatewayWebhookReceived
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.payments import (
    AuthorizePayment,
    ChargePayment,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentConfirmed,
    PaymentFailed,
    PaymentPurpose,
)
from caas_payments.domain.authorization import Beginning
from caas_payments.domain.gateway_result import TransactionStatus, Unavailable, Unknown
from services.payments.tests.builders import NOW, a_charge, an_authorization
from services.payments.tests.in_process_gateway import PAGE, TIMEOUT, InProcessGateway
from services.payments.tests.reading import journey_of, rows_of, status_of
from services.payments.tests.web import a_token, serving
from services.payments.tests.working import run_rounds, skip_delays

LIFE = timedelta(hours=72)
TAKEN = (TransactionStatus.CAPTURED, TransactionStatus.AUTHORIZED)
BOTH = pytest.mark.parametrize("begin", [a_charge, an_authorization], ids=["sale", "hold"])


@pytest.fixture
async def api(payments: Harness, gateway: InProcessGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(payments.runtime.settings.database_url, gateway) as client:
        yield client


async def a_waiting(payments: Harness, command: Beginning) -> PaymentActionRequired:
    """A payment that waits for its customer."""
    await payments.receive(command)
    await payments.run_effects()
    assert await status_of(payments, command.payment_id) == "PENDING"
    [asked] = [one for one in await payments.published(PaymentActionRequired) if one.payment_id == command.payment_id]
    return asked


def requiring(begin: object) -> Beginning:
    command = a_charge(payment_method="tok_requires_action") if begin is a_charge else None
    return command or an_authorization(payment_method="tok_requires_action")


def a_hint(of: Beginning, event_type: str) -> GatewayWebhookReceived:
    return GatewayWebhookReceived(
        webhook_id=f"msg_{of.payment_id.hex}_{event_type}",
        event_type=event_type,
        transaction_id="txn_1",
        reference=str(of.payment_id),
        body="{}",
        received_at=NOW,
    )


async def outcome_of(payments: Harness) -> list[str]:
    """What was told about how payments came out, with the reason of a failure."""
    told = [*await payments.published(PaymentConfirmed), *await payments.published(PaymentAuthorized)]
    return [type(one).__name__ for one in told] + [one.reason for one in await payments.published(PaymentFailed)]


async def pass_expiry(payments: Harness, rounds: int = 6) -> None:
    """The link's time is over, and everything is done that follows from it."""
    await payments.move_clock(LIFE)
    await run_rounds(payments, rounds)


@BOTH
async def test_it_waits_pending_and_the_customer_is_told_once_with_a_link_of_ours(
    payments: Harness, gateway: InProcessGateway, begin: object
) -> None:
    command = requiring(begin)
    asked = await a_waiting(payments, command)
    await payments.receive(command.model_copy(), a_hint(command, "transaction.requires_action"))
    await run_rounds(payments, 5)
    assert len(await payments.published(PaymentActionRequired)) == 1
    assert asked.action_url.startswith("http://127.0.0.1:8101/payment-actions/")
    assert asked.expires_at - asked.occurred_at == LIFE
    assert await journey_of(payments, command.payment_id) == ["INITIATED>PROCESSING", "PROCESSING>PENDING"]
    assert gateway.calls["sale"] + gateway.calls["authorize"] == 1


@BOTH
async def test_what_the_customer_approves_is_confirmed_once_however_often_it_is_told(
    payments: Harness, gateway: InProcessGateway, begin: object
) -> None:
    command = requiring(begin)
    await a_waiting(payments, command)
    gateway.decide_pending(str(command.payment_id), approved=True)
    await payments.receive(a_hint(command, "transaction.authorized"), a_hint(command, "transaction.captured"))
    await run_rounds(payments, 3)
    await pass_expiry(payments)
    assert await outcome_of(payments) == ["PaymentConfirmed" if begin is a_charge else "PaymentAuthorized"]
    assert gateway.calls["void"] == 0


async def test_what_the_customer_refuses_fails_and_is_not_asked_again(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = a_charge(payment_method="tok_requires_action")
    await a_waiting(payments, command)
    gateway.decide_pending(str(command.payment_id), approved=False)
    await payments.receive(a_hint(command, "transaction.declined"))
    await run_rounds(payments, 3)
    [failed] = await payments.published(PaymentFailed)
    assert (failed.reason, failed.customer_may_retry) == ("card_declined", True)
    assert gateway.calls["sale"] == 1


@pytest.mark.parametrize("booked", [True, False])
async def test_an_answer_that_was_lost_after_the_gateway_asked_for_the_customer_is_found(
    payments: Harness, gateway: InProcessGateway, booked: bool
) -> None:
    gateway.script("sale", TIMEOUT, booked=booked)
    command = a_charge(payment_method="tok_requires_action")
    await payments.receive(command)
    await run_rounds(payments, 6)
    assert await status_of(payments, command.payment_id) == "PENDING"
    assert len(await payments.published(PaymentActionRequired)) == 1
    assert gateway.calls["sale"] == (1 if booked else 2)


async def test_a_webhook_before_the_answer_asks_nobody_twice(payments: Harness, gateway: InProcessGateway) -> None:
    command = a_charge(payment_method="tok_requires_action")
    await payments.receive(command, a_hint(command, "transaction.requires_action"))
    await run_rounds(payments, 4)
    assert len(await payments.published(PaymentActionRequired)) == 1
    assert len(await rows_of(payments, "customer_actions", command.payment_id)) == 1


async def test_what_becomes_the_customers_turn_only_later_is_told_then(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = a_charge(payment_method="tok_pending")
    await payments.receive(command)
    await run_rounds(payments, 2)
    assert await payments.published(PaymentActionRequired) == []
    gateway.require_action(str(command.payment_id))
    await run_rounds(payments, 3)
    assert len(await payments.published(PaymentActionRequired)) == 1


@BOTH
async def test_what_nobody_confirms_in_time_is_given_up_at_the_gateway_and_fails(
    payments: Harness, gateway: InProcessGateway, begin: object
) -> None:
    command = requiring(begin)
    await a_waiting(payments, command)
    await pass_expiry(payments)
    [failed] = await payments.published(PaymentFailed)
    assert (failed.reason, failed.customer_may_retry) == ("authentication_expired", True)
    assert gateway.books[str(command.payment_id)].status is TransactionStatus.VOIDED
    assert gateway.calls["sale"] + gateway.calls["authorize"] == 1
    await payments.receive(a_hint(command, "transaction.authorized"), a_hint(command, "transaction.voided"))
    await run_rounds(payments, 3)
    assert await outcome_of(payments) == ["authentication_expired"]


@BOTH
async def test_what_was_paid_shortly_before_the_expiry_is_confirmed(
    payments: Harness, gateway: InProcessGateway, begin: object
) -> None:
    command = requiring(begin)
    await a_waiting(payments, command)
    gateway.decide_pending(str(command.payment_id), approved=True)
    await pass_expiry(payments)
    assert await outcome_of(payments) == ["PaymentConfirmed" if begin is a_charge else "PaymentAuthorized"]
    assert gateway.calls["void"] == 0


@BOTH
@pytest.mark.parametrize("cancellation", ["never_sent", "answer_lost", "refused_once"])
async def test_an_approval_while_it_is_being_given_up_is_either_confirmed_or_uncharged(
    payments: Harness, gateway: InProcessGateway, begin: object, cancellation: str
) -> None:
    command = requiring(begin)
    await a_waiting(payments, command)
    await payments.move_clock(LIFE)
    result = Unavailable("ConnectError") if cancellation == "never_sent" else Unknown("http_500")
    gateway.script("void", result, booked=cancellation == "answer_lost")
    gateway.before("void", lambda: gateway.decide_pending(str(command.payment_id), approved=True))
    await run_rounds(payments, 8)
    booked = gateway.books[str(command.payment_id)].status
    [outcome] = await outcome_of(payments)
    assert (outcome != "authentication_expired") is (booked in TAKEN), (outcome, booked)
    if begin is a_charge:
        assert outcome == "PaymentConfirmed", "a void takes no money back"
    else:
        assert outcome == "authentication_expired", "a hold that a cancellation is on its way to is not believed"


@BOTH
async def test_no_answer_at_the_expiry_is_never_taken_for_a_failure(
    payments: Harness, gateway: InProcessGateway, begin: object
) -> None:
    command = requiring(begin)
    await a_waiting(payments, command)
    gateway.script("look_up", *[TIMEOUT] * 8)
    gateway.script("void", *[Unknown("http_503")] * 3)
    await pass_expiry(payments, rounds=3)
    assert (await status_of(payments, command.payment_id), await outcome_of(payments)) == ("PENDING", [])
    gateway.forget_script()
    await run_rounds(payments, 6)
    assert await outcome_of(payments) == ["authentication_expired"]


async def test_a_gateway_that_does_not_give_it_up_is_asked_on_and_operations_hear_of_it_once(
    payments: Harness, gateway: InProcessGateway
) -> None:
    command = a_charge(payment_method="tok_requires_action")
    await a_waiting(payments, command)
    gateway.script("void", *[Unknown("http_500")] * 4)
    await pass_expiry(payments, rounds=20)
    assert await outcome_of(payments) == ["authentication_expired"]
    alerts = [one.kind for one in await payments.published(AlertRaised)]
    assert alerts == [AlertKind.OUTCOME_UNKNOWN]
    assert gateway.calls["void"] == 5


async def test_the_timer_of_a_decided_payment_does_nothing(payments: Harness, gateway: InProcessGateway) -> None:
    command = an_authorization(payment_method="tok_requires_action")
    await a_waiting(payments, command)
    gateway.decide_pending(str(command.payment_id), approved=True)
    await payments.receive(a_hint(command, "transaction.authorized"))
    await payments.run_effects()
    await pass_expiry(payments)
    assert (gateway.calls["void"], await status_of(payments, command.payment_id)) == (0, "AUTHORIZED")


async def test_the_link_leads_to_the_gateways_page_once(payments: Harness, api: httpx.AsyncClient) -> None:
    command = a_charge(payment_method="tok_requires_action")
    path = httpx.URL((await a_waiting(payments, command)).action_url).path
    assert (await api.head(path)).status_code == 405
    first, second = await api.get(path), await api.get(path)
    assert (first.status_code, first.headers["location"]) == (303, f"{PAGE}txn_1")
    assert (first.headers["cache-control"], first.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert (second.status_code, second.json()["code"]) == (410, "link_used")
    [row] = await rows_of(payments, "customer_actions", command.payment_id)
    assert row["used_at"] is not None
    secret = path.rpartition("/")[2].encode()
    assert (row["secret_hash"], secret in repr(dict(row)).encode()) == (hashlib.sha256(secret).digest(), False)


async def test_a_link_opened_by_many_at_once_works_for_one(payments: Harness, api: httpx.AsyncClient) -> None:
    path = httpx.URL((await a_waiting(payments, a_charge(payment_method="tok_requires_action"))).action_url).path
    answers = await asyncio.gather(*(api.get(path) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [303] + [410] * 7


async def test_links_that_expired_or_are_over_or_never_were_lead_nowhere(
    payments: Harness, api: httpx.AsyncClient, gateway: InProcessGateway
) -> None:
    decided, expiring = a_charge(payment_method="tok_requires_action"), a_charge(payment_method="tok_requires_action")
    over = httpx.URL((await a_waiting(payments, decided)).action_url).path
    late = httpx.URL((await a_waiting(payments, expiring)).action_url).path
    gateway.decide_pending(str(decided.payment_id), approved=True)
    await payments.receive(a_hint(decided, "transaction.captured"))
    await payments.run_effects()
    async with payments.owner() as connection:
        await connection.execute(
            "UPDATE customer_actions SET asked_at = asked_at - interval '5 days',"
            " expires_at = expires_at - interval '4 days' WHERE payment_id = $1",
            expiring.payment_id,
        )
    assert (await api.get(over)).json()["code"] == "link_over"
    assert (await api.get(late)).json()["code"] == "link_expired"
    unknown = await api.get(f"/payment-actions/{'x' * 43}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "link_not_found")
    assert (await api.get("/payment-actions/short")).status_code == 400


async def test_customers_and_operators_see_until_when_it_waits(payments: Harness, api: httpx.AsyncClient) -> None:
    command = a_charge(payment_method="tok_requires_action")
    asked = await a_waiting(payments, command)
    seen = (await api.get(f"/payments/{command.payment_id}", headers=a_token("customer-1", "customer"))).json()
    assert (seen["standing"], seen["confirm_until"][:19]) == ("being_confirmed", asked.expires_at.isoformat()[:19])


async def test_a_merchant_initiated_bill_waits_for_its_customer_too(
    payments: Harness, gateway: InProcessGateway
) -> None:
    bill: ChargePayment = a_charge(
        purpose=PaymentPurpose.SUBSCRIPTION, customer_present=False, payment_method="tok_requires_action"
    )
    asked = await a_waiting(payments, bill)
    assert (asked.purpose, asked.subject_id) == (PaymentPurpose.SUBSCRIPTION, bill.subject_id)


async def test_the_same_key_with_the_customer_away_is_another_intent(payments: Harness) -> None:
    present = a_charge(idempotency_key="invoice:1:attempt:1")
    away = present.model_copy(update={"customer_present": False})
    await payments.receive(present, away)
    await run_rounds(payments, 1)
    assert "PROCESSING!sale" in await journey_of(payments, present.payment_id)


@pytest.mark.parametrize(
    ("code", "may_retry"),
    [("insufficient_funds", True), ("lost_card", False), ("closed_account", False)],
)
async def test_after_a_hard_decline_another_method_is_needed(payments: Harness, code: str, may_retry: bool) -> None:
    await payments.receive(a_charge(payment_method=f"tok_{code}"))
    await payments.run_effects()
    [failed] = await payments.published(PaymentFailed)
    assert (failed.reason, failed.customer_may_retry) == (code, may_retry)


async def test_a_payment_that_waits_for_its_customer_is_polled_slowly(payments: Harness) -> None:
    command: AuthorizePayment = an_authorization(payment_method="tok_requires_action")
    await a_waiting(payments, command)
    await skip_delays(payments)
    await payments.run_effects()
    pauses = [row["retry_in_ms"] for row in await rows_of(payments, "attempt_calls", command.payment_id)]
    assert pauses == [300_000, 300_000]
