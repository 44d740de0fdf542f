"""The base of every message: strict, frozen JSON with a type name, a topic and the field that is its key."""

from typing import Annotated, ClassVar, Final
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from caas_contracts.cards import refuse_card_data
from caas_contracts.topics import Topic

NoCardData = AfterValidator(refuse_card_data)
"""What every field of text has beside its own limits (GW-6)."""
Code = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$"), NoCardData]
"""A short machine-readable word: a service code, a reason code, a vehicle id."""
Text = Annotated[str, Field(max_length=2000), NoCardData]
"""Words for people, at most 2,000 characters."""
Token = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z][A-Za-z0-9._:-]*$"), NoCardData]
"""A gateway's token for a payment method. It starts with a letter and holds no card number (GW-6)."""
Instant = AwareDatetime
"""An instant with its UTC offset; services publish UTC."""

MAX_MESSAGE_BYTES: Final = 256 * 1024
"""The largest body a producer may publish; the outbox checks it when the row is written."""


class Message(BaseModel):
    """What one service publishes and others read.

    `TYPE` is the CloudEvents type, `TOPIC` where it travels, `KEY` the field whose value is the record key.
    Bodies are validated strictly (a string is no number) and tolerantly (unknown fields are ignored);
    errors never show the input, which may be personal.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    TYPE: ClassVar[str]
    TOPIC: ClassVar[Topic]
    KEY: ClassVar[str]

    @property
    def key(self) -> str:
        """The record key: messages with one key stay in order."""
        return str(getattr(self, self.KEY))

    def to_json(self) -> bytes:
        """The body as UTF-8 JSON."""
        return self.model_dump_json().encode()


class Part(BaseModel):
    """A structure inside messages, with the same strictness."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


__all__ = ["MAX_MESSAGE_BYTES", "UUID", "Code", "Instant", "Message", "NoCardData", "Part", "Text", "Token"]
