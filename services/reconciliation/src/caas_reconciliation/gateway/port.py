"""What reconciliation needs of a settlement feed, and what such a feed may answer (RCN-1)."""

from dataclasses import dataclass
from typing import Protocol

from caas_reconciliation.domain.settlement import SettlementLine


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines, where to go on, and whether there is more now."""

    lines: tuple[SettlementLine, ...]
    next_cursor: str
    has_more: bool


@dataclass(frozen=True, slots=True)
class Unavailable:
    """No answer, or a request to come back later. Reading changes nothing, so it may simply be repeated."""

    detail: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Unusable:
    """An answer that is no page of the feed: nothing of it is kept."""

    detail: str


type FeedAnswer = Page | Unavailable | Unusable


class SettlementFeed(Protocol):
    """A source of settlement lines."""

    async def page(self, cursor: str, limit: int) -> FeedAnswer:
        """The lines after `cursor` (empty: from the start), at most `limit`."""
        ...
