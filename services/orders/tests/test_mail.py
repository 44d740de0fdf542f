"""Mails against the sandbox's mail server, a process of its own (NOT-1, NOT-2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from caas_chassis.clock import BusinessClock
from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_orders.app import orders_service
from caas_orders.gateway import Deferred, OutgoingMail, Rejected, Sent
from caas_orders.gateway.mail import SmtpMailer, SmtpServer
from services.orders.tests.builders import (
    NOW,
    PlayedMaintenance,
    a_vehicle,
    alert_raised,
    payment_authorized,
    payment_captured,
    place_purchase,
    registered,
    stored,
)
from services.orders.tests.partners import partner, unused_port


@dataclass(frozen=True, slots=True)
class MailServer:
    """The sink, as sender and as reader."""

    http: httpx.Client
    smtp_port: int

    @property
    def mailer(self) -> SmtpMailer:
        return mailer_for(self.smtp_port)

    def messages(self, to: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get("/messages", params={"to": to}).json()
        return found


def mailer_for(port: int) -> SmtpMailer:
    server = SmtpServer("127.0.0.1", port, "CaaS <no-reply@caas.example>", "operations@caas.example", timeout_s=2.0)
    return SmtpMailer(server, BusinessClock())


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    port = unused_port()
    state_dir: Path = tmp_path_factory.mktemp("mail")
    with partner("mail", state_dir, "--smtp-port", str(port)) as client:
        yield MailServer(client, port)


def a_mail(recipient: str | None, text: str = "Hola, ¿qué tal?\n") -> OutgoingMail:
    return OutgoingMail(mail_id=new_id(), recipient=recipient, subject="Sonido prémium ya está activo", text=text)


async def test_a_mail_arrives_as_written_under_its_own_message_id(mail: MailServer) -> None:
    letter = a_mail("ana@example.com")
    assert await mail.mailer.send(letter) == Sent()
    (message,) = mail.messages("ana@example.com")
    assert (message["subject"], message["text"]) == (letter.subject, letter.text)
    assert message["message_id"] == f"<{letter.mail_id}@caas.example>"


async def test_a_mail_sent_again_is_the_same_mail(mail: MailServer) -> None:
    letter = a_mail("eva@example.com")
    await mail.mailer.send(letter)
    await mail.mailer.send(letter.model_copy(update={"attempt": 2}))
    assert len({message["message_id"] for message in mail.messages("eva@example.com")}) == 1


async def test_a_server_that_is_busy_or_gone_defers_the_mail(mail: MailServer) -> None:
    mail.http.put("/faults", json={"smtp_451_times": 1}).raise_for_status()
    assert isinstance(await mail.mailer.send(a_mail("leo@example.com")), Deferred)
    assert isinstance(await mailer_for(unused_port()).send(a_mail("leo@example.com")), Deferred)
    assert mail.messages("leo@example.com") == []


async def test_a_refused_recipient_is_final(mail: MailServer) -> None:
    assert isinstance(await mail.mailer.send(a_mail("not an address")), Rejected)


async def test_a_sold_service_is_mailed_once_even_when_the_server_is_busy_first(
    mail: MailServer, database_url: str
) -> None:
    mail.http.put("/faults", json={"smtp_451_times": 2}).raise_for_status()
    async with Harness(orders_service(PlayedMaintenance(), mail.mailer), database_url) as harness:
        await registered(harness, a_vehicle(customer_id="cus-mail"))
        command = place_purchase(customer_id="cus-mail")
        await harness.receive(command)
        purchase = await stored(harness, command.purchase_id)
        await harness.receive(payment_authorized(purchase))
        captured = payment_captured(purchase, activated_at=NOW)
        await harness.receive(captured)
        await harness.receive_again(captured)
        for _ in range(3):
            await harness.skip_delays()
            await harness.run_effects()
        (message,) = mail.messages("cus-mail@example.com")
        assert message["subject"] == "Sonido prémium ya está activo en su coche"


async def test_an_alert_reaches_operations(mail: MailServer, database_url: str) -> None:
    async with Harness(orders_service(PlayedMaintenance(), mail.mailer), database_url) as harness:
        await harness.receive(alert_raised("pay-77"))
        await harness.run_effects()
    (message,) = mail.messages("operations@caas.example")
    assert message["subject"] == "[payments] payment_abandoned: pay-77"
    assert "look at the gateway" in message["text"]
