"""The mail server over SMTP (NOT-1, NOT-2). A mail sent twice carries the same Message-ID, so it is one mail.

If the process dies, or the answer is lost, after the server took a mail over, it is sent again: mail servers
and readers recognize it by its Message-ID.
"""

from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import aiosmtplib
import structlog
from pydantic import SecretStr

from caas_chassis.clock import BusinessClock
from caas_orders.gateway import Deferred, MailOutcome, OutgoingMail, Rejected, Sent

_PERMANENT_FROM: Final = 500  # RFC 5321: 4yz asks to try again, 5yz refuses for good

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed over, and as whom. `start_tls` None uses TLS when the server offers it."""

    host: str
    port: int
    sender: str
    operations: str
    timeout_s: float
    username: str | None = None
    password: SecretStr | None = None
    start_tls: bool | None = None


class SmtpMailer:
    """Sends one mail per connection; how many at once is bounded by the effect that calls it."""

    def __init__(self, server: SmtpServer, clock: BusinessClock) -> None:
        self._server = server
        self._clock = clock

    async def send(self, mail: OutgoingMail) -> MailOutcome:
        """Hand the mail over. Only a 5xx of the server is final; all else is worth another try."""
        server = self._server
        try:
            await aiosmtplib.send(
                self._message(mail),
                hostname=server.host,
                port=server.port,
                timeout=server.timeout_s,
                username=server.username,
                password=None if server.password is None else server.password.get_secret_value(),
                start_tls=server.start_tls,
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            outcome = _refusal(error)
            _log.warning("mail_not_sent", mail_id=str(mail.mail_id), attempt=mail.attempt, reason=outcome.reason)
            return outcome
        except ValueError as error:  # An address or subject that must not reach an SMTP command or a header.
            _log.warning("mail_impossible", mail_id=str(mail.mail_id), error=type(error).__name__)
            return Rejected("address or subject not permitted")
        return Sent()

    def _message(self, mail: OutgoingMail) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._server.sender
        message["To"] = mail.recipient or self._server.operations
        message["Subject"] = mail.subject
        message["Message-ID"] = f"<{mail.mail_id}@{self._server.sender.rpartition('@')[2].rstrip('>')}>"
        message["Date"] = format_datetime(self._clock.now())
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        return message


def _refusal(error: Exception) -> Deferred | Rejected:
    codes = _codes(error)
    reason = f"{type(error).__name__} {' '.join(str(code) for code in codes)}".strip()
    permanent = bool(codes) and all(code >= _PERMANENT_FROM for code in codes)
    return Rejected(reason) if permanent else Deferred(reason)


def _codes(error: Exception) -> list[int]:
    """The SMTP reply codes an error carries; none when the connection itself failed."""
    match error:
        case aiosmtplib.SMTPAuthenticationError() | aiosmtplib.SMTPHeloError():
            return []  # Our configuration is wrong, or the server: not this mail's fault.
        case aiosmtplib.SMTPRecipientsRefused():
            return [refused.code for refused in error.recipients]
        case aiosmtplib.SMTPResponseException():
            return [error.code]
        case _:
            return []
