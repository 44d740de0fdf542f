"""Payments as it is deployed, on localstripe: a purchase, a rejection and a decline, with webhooks; the books agree."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg
import httpx
from aiokafka import AIOKafkaProducer

from caas_chassis.ids import new_id
from caas_chassis.testing.plugin import MakeDatabase
from caas_chassis.topicadmin import all_topics, create_topics
from caas_contracts import Envelope, Message
from caas_contracts.envelope import rfc3339
from caas_contracts.payments import AuthorizePayment
from services.payments.tests.builders import NOW, a_failure, a_refund, a_success, an_authorization
from services.payments.tests.conftest import migrate
from services.payments.tests.gateway.conftest import Gateways
from services.payments.tests.gateway.targets import LOCALSTRIPE, PATIENCE_S
from services.payments.tests.test_process import DEADLINE_S, free_port, serving_process, status_in, until_ready

SECRET = "whsec_story"

type Say = Callable[[str, int, Message], Awaitable[None]]


@asynccontextmanager
async def a_producer(bootstrap_servers: str) -> AsyncIterator[Say]:
    """Say a message of another service: its source, its number in that stream, the message."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:

        async def say(source: str, sequence: int, message: Message) -> None:
            name = str(new_id())
            envelope = Envelope(name, source, message.TYPE, rfc3339(NOW), message.key, name, "", sequence)
            await producer.send_and_wait(
                message.TOPIC.name, message.to_json(), key=message.key.encode(), headers=envelope.to_headers()
            )

        yield say


async def books_of(url: str) -> dict[str, tuple[str, int, list[int]]]:
    """localstripe's record by our reference: state, amount taken, our refunds."""
    headers = {"Authorization": f"Bearer {LOCALSTRIPE.key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE_S) as client:
        intents = (await client.get("/v1/payment_intents?limit=1000")).json()["data"]
        refunds = (await client.get("/v1/refunds?limit=1000")).json()["data"]
    return {
        intent["metadata"].get("reference", ""): (
            intent["status"],
            intent["amount"] if intent["status"] == "succeeded" else 0,
            [refund["amount"] for refund in refunds if refund["payment_intent"] == intent["id"]],
        )
        for intent in intents
    }


async def webhooks_in(database_url: str, about: Sequence[AuthorizePayment]) -> list[tuple[str, str]]:
    """Event type and our reference of the webhooks that the bridge stored about these, once there is one of each."""
    references = [str(command.payment_id) for command in about]
    connection = await asyncpg.connect(database_url, timeout=10.0, command_timeout=10.0)
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                # Others may arrive too: localstripe sends a second after the event, to whoever is told of by then.
                rows = await connection.fetch(
                    "SELECT event_type, reference FROM webhooks WHERE reference = ANY($1)", references
                )
                if {row["reference"] for row in rows} == set(references):
                    return sorted((row["event_type"], row["reference"]) for row in rows)
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def tell_of_webhooks(url: str, port: int) -> None:
    """Have localstripe send its webhooks to the bridge, signed."""
    body = {"url": f"http://127.0.0.1:{port}/webhooks/gateway", "secret": SECRET}
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client:
        (await client.post(f"/_config/webhooks/{port}", json=body)).raise_for_status()


async def play(say: Say, database_url: str) -> tuple[AuthorizePayment, AuthorizePayment, AuthorizePayment]:
    """A delivered and partly refunded purchase, one whose car rejects it, and one that is declined."""
    delivered = an_authorization(payment_method=LOCALSTRIPE.approved)
    rejected = an_authorization(payment_method=LOCALSTRIPE.approved)
    declined = an_authorization(payment_method=LOCALSTRIPE.declined)
    for command in (delivered, rejected, declined):
        await say("orders", 1, command)
    await status_in(database_url, declined, "FAILED")
    await status_in(database_url, delivered, "AUTHORIZED")
    await status_in(database_url, rejected, "AUTHORIZED")
    await say("ota", 1, a_success(delivered))
    await say("ota", 1, a_failure(rejected))
    await status_in(database_url, rejected, "VOIDED")
    await status_in(database_url, delivered, "CAPTURING")
    await say("orders", 2, a_refund(delivered, 500))
    await status_in(database_url, delivered, "REFUNDED")
    return delivered, rejected, declined


async def test_a_purchase_on_a_stripe_that_we_did_not_write(
    make_database: MakeDatabase, kafka_bootstrap: str, gateways: Gateways
) -> None:
    database_url = await make_database("payments", migrate)
    await create_topics(kafka_bootstrap, all_topics())
    stripe, port = gateways.url(LOCALSTRIPE), free_port()
    variables = {
        "CAAS_PAYMENTS_DATABASE_URL": database_url,
        "CAAS_PAYMENTS_GATEWAY_KIND": "stripe",
        "CAAS_PAYMENTS_GATEWAY_URL": stripe,
        "CAAS_PAYMENTS_GATEWAY_API_KEY": LOCALSTRIPE.key,
        "CAAS_PAYMENTS_WEBHOOK_SECRET": SECRET,
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
    }
    with serving_process(port, **variables) as process:
        await until_ready(port)
        await tell_of_webhooks(stripe, port)
        async with a_producer(kafka_bootstrap) as say:
            delivered, rejected, declined = await play(say, database_url)
        told = await webhooks_in(database_url, (delivered, declined))
    assert process.returncode in (0, -signal.SIGTERM)
    assert told == [
        ("payment_intent.payment_failed", str(declined.payment_id)),
        ("payment_intent.succeeded", str(delivered.payment_id)),
    ]
    books = await books_of(stripe)
    price = delivered.amount.amount_minor
    assert books[str(delivered.payment_id)] == ("succeeded", price, [500])
    assert books[str(rejected.payment_id)] == ("canceled", 0, [])
    assert books[str(declined.payment_id)] == ("requires_payment_method", 0, [])
