"""Sends documents by e-mail over SMTP: one message per document, told apart by its Message-ID (NOT-1)."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from typing import Final, Literal
from uuid import UUID

import aiosmtplib
from pydantic import BaseModel

from caas_billing.domain.document import Document
from caas_billing.domain.monthly import SoldSubscription
from caas_billing.domain.sale import SoldVehicle
from caas_billing.gateway.usage_wording import payment_words
from caas_billing.gateway.wording import formatted_amount, formatted_date, formatted_month, labels, mailed_name

_MAX_ANSWER: Final = 500
# One mailbox, without characters that would make it two or a header. The mail server knows the rest.
_ADDRESS: Final = re.compile(r"[^\s@,;:<>()\[\]\\\"]+@[^\s@,;:<>()\[\]\\\"]+")


class MailDocument(BaseModel):
    """The task: send this document to its customer; `attempt` counts from 0."""

    document: Document
    attempt: int


@dataclass(frozen=True, slots=True)
class Sent:
    """The mail server took responsibility for the message."""

    answer: str


@dataclass(frozen=True, slots=True)
class Refused:
    """It never will: the address is impossible, or the server answered with a permanent error."""

    answer: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now: no connection, no answer, a temporary error, or our own login is wrong."""

    answer: str


type MailResult = Sent | Refused | Deferred


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail goes out and as whom."""

    host: str
    port: int
    security: Literal["none", "starttls", "tls"]
    username: str | None
    password: str | None
    timeout_s: float
    sender_name: str
    sender_address: str


class Postman:
    """Sends one document at a time; the PDF is read when it is needed, so tasks stay small."""

    def __init__(self, server: MailServer, read_pdf: Callable[[UUID], Awaitable[bytes | None]]) -> None:
        self._server = server
        self._read_pdf = read_pdf

    async def send(self, task: MailDocument) -> MailResult:
        """Hand the e-mail to the mail server.

        When the process dies after the server accepted, it is sent again with the same Message-ID, which
        mail systems recognise as the same message (NOT-1).
        """
        if not _is_possible_address(task.document.customer.email):
            return Refused("the customer's e-mail address is not one")
        pdf = await self._read_pdf(task.document.document_id)
        if pdf is None:
            raise LookupError(f"document {task.document.document_id} is to be mailed, but has no PDF")
        return await self._hand_over(self._message(task.document, pdf))

    async def _hand_over(self, message: EmailMessage) -> MailResult:
        server = self._server
        try:
            _, answer = await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                use_tls=server.security == "tls",
                start_tls=server.security == "starttls",
                username=server.username,
                password=server.password,
                timeout=server.timeout_s,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _by_code(error.recipients[0].code, error.recipients[0].message)
        except (aiosmtplib.SMTPAuthenticationError, aiosmtplib.SMTPSenderRefused) as error:
            return Deferred(f"{error.code} {error.message}"[:_MAX_ANSWER])
        except aiosmtplib.SMTPResponseException as error:
            return _by_code(error.code, error.message)
        except (aiosmtplib.SMTPException, OSError) as error:
            return Deferred(f"{type(error).__name__}: {error}"[:_MAX_ANSWER])
        return Sent(answer[:_MAX_ANSWER])

    def _message(self, document: Document, pdf: bytes) -> EmailMessage:
        server = self._server
        domain = server.sender_address.rpartition("@")[2]
        message = EmailMessage()
        message["From"] = formataddr((server.sender_name, server.sender_address))
        message["To"] = document.customer.email
        message["Subject"] = mail_subject(document)
        message["Message-ID"] = f"<document.{document.document_id}@{domain}>"
        message["Date"] = format_datetime(document.issued_at)
        message["Auto-Submitted"] = "auto-generated"
        message["Content-Language"] = document.language
        message.set_content(mail_text(document, server.sender_name))
        message.add_attachment(pdf, maintype="application", subtype="pdf", filename=f"{document.number}.pdf")
        return message


def mail_subject(document: Document) -> str:
    """What the e-mail is about, in the document's language."""
    sold, words = document.sold, labels(document.language)["mail"]
    period = formatted_month(sold.period, document.language) if isinstance(sold, SoldSubscription) else None
    return words[f"{document.wording}_subject"].format(number=document.number, period=period)


def mail_text(document: Document, sender_name: str) -> str:
    """The words of the e-mail, in the document's language."""
    language, sold, words = document.language, document.sold, labels(document.language)
    return words["mail"][f"{document.wording}_text"].format(
        customer=document.customer.name,
        number=document.number,
        sold=mailed_name(document),
        vehicle=sold.vin if isinstance(sold, SoldVehicle) else sold.vehicle_id,
        plates=sold.plates if isinstance(sold, SoldVehicle) else None,
        payment=payment_words(document, sold, words) if isinstance(sold, SoldSubscription) else None,
        total=formatted_amount(document.amount.total_minor, document.currency, language),
        issued_on=formatted_date(document.issued_at, language),
        corrected=document.correction.invoice_number if document.correction else None,
        deducted=document.deduction.number if document.deduction else None,
        sender_name=sender_name,
    )


def _is_possible_address(address: str) -> bool:
    return address.isprintable() and _ADDRESS.fullmatch(address) is not None


def _by_code(code: int, answer: str) -> Refused | Deferred:
    text = f"{code} {answer}"[:_MAX_ANSWER]
    return Refused(text) if 500 <= code < 600 else Deferred(text)
