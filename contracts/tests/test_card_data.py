"""No field of any message can carry card data (GW-6)."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from caas_contracts import MESSAGES, Message
from caas_contracts.examples import EXAMPLES

CARD_DATA = ["4111111111111111", "tok4111111111111111", "A-4111-1111-1111-1111", "5555 5555 5555 4444", "cvv: 123"]


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the texts of a message stand."""
    match value:
        case str():
            yield path
        case dict():
            for name, inner in value.items():
                yield from texts(inner, (*path, name))
        case list():
            for place, inner in enumerate(value):
                yield from texts(inner, (*path, place))


def with_text(value: Any, path: tuple[Any, ...], text: str) -> Any:
    """The value with another text at a place."""
    if not path:
        return text
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = with_text(value[path[0]], path[1:], text)
    return changed


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=lambda kind: kind.__name__)
def test_no_text_of_a_message_can_be_card_data(kind: type[Message]) -> None:
    adapter = TypeAdapter(kind)
    example = adapter.dump_python(
        adapter.validate_json(adapter.dump_json(kind.model_validate_json(_json(kind)))), mode="json"
    )
    places = list(texts(example))
    assert places
    for place in places:
        for text in CARD_DATA:
            with pytest.raises(ValidationError) as refused:
                kind.model_validate_json(TypeAdapter(Any).dump_json(with_text(example, place, text)))
            assert text not in str(refused.value)


def _json(kind: type[Message]) -> bytes:
    return TypeAdapter(Any).dump_json(EXAMPLES[kind][0])


def fields(model: type[BaseModel], seen: set[type]) -> Iterator[tuple[str, Any]]:
    """Every field of a model and of the models in it."""
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        yield f"{model.__name__}.{name}", field
        for inner in models_in(field.annotation):
            yield from fields(inner, seen)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from models_in(argument)


def test_every_field_of_every_model_refuses_card_data_even_where_no_example_has_it() -> None:
    seen: set[type] = set()
    accepting = []
    for kind in MESSAGES.values():
        for name, field in fields(kind, seen):
            adapter: TypeAdapter[Any] = TypeAdapter(field.rebuild_annotation())
            for text in CARD_DATA:
                for value in (text, [text], {text: text}, {"a": text}, {text: 1}):
                    try:
                        adapter.validate_json(TypeAdapter(Any).dump_json(value), strict=True)
                    except ValidationError:
                        continue
                    accepting.append((name, value))
    assert accepting == []
