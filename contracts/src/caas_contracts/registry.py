"""Every message type by its CloudEvents name, and the one place where bodies become messages."""

from collections.abc import Mapping

from pydantic import TypeAdapter, ValidationError

from caas_contracts import (
    audit,
    billing,
    gateway,
    operations,
    orders,
    ota,
    payments,
    purchase_life,
    reconciliation,
    streams,
    subscriptions,
    vehicle_orders,
)
from caas_contracts.message import Message

MESSAGES: Mapping[str, type[Message]] = {
    message.TYPE: message
    for module in (
        payments,
        orders,
        purchase_life,
        vehicle_orders,
        subscriptions,
        ota,
        billing,
        reconciliation,
        gateway,
        operations,
        audit,
        streams,
    )
    for message in module.MESSAGES
}

_ADAPTERS: Mapping[str, TypeAdapter[Message]] = {name: TypeAdapter(message) for name, message in MESSAGES.items()}


class InvalidMessage(ValueError):
    """A body that does not fit its type. The message names the fields and the problem, never the value."""


def decode(type_name: str, body: bytes) -> Message | None:
    """The message of this type, or None when the type is not one of ours (readers are tolerant).

    Raises InvalidMessage when the body is no JSON or does not fit.
    """
    adapter = _ADAPTERS.get(type_name)
    if adapter is None:
        return None
    if b"\\u0000" in body:
        raise InvalidMessage(f"{type_name}: body: the NUL character, which no database text can hold")
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise InvalidMessage(f"{type_name}: {_problems(error)}") from None


def _problems(error: ValidationError) -> str:
    """Field and problem of the first five errors, without the input (it may be personal or a card number)."""
    details = error.errors(include_input=False, include_url=False, include_context=False)
    described = [f"{'.'.join(str(part) for part in d['loc']) or 'body'}: {d['type']}" for d in details[:5]]
    return "; ".join(described)
