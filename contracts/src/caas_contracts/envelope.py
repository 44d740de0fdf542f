"""The envelope: CloudEvents 1.0 attributes in Kafka headers (binary mode), or around the body (structured mode).

Beside the standard attributes: `ce_correlationid` (one business story), `ce_causationid` (the message that
caused this one), `ce_partitionkey` (the key), `ce_sequence` (the dense number of this message in its stream,
starting at 1) and `traceparent` (W3C trace context). A stream is (source, topic, key).
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

STRUCTURED_CONTENT_TYPE: Final = "application/cloudevents+json"
_MAX_HEADER_BYTES: Final = 1024
_PLAIN_HEADERS: Final = frozenset({"content-type", "traceparent"})
_NOT_ALLOWED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class InvalidEnvelope(ValueError):
    """The headers of a record are missing, undecodable or contradictory. The message says which."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The context of one message. `sequence` is None for messages from outside that have no stream."""

    id: str
    source: str
    type: str
    time: str
    subject: str
    correlation_id: str
    causation_id: str
    sequence: int | None = None
    traceparent: str | None = None

    def to_headers(self) -> list[tuple[str, bytes]]:
        """The Kafka headers of binary mode."""
        kind, subject = self.type.encode(), self.subject.encode()
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", self.id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", kind),
            ("ce_time", self.time.encode()),
            ("ce_subject", subject),
            ("ce_dataschema", b"urn:caas:schema:" + kind),
            ("ce_correlationid", self.correlation_id.encode()),
            ("ce_causationid", self.causation_id.encode()),
            ("ce_partitionkey", subject),
            ("content-type", b"application/json"),
        ]
        if self.sequence is not None:
            headers.append(("ce_sequence", b"%d" % self.sequence))
        if self.traceparent:
            headers.append(("traceparent", self.traceparent.encode()))
        return headers


def read_envelope(headers: Iterable[tuple[str, bytes]], value: bytes) -> tuple[Envelope, bytes]:
    """The envelope and the body of a record, from binary or structured mode.

    Raises InvalidEnvelope when a required attribute (id, source, type) is missing, too long or not UTF-8.
    """
    context: dict[str, str] = {}
    plain: dict[str, str] = {}
    for name, raw in headers:
        if name.startswith("ce_"):
            context[name[3:]] = _text(name, raw)
        elif name in _PLAIN_HEADERS:
            plain[name] = _text(name, raw)
    if plain.get("content-type", "").startswith(STRUCTURED_CONTENT_TYPE):
        return _structured(value, plain)
    return _envelope(context, plain.get("traceparent")), value


def _text(name: str, raw: bytes) -> str:
    if len(raw) > _MAX_HEADER_BYTES:
        raise InvalidEnvelope(f"header {name} is empty or longer than {_MAX_HEADER_BYTES} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidEnvelope(f"header {name} is not UTF-8") from error


def _structured(value: bytes, attributes: Mapping[str, str]) -> tuple[Envelope, bytes]:
    try:
        event = json.loads(value)
    except ValueError as error:
        raise InvalidEnvelope("the structured CloudEvent is not JSON") from error
    if not isinstance(event, dict) or "data" not in event:
        raise InvalidEnvelope("the structured CloudEvent is not an object with data")
    context = {name: str(text) for name, text in event.items() if name != "data"}
    return _envelope(context, context.get("traceparent", attributes.get("traceparent"))), json.dumps(
        event["data"]
    ).encode()


def _envelope(context: Mapping[str, str], traceparent: str | None) -> Envelope:
    if not (context.get("id") and context.get("source") and context.get("type")):
        missing = [name for name in ("id", "source", "type") if not context.get(name)]
        raise InvalidEnvelope(f"missing CloudEvents attributes: {', '.join(missing)}")
    # Together first: nearly every envelope is fit, and every message has one.
    text = "".join(context.values())
    if max(map(len, context.values())) > _MAX_HEADER_BYTES or (not text.isprintable() and _NOT_ALLOWED.search(text)):
        raise InvalidEnvelope(f"CloudEvents attributes too long or with control characters: {_unfit(context)}")
    return Envelope(
        id=context["id"],
        source=context["source"],
        type=context["type"],
        time=context.get("time", ""),
        subject=context.get("subject", context.get("partitionkey", "")),
        correlation_id=context.get("correlationid", context["id"]),
        causation_id=context.get("causationid", ""),
        sequence=_sequence(context.get("sequence")),
        traceparent=traceparent,
    )


def _unfit(context: Mapping[str, str]) -> str:
    unfit = [name for name, text in context.items() if len(text) > _MAX_HEADER_BYTES or _NOT_ALLOWED.search(text)]
    return ", ".join(unfit)[:200]


def _sequence(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 2**62):
        raise InvalidEnvelope("ce_sequence is not a positive integer")
    return int(text)


def rfc3339(instant: datetime) -> str:
    """An aware instant as CloudEvents `time`: RFC 3339, UTC, microseconds."""
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")
