"""What billing does with reported use: it counts once, in the period that it is billed in (SUB-2)."""

from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import Counter

from caas_billing.domain.usage import FUTURE_LIMIT, CountedUsage, UsageColumns, UsageFate
from caas_billing.errors import UnknownSubscription, UsageConflict, UsageInTheFuture, WrongUnit
from caas_billing.store import shards, usage
from caas_chassis.errors import Refused
from caas_chassis.handling import BulkHandler, BulkHandlers
from caas_chassis.transaction import Tx
from caas_contracts.subscriptions import UsageReported

_usage: Final = Counter("caas_billing_usage_total", "Reported use of subscribed services by fate", ["fate"])


def bulk_handlers(time_zone: str) -> BulkHandlers:
    """Which messages are handled in bulk; days and months are those of `time_zone` (SUB-3)."""
    return {UsageReported: usage_counter(time_zone)}


def usage_counter(time_zone: str) -> BulkHandler[UsageReported]:
    """The handler of reported use."""

    async def count_usage(messages: Sequence[UsageReported], /, *, tx: Tx) -> Mapping[int, Refused]:
        columns = UsageColumns.of(messages)
        await _lock(columns, messages, tx)
        await _resolve(columns, messages, tx)
        counted, refused = await usage.store_usage(tx, columns, time_zone=time_zone, latest=tx.now + FUTURE_LIMIT)
        if counted.charged + counted.late + counted.uncharged + len(refused) < len(messages):
            for index in await usage.find_conflicts(tx, columns):
                refused.setdefault(index, UsageFate.CONFLICT)
        _observe(len(messages), counted, refused)
        return {index: _reason(messages[index], fate) for index, fate in refused.items()}

    return count_usage


async def _lock(columns: UsageColumns, messages: Sequence[UsageReported], tx: Tx) -> None:
    """Which subscription a vehicle's use belongs to is only known under the lock: it needs that of all."""
    by_vehicle = any(message.service_code is not None for message in messages)
    await shards.lock_shared(tx, range(shards.SHARDS) if by_vehicle else columns.shards)


async def _resolve(columns: UsageColumns, messages: Sequence[UsageReported], tx: Tx) -> None:
    """Name the subscriptions of use that is reported by vehicle and service."""
    asked = [
        (index, (message.subject_id, message.service_code))
        for index, message in enumerate(messages)
        if message.service_code is not None
    ]
    if not asked:
        return
    ids, instants = (
        [messages[index].usage_id for index, _ in asked],
        [messages[index].occurred_at for index, _ in asked],
    )
    for place, subscription_id in (
        await usage.resolve_vehicles(tx, [pair for _, pair in asked], ids, instants)
    ).items():
        columns.subscription_ids[asked[place][0]] = subscription_id


def _reason(message: UsageReported, fate: UsageFate) -> Refused:
    match fate:
        case UsageFate.UNKNOWN:
            return UnknownSubscription(message.subject_id, message.service_code)
        case UsageFate.WRONG_UNIT:
            return WrongUnit(message.subject_id, message.unit)
        case UsageFate.IN_THE_FUTURE:
            return UsageInTheFuture(message.subject_id, message.occurred_at.isoformat())
        case UsageFate.CONFLICT:
            return UsageConflict(message.subject_id, message.usage_id)
        case _:
            raise AssertionError(f"{fate} is no reason to refuse")


def _observe(reported: int, counted: CountedUsage, refused: Mapping[int, UsageFate]) -> None:
    """Count what became of a batch. A batch that is rolled back and tried again is counted again."""
    new = counted.charged + counted.late + counted.uncharged
    _usage.labels("charged").inc(counted.charged)
    _usage.labels("late").inc(counted.late)
    _usage.labels("uncharged").inc(counted.uncharged)
    _usage.labels("duplicate").inc(reported - new - len(refused))
    for fate in refused.values():
        _usage.labels(fate.value).inc()
