"""What consumers and producers say to each other about streams, so that a lost record is noticed and repaired.

A stream is (producing service, topic, key); its messages are numbered densely from 1 (`ce_sequence`).
"""

from typing import Annotated, ClassVar

from pydantic import Field

from caas_contracts.message import Instant, Message, NoCardData, Part
from caas_contracts.topics import (
    BILLING_COMMANDS,
    ORDERS_COMMANDS,
    OTA_COMMANDS,
    PAYMENTS_COMMANDS,
    RECONCILIATION_COMMANDS,
    Topic,
)

COMMAND_TOPICS: dict[str, Topic] = {
    topic.owner: topic
    for topic in (PAYMENTS_COMMANDS, ORDERS_COMMANDS, OTA_COMMANDS, BILLING_COMMANDS, RECONCILIATION_COMMANDS)
}


class ResendStream(Message):
    """Ask a producer to send a part of one of its streams again, from its outbox, with the same numbers.

    Travels on the producer's command topic. `to_sequence` None means up to the newest.
    """

    TYPE: ClassVar[str] = "caas.streams.ResendStream.v1"
    KEY: ClassVar[str] = "stream_key"

    producer: Annotated[str, Field(max_length=64), NoCardData]
    consumer: Annotated[str, Field(max_length=64), NoCardData]
    stream_topic: Annotated[str, Field(max_length=249), NoCardData]
    stream_key: Annotated[str, Field(max_length=255), NoCardData]
    from_sequence: Annotated[int, Field(ge=1)]
    to_sequence: Annotated[int, Field(ge=1)] | None = None


class ResendTopic(Message):
    """Ask a producer for everything it wrote to a topic since an instant: the log itself was lost."""

    TYPE: ClassVar[str] = "caas.streams.ResendTopic.v1"
    KEY: ClassVar[str] = "stream_topic"

    producer: Annotated[str, Field(max_length=64), NoCardData]
    consumer: Annotated[str, Field(max_length=64), NoCardData]
    stream_topic: Annotated[str, Field(max_length=249), NoCardData]
    since: Instant


class StreamPosition(Part):
    """The newest sequence number of one stream."""

    key: Annotated[str, Field(max_length=255), NoCardData]
    sequence: Annotated[int, Field(ge=1)]


class StreamWatermark(Message):
    """The producer's word on how far its streams of one partition have come.

    Sent behind the messages themselves, without a sequence of its own: a consumer that is behind it has
    lost a record, even the last one, and asks for it again.
    """

    TYPE: ClassVar[str] = "caas.streams.StreamWatermark.v1"
    KEY: ClassVar[str] = "stream_topic"

    producer: Annotated[str, Field(max_length=64), NoCardData]
    stream_topic: Annotated[str, Field(max_length=249), NoCardData]
    positions: Annotated[list[StreamPosition], Field(max_length=1000)]


MESSAGES: tuple[type[Message], ...] = (ResendStream, ResendTopic, StreamWatermark)
