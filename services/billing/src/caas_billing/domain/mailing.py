"""The sending of one document by e-mail: its states, and how long to wait between attempts (NOT-1, INV-4)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID


class MailingStatus(StrEnum):
    """Where the e-mail of one document stands."""

    WAITING = "waiting"
    """The document is rendered; the mail server has not accepted the e-mail yet."""
    SENT = "sent"
    """The mail server accepted the e-mail."""
    REFUSED = "refused"
    """The address or the e-mail was refused for good; the document stays available for download."""
    GIVEN_UP = "given_up"
    """The mail server did not take the e-mail in any attempt."""


TRANSITIONS: Final[Mapping[MailingStatus, frozenset[MailingStatus]]] = {
    MailingStatus.WAITING: frozenset({MailingStatus.SENT, MailingStatus.REFUSED, MailingStatus.GIVEN_UP}),
    MailingStatus.SENT: frozenset(),
    MailingStatus.REFUSED: frozenset(),
    MailingStatus.GIVEN_UP: frozenset(),
}

_FIRST_DELAYS: Final = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
)
_LATER_DELAY: Final = timedelta(hours=1)
# RFC 5321, 4.5.4.1: a sender keeps trying for four to five days. Four first attempts, then one an hour.
MAX_ATTEMPTS: Final = len(_FIRST_DELAYS) + 4 * 24


@dataclass(frozen=True, slots=True)
class Mailing:
    """One document's e-mail: how often it was tried and what the mail server said last."""

    document_id: UUID
    status: MailingStatus
    attempts: int
    last_answer: str

    def sent(self, answer: str) -> "Mailing":
        """The mail server accepted it."""
        return self._moved(MailingStatus.SENT, answer)

    def refused(self, answer: str) -> "Mailing":
        """It will never be accepted."""
        return self._moved(MailingStatus.REFUSED, answer)

    def deferred(self, answer: str) -> "Mailing":
        """It was not accepted this time; after the last attempt it is given up."""
        if self.attempts + 1 >= MAX_ATTEMPTS:
            return self._moved(MailingStatus.GIVEN_UP, answer)
        return replace(self, attempts=self.attempts + 1, last_answer=answer)

    def _moved(self, status: MailingStatus, answer: str) -> "Mailing":
        if status not in TRANSITIONS[self.status]:
            raise ValueError(f"the e-mail of document {self.document_id} is {self.status}, it cannot become {status}")
        return replace(self, status=status, attempts=self.attempts + 1, last_answer=answer)


def delay_before_attempt(attempt: int) -> timedelta:
    """How long (real time) to wait before the attempt with this number; the first is attempt 0."""
    if attempt == 0:
        return timedelta(0)
    if attempt <= len(_FIRST_DELAYS):
        return _FIRST_DELAYS[attempt - 1]
    return _LATER_DELAY
