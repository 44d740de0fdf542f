"""Webhooks on their way onto the broker (GW-5): stored and published once each, however often they arrive."""

from collections.abc import Sequence
from dataclasses import dataclass

from caas_chassis.cause import Cause
from caas_chassis.transaction import Tx
from caas_payments.domain.webhook import VerifiedWebhook
from caas_payments.store import webhooks


@dataclass(frozen=True, slots=True)
class Arrival:
    """A verified webhook and the story that begins with it."""

    webhook: VerifiedWebhook
    cause: Cause


async def accept_webhooks(arrivals: Sequence[Arrival], /, *, tx: Tx) -> list[bool]:
    """Store those that are new and publish exactly these; says of each whether it was new."""
    first: dict[str, Arrival] = {}
    for arrival in arrivals:
        first.setdefault(arrival.webhook.message.webhook_id, arrival)
    rows = [webhooks.NewWebhook(one.webhook, one.cause.correlation_id) for one in first.values()]
    stored = await webhooks.insert_webhooks(tx, rows)
    for webhook_id, arrival in first.items():
        if webhook_id in stored:
            tx.publish(arrival.webhook.message, cause=arrival.cause)
    return [_is_new(arrival, first, stored) for arrival in arrivals]


def _is_new(arrival: Arrival, first: dict[str, Arrival], stored: set[str]) -> bool:
    webhook_id = arrival.webhook.message.webhook_id
    return webhook_id in stored and first[webhook_id] is arrival
