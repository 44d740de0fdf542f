"""The audit log's hash chain (PAY-4): every entry seals the one before it, so a change anywhere is seen."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

GENESIS: Final = bytes(32)
"""What the first entry seals."""


class AuditKind(StrEnum):
    """A transition that happened, one that was asked for and refused, or a person's word on a frozen attempt."""

    TRANSITION = "transition"
    REJECTION = "rejection"
    RULING = "ruling"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """When, from, to, why, cause (message id) and actor of one transition or refusal."""

    payment_id: UUID
    at: datetime
    kind: AuditKind
    source: str
    target: str
    reason: str
    cause_id: str
    correlation_id: str
    actor: str

    def canonical(self, sequence: int) -> bytes:
        """The bytes that are sealed: equal values give equal bytes on every machine."""
        at = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        fields = [
            str(sequence),
            str(self.payment_id),
            at,
            str(self.kind),
            self.source,
            self.target,
            self.reason,
            self.cause_id,
            self.correlation_id,
            self.actor,
        ]
        return json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """An entry in its place of the chain."""

    sequence: int
    entry: AuditEntry
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class BrokenEntry:
    """A place where the chain does not hold, and what is wrong there."""

    sequence: int
    problem: str


def seal(previous: bytes, sequence: int, entry: AuditEntry) -> bytes:
    """sha256 of the previous hash and the canonical entry."""
    return hashlib.sha256(previous + entry.canonical(sequence)).digest()


def seal_all(sequence: int, head: bytes, entries: Iterable[AuditEntry]) -> list[SealedEntry]:
    """The entries in their order, sealed behind `head`, which has number `sequence`."""
    sealed = []
    for number, entry in enumerate(entries, start=sequence + 1):
        digest = seal(head, number, entry)
        sealed.append(SealedEntry(number, entry, head, digest))
        head = digest
    return sealed


def broken_entries(sequence: int, head: bytes, entries: Sequence[SealedEntry]) -> list[BrokenEntry]:
    """Where consecutive entries of the log differ from what the chain behind (`sequence`, `head`) says."""
    broken = []
    for sealed in entries:
        if sealed.sequence != sequence + 1:
            broken.append(BrokenEntry(sealed.sequence, f"entries {sequence + 1} to {sealed.sequence - 1} are missing"))
        elif sealed.previous != head:
            broken.append(BrokenEntry(sealed.sequence, "does not seal the entry before it"))
        if seal(sealed.previous, sealed.sequence, sealed.entry) != sealed.hash:
            broken.append(BrokenEntry(sealed.sequence, "was changed after it was written"))
        sequence, head = sealed.sequence, sealed.hash
    return broken
