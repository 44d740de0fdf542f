"""A mail server that delivers nowhere: it keeps every message as it came and lets tests read them.

Invariant: a message is answered 250 only after it was written down.
"""

import argparse
import asyncio
import email
import email.policy
import socket
import sqlite3
from email.message import EmailMessage
from pathlib import Path
from typing import Annotated, Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, Field

from caas_sandbox.clock import BusinessClock, rfc3339
from caas_sandbox.serving import run_partner

LOOPBACK = "127.0.0.1"
_LARGEST_MESSAGE_BYTES = 25 * 1024 * 1024

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    raw BLOB NOT NULL,
    received_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS faults (name TEXT PRIMARY KEY, times INTEGER NOT NULL CHECK (times >= 0));
"""


class Faults(BaseModel):
    """How many of the next messages are refused with 451, "try again later"."""

    smtp_451_times: Annotated[int, Field(ge=0)]


class Mailbox:
    """All messages and the faults still to come, kept in SQLite."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.executescript(_SCHEMA)

    def keep(self, sender: str, recipients: list[str], raw: bytes, received_at: str) -> None:
        """Writes a message down."""
        self._database.execute(
            "INSERT INTO messages (sender, recipients, raw, received_at) VALUES (?, ?, ?, ?)",
            (sender, "\n".join(recipients), raw, received_at),
        )

    def find(self, to: str | None) -> list[sqlite3.Row]:
        """The messages in order of arrival, only those to one address when it is given."""
        return self._database.execute(
            "SELECT * FROM messages WHERE ? IS NULL"
            " OR instr(char(10) || lower(recipients) || char(10), char(10) || lower(?) || char(10)) > 0"
            " ORDER BY id",
            (to, to),
        ).fetchall()

    def raw(self, message_id: int) -> bytes | None:
        """The message as it came, or None."""
        row = self._database.execute("SELECT raw FROM messages WHERE id = ?", (message_id,)).fetchone()
        return row[0] if row else None

    def count(self) -> int:
        """How many messages have come."""
        (count,) = self._database.execute("SELECT count(*) FROM messages").fetchone()
        return int(count)

    def refuse_next(self, times: int) -> None:
        """Refuses that many of the next messages."""
        self._database.execute("INSERT OR REPLACE INTO faults VALUES ('smtp_451', ?)", (times,))

    def refusals_left(self) -> int:
        """How many messages are still to be refused."""
        row = self._database.execute("SELECT times FROM faults WHERE name = 'smtp_451'").fetchone()
        return int(row[0]) if row else 0


class Receiver:
    """What the SMTP server does with a message."""

    def __init__(self, mailbox: Mailbox, clock: BusinessClock) -> None:
        self._mailbox = mailbox
        self._clock = clock

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802, ARG002
        """Keeps the message, or refuses it for now while a fault is set; aiosmtpd gives the name."""
        refusals = self._mailbox.refusals_left()
        if refusals:
            self._mailbox.refuse_next(refusals - 1)
            return "451 4.3.0 Try again later"
        content = envelope.original_content or b""
        received_at = rfc3339(self._clock.now())
        self._mailbox.keep(envelope.mail_from or "", list(envelope.rcpt_tos), content, received_at)
        return "250 2.0.0 Kept"


def build_app(mailbox: Mailbox) -> FastAPI:
    """The application to read the mail and to set faults."""
    app = FastAPI(title="CaaS sandbox: mail")

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/messages")
    async def get_messages(to: str | None = None, contains: str | None = None) -> list[dict[str, Any]]:
        views = [_view(row) for row in mailbox.find(to)]
        return [view for view in views if not contains or contains in f"{view['subject']}\n{view['text']}"]

    @app.get("/messages/count")
    async def get_count() -> dict[str, int]:
        return {"count": mailbox.count()}

    @app.get("/messages/{message_id}/raw")
    async def get_raw(message_id: int) -> Response:
        raw = mailbox.raw(message_id)
        if raw is None:
            raise HTTPException(404, f"no message {message_id}")
        return Response(raw, media_type="message/rfc822")

    @app.put("/faults")
    async def put_faults(faults: Faults) -> Faults:
        mailbox.refuse_next(faults.smtp_451_times)
        return faults

    @app.get("/faults")
    async def get_faults() -> Faults:
        return Faults(smtp_451_times=mailbox.refusals_left())

    return app


def _view(row: sqlite3.Row) -> dict[str, Any]:
    message = email.message_from_bytes(row["raw"], policy=email.policy.default)
    text = message.get_body(preferencelist=("plain", "html"))
    return {
        "id": row["id"],
        "to": row["recipients"].split("\n"),
        "from": row["sender"],
        "subject": str(message["subject"] or ""),
        "text": _text(text) if isinstance(text, EmailMessage) else "",
        "attachments": [_attachment(part) for part in message.iter_attachments()],
        "received_at": row["received_at"],
        "message_id": str(message["message-id"] or ""),
    }


def _text(part: EmailMessage) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


def _attachment(part: EmailMessage) -> dict[str, Any]:
    content = part.get_payload(decode=True)
    size = len(content) if isinstance(content, bytes) else 0
    return {"filename": part.get_filename() or "", "content_type": part.get_content_type(), "size": size}


def main() -> None:
    """Entry point of `python -m caas_sandbox.mail`."""
    parser = argparse.ArgumentParser(prog="caas_sandbox.mail", description="Sandbox mail server")
    parser.add_argument("--port", type=int, required=True, help="HTTP port to read the mail")
    parser.add_argument("--smtp-port", type=int, required=True)
    parser.add_argument("--state-dir", type=Path, required=True, help="where the messages are kept")
    arguments = parser.parse_args()
    mailbox = Mailbox(arguments.state_dir / "mail.sqlite3")
    receiver = Receiver(mailbox, BusinessClock())
    # Bound before the start is announced: a client that connects early waits instead of being refused.
    listener = socket.create_server((LOOPBACK, arguments.smtp_port))

    async def receive_mail() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(
                receiver,
                data_size_limit=_LARGEST_MESSAGE_BYTES,
                enable_SMTPUTF8=True,
                hostname="sandbox.invalid",
                loop=loop,
            ),
            sock=listener,
        )
        async with server:
            await server.serve_forever()

    run_partner(build_app(mailbox), arguments.port, receive_mail)


if __name__ == "__main__":
    main()
