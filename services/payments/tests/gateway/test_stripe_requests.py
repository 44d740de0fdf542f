"""What the adapter sends is what Stripe's own OpenAPI document allows: stripe-mock checks every request of a life."""

from urllib.parse import parse_qs

import httpx
import pytest

from caas_payments.gateway.stripe import StripeGateway
from caas_payments.gateway.stripe.api import STRIPE_VERSION
from services.payments.tests.gateway.conftest import Gateways
from services.payments.tests.gateway.targets import LOCALSTRIPE, PATIENCE_S, STRIPE_MOCK
from services.payments.tests.gateway.tasks import an_authorization_of, answered, following

HEADERS = {"Authorization": f"Bearer {STRIPE_MOCK.key}", "Stripe-Version": STRIPE_VERSION}


async def a_life(url: str) -> list[httpx.Request]:
    """Every request of payments that are sold, declined, captured, voided, refunded and looked up."""
    sent: list[httpx.Request] = []

    async def note(request: httpx.Request) -> None:
        sent.append(request)

    http = httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=PATIENCE_S, event_hooks={"request": [note]})
    gateway = StripeGateway(http)
    bill = an_authorization_of(LOCALSTRIPE.approved).model_copy(update={"merchant_initiated": True})
    assert answered(await gateway.sale(bill)).captured_minor == bill.amount_minor
    await gateway.authorize(an_authorization_of(LOCALSTRIPE.declined))
    released = an_authorization_of(LOCALSTRIPE.approved)
    held = answered(await gateway.authorize(released))
    await gateway.void(following(released, held, "void:2"))
    taken = an_authorization_of(LOCALSTRIPE.approved)
    held = answered(await gateway.authorize(taken))
    await gateway.capture(following(taken, held, "capture:2", 1500))
    await gateway.refund(following(taken, held, "refund:3", 500))
    await gateway.look_up(taken.reference)
    await gateway.close()
    return sent


async def test_every_request_of_a_life_is_valid_by_stripes_own_document(gateways: Gateways) -> None:
    sent = await a_life(gateways.url(LOCALSTRIPE))
    assert {(request.method, request.url.path.split("/")[-1].partition("_")[0]) for request in sent} == {
        ("POST", "payment"),
        ("POST", "capture"),
        ("POST", "cancel"),
        ("POST", "refunds"),
        ("GET", "payment"),
        ("GET", "pi"),
        ("GET", "refunds"),
    }
    async with httpx.AsyncClient(base_url=gateways.url(STRIPE_MOCK), timeout=PATIENCE_S) as checker:
        for request in sent:
            headers = {
                name: request.headers[name] for name in request.headers if name not in ("host", "content-length")
            }
            answer = await checker.request(
                request.method, request.url.raw_path.decode(), content=request.content, headers=headers
            )
            assert answer.status_code == httpx.codes.OK, (request.url.path, answer.text)
            read = answer.json()
            # The document does not check what is to be expanded: the answer shows it.
            assert read["object"] != "payment_intent" or read["latest_charge"]["object"] == "charge"


@pytest.mark.parametrize(
    ("form", "version"),
    [
        ({"amount": "1999", "currency": "eur", "reference": "x"}, STRIPE_VERSION),
        ({"amount": "19.99", "currency": "eur"}, STRIPE_VERSION),
        ({"amount": "1999", "currency": "eur"}, "2020-08-27"),
    ],
)
async def test_what_the_document_does_not_allow_is_refused(
    gateways: Gateways, form: dict[str, str], version: str
) -> None:
    async with httpx.AsyncClient(base_url=gateways.url(STRIPE_MOCK), timeout=PATIENCE_S) as client:
        headers = HEADERS | {"Stripe-Version": version}
        answer = await client.post("/v1/payment_intents", data=form, headers=headers)
    assert answer.status_code == httpx.codes.BAD_REQUEST


async def test_answers_in_stripes_full_form_are_read(gateways: Gateways) -> None:
    gateway = STRIPE_MOCK.gateway_at(gateways.url(STRIPE_MOCK))
    task = an_authorization_of(STRIPE_MOCK.approved)
    created = answered(await gateway.authorize(task))
    later = following(task, created, "later:2")
    for result in (
        await gateway.capture(later),
        await gateway.void(later),
        await gateway.refund(later),
        await gateway.look_up(task.reference, created.id),
    ):
        assert answered(result).currency
    await gateway.close()


async def test_a_page_to_return_to_is_a_valid_request_by_stripes_own_document(gateways: Gateways) -> None:
    answers: list[httpx.Response] = []

    async def note(answer: httpx.Response) -> None:
        answers.append(answer)

    url = gateways.url(STRIPE_MOCK)
    http = httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=PATIENCE_S, event_hooks={"response": [note]})
    gateway = StripeGateway(http, "https://caas.example/confirmed")
    await gateway.sale(an_authorization_of(STRIPE_MOCK.approved))
    await gateway.sale(an_authorization_of(STRIPE_MOCK.approved).model_copy(update={"merchant_initiated": True}))
    await gateway.close()
    present, away = (parse_qs(answer.request.content.decode()) for answer in answers)
    assert [answer.status_code for answer in answers] == [httpx.codes.OK] * 2
    assert (present["return_url"], "return_url" in away, away["off_session"]) == (
        ["https://caas.example/confirmed"],
        False,
        ["true"],
    )
