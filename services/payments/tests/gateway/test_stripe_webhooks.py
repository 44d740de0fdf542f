"""Stripe's webhooks at the reader of the bridge (GW-5): signed by Stripe's scheme over the raw bytes, or refused."""

import hmac
import json
import time
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.payments import ChargebackReceived
from caas_payments.app import service_of
from caas_payments.domain.rules import Rules
from caas_payments.errors import WebhookFault, WebhookRefused
from caas_payments.gateway.stripe import StripeWebhooks
from caas_payments.gateway.webhooks import Changed, Disputed, Held, Meaning, Unreadable
from services.payments.tests.builders import a_success, an_authorization
from services.payments.tests.conftest import migrate
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.reading import payment_of

SECRET = "whsec_now"
PREVIOUS = "whsec_before"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
READER = StripeWebhooks((SECRET, PREVIOUS))


def an_event(kind: str = "payment_intent.succeeded", event_id: str = "evt_1", **subject: Any) -> bytes:
    about = {"id": "pi_1", "object": "payment_intent", "metadata": {"reference": "ours"}} | subject
    return json.dumps({"id": event_id, "object": "event", "type": kind, "data": {"object": about}}).encode()


def signature(body: bytes, *, secret: str = SECRET, age_s: int = 0, scheme: str = "v1") -> str:
    signed_at = int(time.time()) - age_s
    mac = hmac.new(secret.encode(), b"%d." % signed_at + body, sha256)
    return f"t={signed_at},{scheme}={mac.hexdigest()}"


def refusal(header: str, body: bytes) -> WebhookFault:
    headers = {"stripe-signature": header} if header else {}
    with pytest.raises(WebhookRefused) as refused:
        READER.verify(headers, body, NOW)
    return refused.value.fault


@pytest.mark.parametrize("secret", [SECRET, PREVIOUS])
def test_a_webhook_is_read_when_one_of_the_secrets_signed_it(secret: str) -> None:
    body = an_event()
    header = signature(body, secret=secret)
    verified = READER.verify({"stripe-signature": header}, body, NOW)
    message = verified.message
    assert (message.webhook_id, message.event_type) == ("evt_1", "payment_intent.succeeded")
    assert (message.transaction_id, message.reference) == ("pi_1", "ours")
    assert (message.body.encode(), message.received_at) == (body, NOW)
    assert verified.proof == {"stripe-signature": header}


def test_during_a_rotation_one_of_stripes_two_signatures_is_enough() -> None:
    body = an_event()
    ours = signature(body)
    both = {"stripe-signature": f"{ours},v1={'0' * 64}"}
    assert READER.verify(both, body, NOW).proof == both


@pytest.mark.parametrize(
    "header", ["nonsense", "t=,v1=", "t=1,t", "t=x,v1=00", f"t={10**30},v1=00", f"t=1,v1={'0' * 64}"]
)
def test_what_is_no_signature_of_ours_is_refused(header: str) -> None:
    assert refusal(header, an_event()) is WebhookFault.FORGED


def test_a_webhook_without_a_signature_is_refused() -> None:
    assert refusal("", an_event()) is WebhookFault.MALFORMED


def test_the_signature_of_another_secret_event_or_scheme_is_refused() -> None:
    for header in (
        signature(an_event(), secret="whsec_other"),
        signature(an_event(event_id="evt_2")),
        signature(an_event(), scheme="v0"),
    ):
        assert refusal(header, an_event()) is WebhookFault.FORGED


@pytest.mark.parametrize("age_s", [400, -400])
def test_a_webhook_from_another_time_is_stale(age_s: int) -> None:
    assert refusal(signature(an_event(), age_s=age_s), an_event()) is WebhookFault.STALE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b"not json",
        an_event(event_id=""),
        an_event(kind="a kind"),
        an_event(metadata={"reference": "a\x00b"}),
        an_event(id="p" * 65),
    ],
)
def test_what_is_signed_and_no_event_is_refused(body: bytes) -> None:
    assert refusal(signature(body), body) in (WebhookFault.MALFORMED, WebhookFault.FORGED)


def test_one_changed_byte_is_noticed() -> None:
    body = an_event()
    assert refusal(signature(body), body.replace(b"ours", b"ourz")) is WebhookFault.FORGED
    assert refusal(signature(body), body + b" ") is WebhookFault.FORGED


def test_without_a_secret_nothing_is_accepted() -> None:
    body = an_event()
    for secrets in ((), ("",)):
        with pytest.raises(WebhookRefused):
            StripeWebhooks(secrets).verify({"stripe-signature": signature(body, secret="")}, body, NOW)


@pytest.mark.parametrize(
    ("body", "meaning"),
    [
        (an_event(), Held()),
        (an_event("payment_intent.processing"), Changed()),
        (an_event("payment_intent.amount_capturable_updated"), Held()),
        (an_event("refund.failed", id="re_1", payment_intent="pi_1"), Changed()),
        (
            an_event(
                "charge.dispute.created",
                id="dp_1",
                payment_intent="pi_1",
                metadata={},
                amount=1999,
                currency="eur",
                reason="fraudulent",
            ),
            Disputed("dp_1", 1999, "EUR", "fraudulent"),
        ),
        (an_event("charge.dispute.created", id="dp_1"), Unreadable()),
        (an_event("charge.dispute.created", id="dp_1", amount=1950, currency="isk"), Unreadable()),
    ],
)
def test_an_event_is_a_hint(body: bytes, meaning: Meaning) -> None:
    message = READER.verify({"stripe-signature": signature(body)}, body, NOW).message
    assert message.transaction_id in ("pi_1", "dp_1")
    assert READER.meaning(message) == meaning


def test_a_dispute_is_about_its_payment_though_it_does_not_carry_our_reference() -> None:
    body = an_event("charge.dispute.created", id="dp_1", payment_intent="pi_1", metadata={})
    message = READER.verify({"stripe-signature": signature(body)}, body, NOW).message
    assert (message.transaction_id, message.reference) == ("pi_1", "")


async def test_a_dispute_becomes_a_chargeback_once(make_database: MakeDatabase) -> None:
    url = await make_database("payments", migrate)
    async with Harness(service_of(Rules(jitter=0.0), InProcessGateway(), reader=READER), url) as payments:
        command = an_authorization()
        await payments.receive(command)
        await payments.run_effects()
        await payments.receive(a_success(command))
        await payments.run_effects()
        intent = (await payment_of(payments, command.payment_id)).transaction_id
        subject: dict[str, Any] = {"id": "dp_1", "payment_intent": intent, "metadata": {}}
        subject |= {"amount": 1999, "currency": "eur"}
        for event_id in ("evt_1", "evt_2"):
            body = an_event("charge.dispute.created", event_id, **subject, reason="fraudulent")
            await payments.receive(READER.verify({"stripe-signature": signature(body)}, body, NOW).message)
        [told] = await payments.published(ChargebackReceived)
    assert (told.payment_id, told.disputed.amount_minor, told.reason) == (command.payment_id, 1999, "fraudulent")
