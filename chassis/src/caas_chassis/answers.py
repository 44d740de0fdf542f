"""Answers of partners over HTTP, looked through before anything reads them: none may bring card data in (GW-6)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import httpx

from caas_chassis.cards import holds_card_data_in


class CardDataAnswered(httpx.RemoteProtocolError):
    """A partner's answer holds card data. As with any answer that cannot be read, its effect is unknown (GW-4)."""


async def refuse_card_data(response: httpx.Response) -> None:
    """Raises CardDataAnswered, without what was answered, when a body or header holds card data."""
    headers = b"\n".join(part for header in response.headers.raw for part in header)
    if holds_card_data_in(await response.aread()) or holds_card_data_in(headers):
        raise CardDataAnswered("the answer holds card data", request=response.request)


CLEAN_ANSWERS: Final[Mapping[str, list[Callable[[httpx.Response], Awaitable[None]]]]] = {"response": [refuse_card_data]}
"""The `event_hooks` of every client that talks to a partner."""
