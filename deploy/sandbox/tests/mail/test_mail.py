"""The mail server keeps what it accepts, shows it, and refuses for now when told to (NOT-1)."""

import smtplib
import socket
import subprocess
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

type StartPartner = Callable[..., tuple[subprocess.Popen[str], httpx.Client]]

DEADLINE_S = 10


class Mail:
    """The mail server's process, as sender and as reader."""

    def __init__(self, start: StartPartner, state_dir: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.smtp_port: int = probe.getsockname()[1]
        self.process, self.http = start("mail", state_dir, "--smtp-port", str(self.smtp_port))

    def send(self, message: EmailMessage) -> None:
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=DEADLINE_S) as smtp:
            smtp.send_message(message)

    def find(self, **parameters: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get("/messages", params=parameters).json()
        return found

    def count(self) -> int:
        return int(self.http.get("/messages/count").json()["count"])


@pytest.fixture(scope="module")
def mail(start_partner: StartPartner, tmp_path_factory: pytest.TempPathFactory) -> Mail:
    return Mail(start_partner, tmp_path_factory.mktemp("mail"))


def a_message(to: str, *, subject: str = "Your seats are warm", text: str = "Hola,\nya está.\n") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "caas@example.com", to, subject
    message["Message-ID"] = f"<{uuid4()}@example.com>"
    message.set_content(text)
    return message


def an_address() -> str:
    return f"{uuid4()}@example.com"


def test_a_message_is_shown_as_it_was_sent(mail: Mail) -> None:
    to = an_address()
    message = a_message(to)
    message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="invoice.pdf")
    mail.send(message)
    (shown,) = mail.find(to=to)
    assert (shown["to"], shown["from"]) == ([to], "caas@example.com")
    assert (shown["subject"], shown["text"]) == ("Your seats are warm", "Hola,\nya está.\n")
    assert shown["attachments"] == [
        {"filename": "invoice.pdf", "content_type": "application/pdf", "size": len(b"%PDF-1.7")}
    ]
    assert shown["message_id"] == message["Message-ID"]
    assert shown["received_at"].endswith("Z")


def test_the_raw_message_can_be_fetched(mail: Mail) -> None:
    to = an_address()
    mail.send(a_message(to, subject="Raw"))
    (shown,) = mail.find(to=to)
    raw = mail.http.get(f"/messages/{shown['id']}/raw")
    assert b"Subject: Raw\r\n" in raw.content
    assert mail.http.get("/messages/999999/raw").status_code == 404


def test_messages_are_found_by_recipient_and_content(mail: Mail) -> None:
    to = an_address()
    mail.send(a_message(to, subject="Activated: P-1"))
    mail.send(a_message(to, text="Nothing was charged for P-2.\n"))
    assert [one["subject"] for one in mail.find(to=to, contains="P-1")] == ["Activated: P-1"]
    assert len(mail.find(to=to, contains="P-2")) == 1
    assert len(mail.find(to=to.upper())) == 2
    assert mail.find(to=an_address()) == []
    assert mail.find(to=to.removeprefix(to[0])) == [], "an address is compared whole"


def test_every_recipient_finds_the_message(mail: Mail) -> None:
    first, second = an_address(), an_address()
    mail.send(a_message(f"{first}, {second}"))
    assert mail.find(to=first) == mail.find(to=second) != []


def test_a_set_fault_refuses_for_now_and_keeps_nothing(mail: Mail) -> None:
    to = an_address()
    assert mail.http.put("/faults", json={"smtp_451_times": 2}).status_code == 200
    for _ in range(2):
        with pytest.raises(smtplib.SMTPDataError) as refused:
            mail.send(a_message(to))
        assert refused.value.smtp_code == 451
    assert mail.find(to=to) == []
    mail.send(a_message(to))
    assert len(mail.find(to=to)) == 1
    assert mail.http.put("/faults", json={"smtp_451_times": -1}).status_code == 422


def test_kept_messages_and_faults_survive_a_kill(start_partner: StartPartner, tmp_path: Path) -> None:
    before = Mail(start_partner, tmp_path)
    before.send(a_message(an_address()))
    before.http.put("/faults", json={"smtp_451_times": 1})
    before.process.kill()
    before.process.wait(DEADLINE_S)
    after = Mail(start_partner, tmp_path)
    assert after.count() == 1
    with pytest.raises(smtplib.SMTPDataError):
        after.send(a_message(an_address()))
    after.send(a_message(an_address()))
    assert after.count() == 2


def test_sigterm_ends_the_process_with_status_0(start_partner: StartPartner, tmp_path: Path) -> None:
    mail = Mail(start_partner, tmp_path)
    mail.process.terminate()
    assert mail.process.wait(DEADLINE_S) == 0
