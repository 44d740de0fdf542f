"""The envelope survives its way over Kafka in both modes, and what is malformed is named, not repeated."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caas_contracts import Envelope, InvalidEnvelope, read_envelope

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=100)
words = texts.filter(bool)
envelopes = st.builds(
    Envelope, words, words, words, texts, texts, texts, texts, st.none() | st.integers(1, 2**62 - 1), st.none() | words
)
GOOD = [("ce_id", b"1"), ("ce_source", b"s"), ("ce_type", b"t")]
STRUCTURED = [("content-type", b"application/cloudevents+json")]


@given(envelopes, st.binary(max_size=200))
def test_binary_mode_comes_back_unchanged(envelope: Envelope, value: bytes) -> None:
    assert read_envelope(envelope.to_headers(), value) == (envelope, value)


@given(envelopes)
def test_structured_mode_says_the_same(envelope: Envelope) -> None:
    attributes = {name.removeprefix("ce_"): raw.decode() for name, raw in envelope.to_headers()}
    read, body = read_envelope(STRUCTURED, json.dumps(attributes | {"data": {"a": 1}}).encode())
    assert (read, json.loads(body)) == (envelope, {"a": 1})


@given(st.lists(st.tuples(st.sampled_from(["ce_id", "ce_type", "content-type", "x"]), st.binary(max_size=50))))
def test_whatever_the_headers_hold_the_answer_is_an_envelope_or_its_problem(headers: list[tuple[str, bytes]]) -> None:
    with contextlib.suppress(InvalidEnvelope):
        read_envelope(headers, b"{}")


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type"])
def test_a_missing_attribute_is_named(name: str) -> None:
    with pytest.raises(InvalidEnvelope, match=name[3:]):
        read_envelope([header for header in GOOD if header[0] != name], b"{}")


@pytest.mark.parametrize("number", ["0", "-1", "1.0", "", "x", "²", "9" * 30])
def test_a_sequence_is_a_positive_integer(number: str) -> None:
    with pytest.raises(InvalidEnvelope, match="ce_sequence"):
        read_envelope([*GOOD, ("ce_sequence", number.encode())], b"{}")


@pytest.mark.parametrize("text", ["\x00", "a\nb", "x" * 2000])
def test_control_characters_and_endless_texts_are_refused(text: str) -> None:
    with pytest.raises(InvalidEnvelope):
        read_envelope([*GOOD, ("ce_subject", text.encode())], b"{}")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"id": "1", "source": "s", "type": "t"}'])
def test_structured_mode_needs_an_object_with_data(body: bytes) -> None:
    with pytest.raises(InvalidEnvelope):
        read_envelope(STRUCTURED, body)
