"""Every message: an example that is valid, strict types, tolerant of what is new, silent about what came in."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caas_contracts import MESSAGES, InvalidMessage, Message, Money, decode
from caas_contracts.examples import EXAMPLES
from caas_contracts.message import MAX_MESSAGE_BYTES

ALL = [(kind, example) for kind, examples in EXAMPLES.items() for example in examples]
EACH = pytest.mark.parametrize(("kind", "example"), ALL, ids=lambda value: getattr(value, "__name__", ""))
CARD = "4111111111111111"


def body(example: Mapping[str, Any], **changes: object) -> bytes:
    return json.dumps({**example, **changes}).encode()


def refused(kind: type[Message], raw: bytes) -> str:
    with pytest.raises(InvalidMessage) as problem:
        decode(kind.TYPE, raw)
    return str(problem.value)


def places(example: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every leaf of an example with the way to it."""
    if isinstance(example, Mapping | list):
        for key, inner in example.items() if isinstance(example, Mapping) else enumerate(example):
            yield from places(inner, (*path, key))
    else:
        yield path, example


def with_leaf(example: Any, path: tuple[str | int, ...], leaf: object) -> Any:
    copy = json.loads(json.dumps(example))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = leaf
    return copy


def test_every_message_has_an_example() -> None:
    assert set(EXAMPLES) == set(MESSAGES.values())
    assert all(EXAMPLES.values())


@EACH
def test_an_example_is_valid_and_comes_back_unchanged(kind: type[Message], example: Mapping[str, Any]) -> None:
    message = decode(kind.TYPE, body(example))
    assert message is not None
    assert decode(kind.TYPE, message.to_json()) == message
    assert message.key
    assert len(message.to_json()) < MAX_MESSAGE_BYTES


@EACH
def test_unknown_fields_are_ignored(kind: type[Message], example: Mapping[str, Any]) -> None:
    assert decode(kind.TYPE, body(example, added_next_year={"x": [1]})) == decode(kind.TYPE, body(example))


@EACH
def test_a_string_is_no_number_and_true_is_no_number(kind: type[Message], example: Mapping[str, Any]) -> None:
    numbers = [path for path, leaf in places(example) if isinstance(leaf, int) and not isinstance(leaf, bool)]
    for path in numbers:
        if "configuration" not in path:
            assert "int_type" in refused(kind, json.dumps(with_leaf(example, path, True)).encode())
            assert "int_type" in refused(kind, json.dumps(with_leaf(example, path, "12")).encode())


@EACH
def test_every_required_field_is_required(kind: type[Message], example: Mapping[str, Any]) -> None:
    for name, field in kind.model_fields.items():
        if field.is_required():
            rest = {key: value for key, value in example.items() if key != name}
            assert f"{name}: missing" in refused(kind, body(rest))


@EACH
def test_errors_never_repeat_the_input(kind: type[Message], example: Mapping[str, Any]) -> None:
    secrets = {name: {"secret": CARD} for name in example}
    assert CARD not in refused(kind, body(secrets))


@EACH
def test_no_payment_method_takes_a_card_number(kind: type[Message], example: Mapping[str, Any]) -> None:
    if "payment_method" in example:
        for number in (CARD, "4111 1111 1111 1111", " " + CARD, "\n" + CARD):
            assert "payment_method" in refused(kind, body(example, payment_method=number))


@EACH
def test_an_instant_needs_its_offset(kind: type[Message], example: Mapping[str, Any]) -> None:
    for name in (name for name in example if name.endswith("_at")):
        assert name in refused(kind, body(example, **{name: "2026-11-22T10:15:30"}))


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a": "\\u0000"}', b"NaN"])
def test_what_is_no_object_is_refused(raw: bytes) -> None:
    refused(MESSAGES["caas.payments.CancelPayment.v1"], raw)


def test_an_unknown_type_is_not_ours() -> None:
    assert decode("caas.future.Thing.v9", b"{}") is None


def test_type_names_say_owner_name_and_version() -> None:
    for name, kind in MESSAGES.items():
        assert name.split(".")[0] == "caas"
        assert name.split(".")[2:] == [kind.__name__, "v1"]


amounts = st.integers(0, 10**12)


@given(amounts, amounts)
def test_money_adds_and_subtracts_exactly(one: int, other: int) -> None:
    low, high = sorted((one, other))
    difference = Money(amount_minor=high, currency="EUR") - Money(amount_minor=low, currency="EUR")
    assert difference.amount_minor + low == high


@pytest.mark.parametrize("amount", [-1, 10**12 + 1, 1.0, "1", True, None])
def test_money_is_a_whole_number_within_limits(amount: object) -> None:
    with pytest.raises(ValueError, match="amount_minor"):
        Money.model_validate({"amount_minor": amount, "currency": "EUR"})


def test_two_currencies_do_not_mix() -> None:
    with pytest.raises(ValueError, match="convert one of them first"):
        Money(amount_minor=1, currency="EUR") + Money(amount_minor=1, currency="USD")
