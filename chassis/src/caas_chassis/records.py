"""Records as they come from the broker, and what they decode to before any transaction opens."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from caas_chassis.cards import REMOVED, holds_card_data_in
from caas_chassis.cause import Cause, child_traceparent
from caas_contracts import Envelope, InvalidEnvelope, InvalidMessage, Message, decode, read_envelope

CARD_DATA: Final = "card data was sent; it is not accepted and was not kept (GW-6)"

type Stream = tuple[str, str, str]
"""(producing service, topic, key)."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One Kafka record, untouched."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]]

    @property
    def digest(self) -> bytes:
        """SHA-256 of the body: tells two records at one offset of a restarted log apart."""
        return hashlib.sha256(self.value).digest()


@dataclass(frozen=True, slots=True)
class Decoded:
    """A record and what was understood of it: a message, or a problem, or a type that is not ours."""

    record: RawRecord
    envelope: Envelope | None
    message: Message | None
    problem: str | None

    @property
    def stream(self) -> Stream | None:
        """The stream of a numbered message, else None."""
        if self.envelope is None or self.envelope.sequence is None:
            return None
        return (self.envelope.source, self.record.topic, self.envelope.subject)

    @property
    def sequence(self) -> int:
        """The number in the stream, 0 when there is none."""
        return (self.envelope.sequence or 0) if self.envelope else 0

    @property
    def cause(self) -> Cause:
        """What handlers record as the cause of all they do."""
        assert self.envelope is not None
        trace = child_traceparent(self.envelope.traceparent)
        return Cause(self.envelope.id, self.envelope.correlation_id, self.envelope.source, trace)


def decode_record(record: RawRecord) -> Decoded:
    """Never raises: what cannot be read is said in `problem`, without echoing the input.

    A record with card data comes back without it, wherever it stood, and is invalid (GW-6): nothing that is kept,
    logged or copied is made of the record that came in.
    """
    if _holds_card_data_around(record):
        return Decoded(_without_context(record), None, None, CARD_DATA)
    if holds_card_data_in(record.value):
        clean = replace(record, value=REMOVED.encode())
        return replace(_decode(clean), message=None, problem=CARD_DATA)
    return _decode(record)


def _holds_card_data_around(record: RawRecord) -> bool:
    """Whether the key, or a header's name or value, holds card data."""
    context = [record.key or b"", *(name.encode() for name, _ in record.headers), *(text for _, text in record.headers)]
    return holds_card_data_in(b"\n".join(context))


def _without_context(record: RawRecord) -> RawRecord:
    """The record without key, headers and body: what was said about it cannot be told from the card data."""
    return replace(record, key=None, headers=(), value=REMOVED.encode())


def _decode(record: RawRecord) -> Decoded:
    try:
        envelope, body = read_envelope(record.headers, record.value)
    except InvalidEnvelope as error:
        return Decoded(record, None, None, f"envelope: {error}")
    except RecursionError:
        return Decoded(record, None, None, "envelope: nested too deeply")
    try:
        return Decoded(record, envelope, decode(envelope.type, body), None)
    except InvalidMessage as error:
        return Decoded(record, envelope, None, str(error))
