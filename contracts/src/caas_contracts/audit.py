"""Anchors of append-only logs: what a service's log was at an instant, said where the service cannot take it back."""

from typing import Annotated, ClassVar

from pydantic import Field

from caas_contracts.message import Code, Instant, Message
from caas_contracts.topics import AUDIT_ANCHORS


class AuditAnchored(Message):
    """The head of a service's audit chain (PAY-4): its newest entry's number and hash, `entries` after the last anchor.

    Whoever changes an entry up to this one later contradicts the hash; see docs/decisions/0010-audit-anchors.md.
    """

    TYPE: ClassVar[str] = "caas.audit.AuditAnchored.v1"
    TOPIC: ClassVar = AUDIT_ANCHORS
    KEY: ClassVar[str] = "service"

    service: Code
    sequence: Annotated[int, Field(ge=1)]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 in hexadecimal digits")]
    entries: Annotated[int, Field(ge=1)]
    anchored_at: Instant


MESSAGES: tuple[type[Message], ...] = (AuditAnchored,)
