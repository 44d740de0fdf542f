"""Why something happens: the message or person behind it, the business story and the trace it belongs to."""

import re
import secrets
from dataclasses import dataclass
from typing import Final, Self

from caas_chassis.ids import new_id

_TRACEPARENT: Final = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-(?P<flags>[0-9a-f]{2})"
)


@dataclass(frozen=True, slots=True)
class Cause:
    """What every published message, task and audit row records about its origin.

    `traceparent` is W3C trace context. `actor` is a service name or `role:subject` of a person.
    """

    message_id: str
    correlation_id: str
    actor: str
    traceparent: str | None = None

    @classmethod
    def of_person(cls, actor: str, traceparent: str | None = None) -> Self:
        """The start of a new story by somebody's request."""
        request_id = str(new_id())
        return cls(request_id, request_id, actor, traceparent or new_traceparent())


def new_traceparent() -> str:
    """The root of a new, sampled trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def child_traceparent(parent: str | None) -> str:
    """A new span in the same trace; a new trace when the parent is missing or malformed."""
    found = _TRACEPARENT.fullmatch(parent or "")
    if found is None:
        return new_traceparent()
    return f"{found['version']}-{found['trace']}-{secrets.token_hex(8)}-{found['flags']}"
