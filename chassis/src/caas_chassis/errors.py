"""Errors that the chassis gives a meaning to: business refusals over HTTP and over the broker."""

from typing import ClassVar


class Problem(Exception):
    """A refusal with a stable code; the web layer renders it as RFC 9457 problem details.

    Subclasses set `status` (HTTP), `code` (stable, snake_case) and `title`; `detail` says what was wrong,
    with which value (never a secret or card number), and what to do. `retry_after_s` is for those that pass.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    title: ClassVar[str] = "The request cannot be served"
    retry_after_s: ClassVar[int | None] = None

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Refused(Exception):
    """Raised by a handler for a message that is well formed but can never be applied.

    It is parked at once with reason `refused`, without retries, and does not hold its stream up.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


class NotYet(Refused):
    """Answered by a bulk handler for a message that lacks what may be on its way.

    It is tried again by itself for some minutes, and then parked with reason `refused`.
    """


class MessageTooLarge(ValueError):
    """A message that the broker would refuse; raised when it is published, so its transaction fails."""


class PositionConflict(Exception):
    """Another consumer moved a stream's position meanwhile: roll back, read again. Never reaches a handler."""


class MigrationChanged(Exception):
    """A migration that was applied has other content now: a released file must never change."""
