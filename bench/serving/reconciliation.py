"""Reconciliation with a settlement feed that has no lines."""

from caas_chassis.main import run
from caas_reconciliation.app import build
from caas_reconciliation.gateway import FeedAnswer, Page
from caas_reconciliation.settings import ReconciliationSettings


class EmptyFeed:
    """The feed."""

    async def page(self, cursor: str, _: int) -> FeedAnswer:
        return Page((), cursor, has_more=False)


if __name__ == "__main__":
    run(ReconciliationSettings, lambda settings: build(settings, feed=EmptyFeed()))
