"""The audit log's hash chain (PAY-4): every entry seals the one before it, so a change anywhere is seen."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

GENESIS: Final = bytes(32)
"""What the first entry seals."""
ANCHOR_AFTER: Final = 1000
"""An anchor is published with the transaction that appends so many entries after the last one, whatever the timer."""


class AuditKind(StrEnum):
    """A transition that happened, one that was asked for and refused, or a person's word on a frozen attempt."""

    TRANSITION = "transition"
    REJECTION = "rejection"
    RULING = "ruling"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """When, from, to, why, cause (message id) and actor of one transition or refusal; `kind` is an AuditKind."""

    payment_id: UUID
    at: datetime
    kind: str
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
            self.kind,
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
class Anchor:
    """What a witness says an entry was sealed with; `entries` is how many came after the anchor before."""

    sequence: int
    hash: bytes
    witness: str = ""
    entries: int = 1


@dataclass(frozen=True, slots=True)
class BrokenEntry:
    """Where the log is not what was written: the entries `sequence` to `through`, and what is wrong there."""

    sequence: int
    problem: str
    through: int


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


class ChainCheck:
    """Compares a log, read in its order from the first entry on, with its own chain, its head and what witnesses saw.

    The chain finds an entry that was changed, removed, inserted or moved by somebody who did not seal everything behind
    it anew. Whoever did is found by the first anchor behind the change: between it and the anchor before, which still
    fits. What was appended after the last anchor has no witness.
    """

    def __init__(self, anchors: Iterable[Anchor] = ()) -> None:
        self._anchors: dict[int, list[Anchor]] = {}
        for anchor in anchors:
            self._anchors.setdefault(anchor.sequence, []).append(anchor)
        self._sequence = 0
        self._head = GENESIS
        self._witnessed = 0
        self._contradicted = False
        self.entries = 0
        self.broken: list[BrokenEntry] = []

    @property
    def witnessed(self) -> int:
        """Up to which entry an anchor fits: nothing up to there can have been sealed anew."""
        return self._witnessed

    def read(self, entries: Iterable[SealedEntry]) -> None:
        """The next entries of the log."""
        for sealed in entries:
            self.entries += 1
            self._compare_with_predecessor(sealed)
            if seal(sealed.previous, sealed.sequence, sealed.entry) != sealed.hash:
                self._found(sealed.sequence, "was changed after it was written")
            self._ask_witnesses(sealed)
            self._sequence, self._head = max(self._sequence, sealed.sequence), sealed.hash

    def finish(self, sequence: int, head: bytes) -> list[BrokenEntry]:
        """Everything that is wrong, when the head says that the log ends with this entry."""
        later = [number for number in self._anchors if number > self._sequence]
        if later:
            # Those that are left behind the last anchor that fits may have been sealed anew as well.
            seen = f"{self._named(max(later))} saw {max(later)}, the log ends at {self._sequence}"
            self._found(self._witnessed + 1, f"were removed, all or the last of them: {seen}", max(later))
        if sequence > self._sequence:
            self._found(self._sequence + 1, f"were removed: the head says that the log ends at {sequence}", sequence)
        elif (sequence, head) != (self._sequence, self._head):
            self._found(self._sequence, f"is not what the head says: the log ends at {sequence}, with another hash")
        return self.broken

    def _compare_with_predecessor(self, sealed: SealedEntry) -> None:
        if sealed.sequence > self._sequence + 1:
            self._found(self._sequence + 1, "were removed", sealed.sequence - 1)
        elif sealed.sequence <= self._sequence:
            self._found(sealed.sequence, "is in the log twice")
        elif sealed.previous != self._head:
            self._found(sealed.sequence, "does not seal the entry before it: one of the two was inserted or replaced")

    def _ask_witnesses(self, sealed: SealedEntry) -> None:
        anchors = self._anchors.get(sealed.sequence, [])
        strangers = [anchor for anchor in anchors if anchor.hash != sealed.hash]
        if strangers and not self._contradicted:
            self._contradicted = True
            self._found(
                self._witnessed + 1,
                f"are not those that were sealed first: {strangers[0].witness} saw another hash at {sealed.sequence}",
                sealed.sequence,
            )
        elif anchors and not strangers and not self._contradicted:
            self._witnessed = sealed.sequence

    def _named(self, sequence: int) -> str:
        return self._anchors[sequence][0].witness

    def _found(self, sequence: int, problem: str, through: int | None = None) -> None:
        self.broken.append(BrokenEntry(sequence, problem, through or sequence))
