"""The service as it is deployed: a process between a real Kafka, a real PostgreSQL and the real sandbox gateway."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from caas_chassis.ids import new_id
from caas_chassis.testing.plugin import MakeDatabase
from caas_chassis.topicadmin import all_topics, create_topics
from caas_contracts import Envelope
from caas_contracts.envelope import rfc3339
from caas_contracts.payments import AuthorizePayment, PaymentAuthorized
from caas_contracts.topics import PAYMENTS_EVENTS
from services.payments.tests.builders import NOW, an_authorization
from services.payments.tests.conftest import migrate
from services.payments.tests.sandbox_gateway import API_KEY, running_sandbox
from services.payments.tests.web import SECRET

DEADLINE_S = 60.0


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


@contextmanager
def serving_process(port: int, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m caas_payments serve`, ended with SIGTERM."""
    environment = {**os.environ, **variables, "CAAS_PAYMENTS_HTTP_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-m", "caas_payments", "serve"], env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=45.0)


async def until_ready(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client, asyncio.timeout(DEADLINE_S):
        while True:
            try:
                if (await client.get("/health/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass  # Not listening yet.
            await asyncio.sleep(0.2)


async def send(bootstrap_servers: str, command: AuthorizePayment) -> None:
    name = str(new_id())
    envelope = Envelope(name, "orders", command.TYPE, rfc3339(NOW), command.key, name, "", 1)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        await producer.send_and_wait(
            command.TOPIC.name, command.to_json(), key=command.key.encode(), headers=envelope.to_headers()
        )


async def status_in(url: str, command: AuthorizePayment, wanted: str) -> str:
    """The payment's status, once it is the wanted one."""
    connection = await asyncpg.connect(url, timeout=10.0, command_timeout=10.0)
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                status = await connection.fetchval("SELECT status FROM payments WHERE id = $1", command.payment_id)
                if status == wanted:
                    return wanted
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def event_about(bootstrap_servers: str, command: AuthorizePayment) -> PaymentAuthorized:
    """The PaymentAuthorized of a payment, from the broker."""
    async with AIOKafkaConsumer(
        PAYMENTS_EVENTS.name, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest"
    ) as consumer:
        async with asyncio.timeout(DEADLINE_S):
            async for record in consumer:
                about = record.key == command.key.encode()
                if about and dict(record.headers)["ce_type"] == PaymentAuthorized.TYPE.encode():
                    return PaymentAuthorized.model_validate_json(record.value)
    raise AssertionError("the consumer ended without the event")


async def test_a_pending_payment_is_authorized_by_a_webhook_and_told_over_the_broker(
    make_database: MakeDatabase, kafka_bootstrap: str, tmp_path: Path
) -> None:
    url = await make_database("payments", migrate)
    await create_topics(kafka_bootstrap, all_topics())
    port = free_port()
    webhooks = ("--webhook-url", f"http://127.0.0.1:{port}/webhooks/gateway", "--webhook-secret", SECRET)
    with running_sandbox(tmp_path, *webhooks) as sandbox:
        variables = {
            "CAAS_PAYMENTS_DATABASE_URL": url,
            "CAAS_PAYMENTS_GATEWAY_URL": sandbox.url,
            "CAAS_PAYMENTS_GATEWAY_API_KEY": API_KEY,
            "CAAS_PAYMENTS_WEBHOOK_SECRET": SECRET,
            "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        }
        with serving_process(port, **variables) as process:
            await until_ready(port)
            command = an_authorization(payment_method="tok_pending")
            await send(kafka_bootstrap, command)
            # Sooner than the first poll, which comes after 30 s: the webhook did it.
            async with asyncio.timeout(25.0):
                await status_in(url, command, "AUTHORIZED")
            told = await event_about(kafka_bootstrap, command)
            assert told.activation_id == command.activation_id
        # uvicorn ends itself by the signal again once everything is finished.
        assert process.returncode in (0, -signal.SIGTERM)
