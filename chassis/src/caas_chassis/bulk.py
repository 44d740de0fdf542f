"""Messages whose handler deduplicates by a key of its own: read quickly, applied by the thousand, parked one by one.

Invariant: what is read quickly is what `decode_record` would have made of it; whatever is out of the ordinary, and
whatever is parked, goes through `decode_record`. A refused message is parked, and costs the rest of its batch nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from asyncpg import Record
from pydantic import TypeAdapter, ValidationError

from caas_chassis import parking
from caas_chassis.cards import holds_card_data_in
from caas_chassis.errors import NotYet, Refused
from caas_chassis.handling import BulkHandlers
from caas_chassis.planning import Parking, ParkReason
from caas_chassis.records import Decoded, RawRecord, decode_record
from caas_chassis.transaction import Tx
from caas_contracts import Message
from caas_contracts.envelope import STRUCTURED_CONTENT_TYPE

RETRIED_TOGETHER: Final = 500
_MAX_HEADER_BYTES: Final = 1024
_STRUCTURED: Final = STRUCTURED_CONTENT_TYPE.encode()


@dataclass(slots=True)
class Load:
    """Messages of one bulk type with the records that they came in."""

    records: list[RawRecord] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """Records as they were read: those for bulk handlers by type, and all others."""

    records: Sequence[RawRecord]
    ordinary: list[Decoded] = field(default_factory=list)
    loads: dict[type[Message], Load] = field(default_factory=dict)

    @property
    def types(self) -> list[str]:
        """The names of the types in it, sorted."""
        ordinary = {type(decoded.message) for decoded in self.ordinary if decoded.message is not None}
        return sorted(kind.__name__ for kind in ordinary | self.loads.keys())


class Reader:
    """Reads records into batches."""

    def __init__(self, bulk: BulkHandlers) -> None:
        self._types = frozenset(bulk)
        self._names = frozenset(kind.TYPE for kind in bulk)
        self._adapters: Mapping[bytes, tuple[type[Message], TypeAdapter[Any]]] = {
            kind.TYPE.encode(): (kind, TypeAdapter(kind)) for kind in bulk
        }

    def read(self, records: Sequence[RawRecord]) -> Batch:
        """Never raises: what cannot be read is among the ordinary ones, with its problem."""
        batch = Batch(records)
        self.read_into(batch, records)
        return batch

    def read_into(self, batch: Batch, records: Sequence[RawRecord]) -> None:
        """Read a part of the batch's records."""
        for record in records:
            message = self._read_quickly(record) if self._adapters else None
            if message is None:
                decoded = self.decode(record)
                if decoded.message is None or not self.is_for_bulk(decoded):
                    batch.ordinary.append(decoded)
                    continue
                message = decoded.message
            load = batch.loads.setdefault(type(message), Load())
            load.records.append(record)
            load.messages.append(message)

    def decode(self, record: RawRecord) -> Decoded:
        """The whole way. A message for a bulk handler has no place in a stream, even when it is numbered."""
        decoded = decode_record(record)
        envelope = decoded.envelope
        if envelope is None or envelope.sequence is None or envelope.type not in self._names:
            return decoded
        return replace(decoded, envelope=replace(envelope, sequence=None))

    def is_for_bulk(self, decoded: Decoded) -> bool:
        """Whether a bulk handler applies it."""
        return decoded.message is not None and type(decoded.message) in self._types

    def _read_quickly(self, record: RawRecord) -> Message | None:
        """The message of a record with nothing unusual about it, or None: then the whole way decides."""
        headers = dict(record.headers)
        kind, adapter = self._adapters.get(headers.get("ce_type", b""), (None, None))
        if kind is None or adapter is None or not _is_usual(record, headers) or b"\\u" in record.value:
            return None
        try:
            message: Message = adapter.validate_json(record.value)
        except ValidationError:
            return None
        return message


def _is_usual(record: RawRecord, headers: Mapping[str, bytes]) -> bool:
    """A binary CloudEvent with what it must have, nothing that it must not have, and no number."""
    values = headers.values()
    context = b"".join(values)
    return bool(
        headers.get("ce_id")
        and headers.get("ce_source")
        and "ce_sequence" not in headers
        and not headers.get("content-type", b"").startswith(_STRUCTURED)
        and max(map(len, values)) <= _MAX_HEADER_BYTES
        and context.isascii()
        and context.decode().isprintable()
        and not holds_card_data_in(b"\n".join((record.key or b"", record.value, *values, "\n".join(headers).encode())))
    )


class BulkWork:
    """Gives loads to their handlers, and parks what these refuse."""

    def __init__(self, handlers: BulkHandlers, reader: Reader) -> None:
        self._handlers = handlers
        self._reader = reader

    async def apply(self, loads: Mapping[type[Message], Load], *, tx: Tx) -> list[Parking]:
        """Apply all; what was refused is answered, to be parked in this transaction."""
        refused: list[Parking] = []
        for kind, load in loads.items():
            reasons = await self._handlers[kind](load.messages, tx=tx)
            refused += [_parking(self._reader.decode(load.records[index]), reasons[index]) for index in sorted(reasons)]
        return refused

    async def claim_alike(self, first: Record, *, tx: Tx) -> list[tuple[Record, Message]]:
        """A claimed row of a bulk type, and others of the type that are due; [] when it is no such row."""
        if first["type"] not in {kind.TYPE for kind in self._handlers}:
            return []
        message = self._reader.decode(parking.raw_of(first)).message
        if message is None:
            return []
        others = await tx.fetch(parking.CLAIM_ALIKE, first["type"], first["id"], RETRIED_TOGETHER - 1)
        read = [(row, self._reader.decode(parking.raw_of(row)).message) for row in others]
        return [(first, message), *((row, message) for row, message in read if message is not None)]

    async def retry(self, claimed: Sequence[tuple[Record, Message]], *, tx: Tx) -> Mapping[int, Refused]:
        """Apply parked messages of one type; answers what is refused again, by index."""
        messages = [message for _, message in claimed]
        return await self._handlers[type(messages[0])](messages, tx=tx)


def _parking(decoded: Decoded, error: Refused) -> Parking:
    return Parking(decoded, ParkReason.REFUSED, str(error), retry_s=1.0 if isinstance(error, NotYet) else None)
