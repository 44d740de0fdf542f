"""A gateway's settlement feed in this process: append-only, paged, with failures on demand."""

from collections.abc import Sequence

from caas_reconciliation.domain.settlement import SettlementLine
from caas_reconciliation.gateway import FeedAnswer, Page


class InProcessFeed:
    """Passes the same contract test as the gateway over HTTP."""

    def __init__(self) -> None:
        self.lines: list[SettlementLine] = []
        self.failures: list[FeedAnswer] = []
        self.asked: list[str] = []

    def state(self, *lines: SettlementLine) -> None:
        """Append lines to the feed."""
        self.lines += lines

    def start_over(self, lines: Sequence[SettlementLine]) -> None:
        """Another feed, as a file would be."""
        self.lines = list(lines)

    async def page(self, cursor: str, limit: int) -> FeedAnswer:
        self.asked.append(cursor)
        if self.failures:
            return self.failures.pop(0)
        start = int(cursor or "0")
        shown = self.lines[start : start + limit]
        following = start + len(shown)
        return Page(tuple(shown), str(following), following < len(self.lines))
