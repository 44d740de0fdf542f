"""How Stripe's words are read, in the forms of its documentation: states, refusals, currencies, pages."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from caas_chassis.ids import new_id
from caas_payments.domain.gateway_result import (
    Answered,
    GatewayResult,
    NotFound,
    Refused,
    TransactionStatus,
    Unavailable,
    Unknown,
)
from caas_payments.gateway.stripe import StripeGateway
from caas_payments.gateway.stripe.amounts import from_stripe, to_stripe
from caas_payments.gateway.stripe.api import STRIPE_VERSION
from services.payments.tests.gateway.tasks import an_authorization_of, answered

TASK = an_authorization_of("pm_card_visa").model_copy(update={"transaction_id": "pi_1", "refund_id": new_id()})
CREATED = 1_790_000_000
CREATED_AT = datetime.fromtimestamp(CREATED, UTC)

type Handler = Callable[[httpx.Request], httpx.Response]


def an_intent(status: str = "requires_capture", **members: Any) -> dict[str, Any]:
    """A PaymentIntent of TASK."""
    charge = {
        "id": "ch_1",
        "created": CREATED,
        "amount": 1999,
        "captured": status == "succeeded",
        "payment_method_details": {"card": {"capture_before": CREATED + 604_800}},
    }
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 1999,
        "amount_received": 1999 if status == "succeeded" else 0,
        "currency": "eur",
        "status": status,
        "created": CREATED,
        "metadata": {"reference": TASK.reference},
        "latest_charge": charge,
    } | members


def an_error(status: int, **members: Any) -> httpx.Response:
    """A refusal of Stripe's."""
    return httpx.Response(status, json={"error": {"type": "invalid_request_error", "message": "words"} | members})


def a_gateway(handler: Handler) -> StripeGateway:
    """The adapter, told by `handler`."""
    return StripeGateway(httpx.AsyncClient(transport=httpx.MockTransport(handler), base_url="http://stripe"))


async def authorized(answer: httpx.Response) -> GatewayResult:
    """What an authorization comes to when it is answered so."""
    return await a_gateway(lambda _: answer).authorize(TASK)


async def captured(refusal: httpx.Response, record: Mapping[str, Any]) -> GatewayResult:
    """What a capture comes to when it is refused and the record is read afterwards."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return refusal
        is_list = request.url.path == "/v1/refunds"
        return httpx.Response(200, json={"data": [], "has_more": False} if is_list else record)

    return await a_gateway(handle).capture(TASK)


@pytest.mark.parametrize(
    ("intent", "status"),
    [
        (an_intent(), TransactionStatus.AUTHORIZED),
        (an_intent("succeeded"), TransactionStatus.CAPTURED),
        (an_intent("requires_action", latest_charge=None), TransactionStatus.PENDING),
        (an_intent("processing"), TransactionStatus.PENDING),
        (an_intent("canceled", cancellation_reason="requested_by_customer"), TransactionStatus.VOIDED),
        (an_intent("canceled", cancellation_reason=None), TransactionStatus.VOIDED),
        (an_intent("canceled", cancellation_reason="automatic"), TransactionStatus.EXPIRED),
        (an_intent("canceled", cancellation_reason="expired"), TransactionStatus.EXPIRED),
        (an_intent("requires_payment_method", latest_charge=None), TransactionStatus.UNKNOWN),
        (an_intent("requires_confirmation", latest_charge=None), TransactionStatus.UNKNOWN),
        (an_intent("a_state_of_tomorrow"), TransactionStatus.UNKNOWN),
    ],
)
async def test_states_are_read_and_unknown_ones_kept_apart(intent: dict[str, Any], status: TransactionStatus) -> None:
    assert answered(await authorized(httpx.Response(200, json=intent))).status is status


PAGE = "https://hooks.stripe.com/redirect/authenticate/src_1"


@pytest.mark.parametrize(
    ("next_action", "status", "page"),
    [
        ({"redirect_to_url": {"url": PAGE}}, TransactionStatus.REQUIRES_ACTION, PAGE),
        ({"redirect_to_url": {"url": "javascript:alert(1)"}}, TransactionStatus.PENDING, None),
        ({"type": "use_stripe_sdk"}, TransactionStatus.PENDING, None),
        (None, TransactionStatus.PENDING, None),
    ],
)
async def test_a_step_of_the_customers_has_a_page_when_stripe_names_one(
    next_action: dict[str, Any] | None, status: TransactionStatus, page: str | None
) -> None:
    waiting = an_intent("requires_action", latest_charge=None, next_action=next_action)
    answer = answered(await authorized(httpx.Response(200, json=waiting)))
    assert (answer.status, answer.action_url) == (status, page)


async def test_a_hold_ends_when_stripe_says_so_and_else_as_early_as_it_may() -> None:
    told = answered(await authorized(httpx.Response(200, json=an_intent())))
    assert (told.authorized_at, told.capture_before) == (CREATED_AT, CREATED_AT + timedelta(days=7))
    silent = an_intent(latest_charge={"id": "ch_1", "created": CREATED, "amount": 1999})
    guessed = answered(await authorized(httpx.Response(200, json=silent)))
    assert guessed.capture_before == CREATED_AT + timedelta(days=4, hours=18)


@pytest.mark.parametrize(
    ("code", "decline_code", "word"),
    [
        ("card_declined", "generic_decline", "card_declined"),
        ("card_declined", "insufficient_funds", "insufficient_funds"),
        ("card_declined", "stolen_card", "stolen_card"),
        ("card_declined", "lost_card", "lost_card"),
        ("card_declined", "fraudulent", "card_declined"),
        ("card_declined", "do_not_honor", "do_not_honor"),
        ("card_declined", "try_again_later", "try_again_later"),
        ("card_declined", "invalid_account", "invalid_account"),
        ("expired_card", "", "expired_card"),
        ("incorrect_cvc", "incorrect_cvc", "invalid_card"),
        ("authentication_required", "authentication_required", "authentication_required"),
        ("payment_intent_authentication_failure", "", "authentication_failed"),
    ],
)
async def test_declines_are_told_in_words_of_payments(code: str, decline_code: str, word: str) -> None:
    reason = {"code": code, "decline_code": decline_code}
    declined = an_intent("requires_payment_method", last_payment_error=reason, latest_charge="ch_1")
    answer = answered(await authorized(an_error(402, type="card_error", payment_intent=declined, **reason)))
    assert (answer.status, answer.decline_code) == (TransactionStatus.DECLINED, word)
    assert await authorized(an_error(402, type="card_error", **reason)) == Refused(word)


async def test_a_decline_of_another_payment_is_not_taken_for_ours() -> None:
    other = an_intent("requires_payment_method", metadata={"reference": "other"}, last_payment_error={"code": "x"})
    refusal = an_error(402, type="card_error", code="card_declined", payment_intent=other)
    assert await authorized(refusal) == Refused("card_declined")


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (an_error(400, code="resource_missing", param="payment_method"), Refused("invalid_payment_method")),
        (an_error(400, code="amount_too_small", param="amount"), Refused("amount_too_small")),
        (an_error(400, type="idempotency_error"), Unknown("idempotency_error")),
        (an_error(409, code="idempotency_key_in_use"), Unknown("idempotency_key_in_use")),
        (an_error(409), Unknown("invalid_request_error")),
        (an_error(401), Unavailable("unauthorized")),
        (an_error(403), Unavailable("unauthorized")),
        (an_error(429, code="lock_timeout"), Unavailable("too_many_requests")),
        (httpx.Response(429, headers={"Retry-After": "9"}), Unavailable("too_many_requests", 9)),
        (an_error(500, type="api_error"), Unknown("http_500")),
        (httpx.Response(302, headers={"Location": "http://elsewhere"}), Unknown("http_302")),
        (httpx.Response(404, text="<html>"), Unknown("unreadable_answer")),
        (httpx.Response(200, text="<html>"), Unknown("unreadable_answer")),
        (httpx.Response(200, json=an_intent(amount="many")), Unknown("unreadable_answer")),
        (httpx.Response(200, json=an_intent(currency="isk", amount=1950)), Unknown("unreadable_answer")),
    ],
)
async def test_answers_that_are_none_are_told_apart(answer: httpx.Response, result: GatewayResult) -> None:
    assert await authorized(answer) == result


@pytest.mark.parametrize(
    ("record", "result"),
    [
        (an_intent("succeeded"), Refused("already_captured")),
        (an_intent("canceled"), Refused("already_voided")),
        (an_intent("canceled", cancellation_reason="automatic"), Refused("hold_expired")),
        (an_intent(), Unknown("payment_intent_unexpected_state")),
        ({}, Unknown("refused_without_record")),
    ],
)
async def test_a_refused_capture_is_explained_by_the_record(record: dict[str, Any], result: GatewayResult) -> None:
    refusal = an_error(400, code="payment_intent_unexpected_state")
    assert await captured(refusal, record) == result


async def test_a_capture_that_stripe_refuses_for_good_is_given_up() -> None:
    assert await captured(an_error(400, code="charge_expired_for_capture"), an_intent()) == Refused("hold_expired")
    assert await captured(an_error(402, type="card_error", code="card_declined"), an_intent()) == Refused(
        "card_declined"
    )
    assert await captured(an_error(404, code="resource_missing"), {}) == NotFound()


async def test_only_our_own_refunds_count_and_only_those_that_stand() -> None:
    refunds = [
        {"id": "re_1", "amount": 500, "status": "succeeded", "metadata": {"refund_reference": "a"}},
        {"id": "re_2", "amount": 250, "status": "pending", "metadata": {"refund_reference": "b"}},
        {"id": "re_3", "amount": 100, "status": "failed", "metadata": {"refund_reference": "c"}},
        {"id": "re_4", "amount": 10, "status": "succeeded", "metadata": {}},
    ]

    def handle(request: httpx.Request) -> httpx.Response:
        page = {"data": refunds, "has_more": False}
        return httpx.Response(200, json=page if request.url.path == "/v1/refunds" else an_intent("succeeded"))

    found = answered(await a_gateway(handle).look_up(TASK.reference, "pi_1"))
    assert (found.status, found.refunded_minor) == (TransactionStatus.PARTIALLY_REFUNDED, 750)


@pytest.mark.parametrize("status", [429, 500, 401])
async def test_a_refund_whose_record_cannot_be_read_is_never_taken_for_one_that_was_not_sent(status: int) -> None:
    made = {"id": "re_1", "amount": 500, "status": "succeeded", "metadata": {"refund_reference": "a"}}

    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=made) if request.method == "POST" else httpx.Response(status)

    assert isinstance(await a_gateway(handle).refund(TASK), Unknown)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (httpx.Response(200, json={"id": "re_1", "amount": 1, "status": "failed"}), Refused("refund_failed")),
        (an_error(400, code="charge_already_refunded"), Refused("amount_too_large")),
        (an_error(400, param="amount"), Refused("amount_too_large")),
        (an_error(400, code="charge_disputed"), Refused("charged_back")),
        (an_error(404, code="resource_missing"), NotFound()),
    ],
)
async def test_refused_refunds_are_told_in_words_of_payments(answer: httpx.Response, result: GatewayResult) -> None:
    assert await a_gateway(lambda _: answer).refund(TASK) == result


def pages_of(*intents: dict[str, Any]) -> Handler:
    """A list with one PaymentIntent on each page, the newest first, and each by its id."""
    names = [intent["id"] for intent in intents]

    def handle(request: httpx.Request) -> httpx.Response:
        name = request.url.path.removeprefix("/v1/payment_intents").strip("/")
        if name:
            return httpx.Response(200, json=intents[names.index(name)])
        after = request.url.params.get("starting_after")
        at = names.index(after) + 1 if after else 0
        page = {"data": list(intents[at : at + 1]), "has_more": at + 1 < len(intents)}
        return httpx.Response(200, json=page)

    return handle


def others(count: int, created: int) -> list[dict[str, Any]]:
    return [an_intent(id=f"pi_other_{at}", created=created, metadata={}) for at in range(count)]


async def test_a_payment_is_found_behind_newer_ones() -> None:
    handler = pages_of(*others(3, 4_000_000_000), an_intent(created=4_000_000_000))
    assert answered(await a_gateway(handler).look_up(TASK.reference)).id == "pi_1"


async def test_what_is_older_than_the_reference_is_not_listed() -> None:
    handler = pages_of(*others(1, CREATED), an_intent(created=CREATED))
    assert await a_gateway(handler).look_up(TASK.reference) == NotFound()


async def test_a_list_that_does_not_end_proves_nothing() -> None:
    handler = pages_of(*others(60, 4_000_000_000))
    assert await a_gateway(handler).look_up(TASK.reference) == Unknown("too_many_payments_to_list")


async def test_two_live_payments_under_one_reference_are_not_trusted() -> None:
    handler = pages_of(an_intent(created=4_000_000_000), an_intent(id="pi_2", created=4_000_000_000))
    assert await a_gateway(handler).look_up(TASK.reference) == Unknown("several_transactions")
    declined = an_intent("requires_payment_method", id="pi_2", created=4_000_000_000)
    handler = pages_of(declined, an_intent(created=4_000_000_000))
    assert answered(await a_gateway(handler).look_up(TASK.reference)).id == "pi_1"


@pytest.mark.parametrize(
    ("payment_method", "merchant_initiated", "payer"),
    [
        ("pm_1", False, {"payment_method": ["pm_1"]}),
        ("cus_1:pm_1", False, {"customer": ["cus_1"], "payment_method": ["pm_1"]}),
        ("cus_1:pm_1", True, {"customer": ["cus_1"], "payment_method": ["pm_1"], "off_session": ["true"]}),
    ],
)
async def test_the_payer_is_named_and_said_to_be_absent_under_a_mandate(
    payment_method: str, merchant_initiated: bool, payer: dict[str, list[str]]
) -> None:
    seen: list[dict[str, list[str]]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(parse_qs(request.content.decode()))
        return httpx.Response(200, json=an_intent("succeeded"))

    update = {"payment_method": payment_method, "merchant_initiated": merchant_initiated}
    await a_gateway(handle).sale(TASK.model_copy(update=update))
    assert {name: seen[0][name] for name in seen[0] if name in ("customer", "payment_method", "off_session")} == payer


async def test_every_request_carries_the_pinned_version_and_an_operation_its_key() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=an_intent())

    gateway = a_gateway(handle)
    await gateway.authorize(TASK)
    await gateway.look_up(TASK.reference, "pi_1")
    assert [request.headers["Stripe-Version"] for request in seen] == [STRIPE_VERSION] * 2
    assert seen[0].headers["Idempotency-Key"] == TASK.idempotency_key
    assert parse_qs(seen[0].content.decode())["amount"] == ["1999"]


@pytest.mark.parametrize(
    ("currency", "amount_minor", "amount"),
    [
        ("EUR", 1999, 1999),
        ("JPY", 1999, 1999),
        ("ISK", 1999, 199_900),
        ("UGX", 5, 500),
        ("MGA", 1900, 19),
        ("MGA", 1999, None),
        ("KWD", 1990, 1990),
        ("KWD", 1999, None),
    ],
)
async def test_amounts_are_exact_in_every_currency(currency: str, amount_minor: int, amount: int | None) -> None:
    assert to_stripe(amount_minor, currency) == amount
    if amount is not None:
        assert from_stripe(amount, currency) == amount_minor
        answer = an_intent(currency=currency.lower(), amount=amount)
        assert answered(await authorized(httpx.Response(200, json=answer))).amount_minor == amount_minor
        return
    task = TASK.model_copy(update={"currency": currency, "amount_minor": amount_minor})
    gateway = a_gateway(lambda _: pytest.fail("nothing may be sent"))
    for verb in (gateway.authorize, gateway.sale, gateway.capture, gateway.refund):
        assert await verb(task) == Refused("amount_not_chargeable")


async def test_an_answer_is_read_whatever_else_stripe_tells() -> None:
    body = json.dumps(an_intent(next_year={"invents": ["this"]}))
    assert isinstance(await authorized(httpx.Response(200, text=body)), Answered)
