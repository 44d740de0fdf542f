"""Use of subscribed services as it is reported and kept (SUB-2).

Invariant: every reported use is kept once, as charged in a period or as uncharged, or is refused with a reason.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, Self
from uuid import UUID

from caas_contracts.subscriptions import UsageReported

FUTURE_LIMIT: Final = timedelta(days=1)
"""Clocks of vehicles differ, and time zones get lost: what is further ahead than a day is wrong for certain."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class UsageFate(StrEnum):
    """What becomes of reported use."""

    CHARGED = "charged"
    LATE = "late"
    """Charged, in a period after its own, which was closed before it came (SUB-2)."""
    BEFORE_START = "before_start"
    AFTER_END = "after_end"
    """Kept, and not charged (SUB-7)."""
    NO_PERIOD_LEFT = "no_period_left"
    """Kept, and not charged: the last invoice of an ended subscription was issued before it came (SUB-7)."""
    WRONG_UNIT = "wrong_unit"
    IN_THE_FUTURE = "in_the_future"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class UsageColumns:
    """Reported use, column by column. `subscription_ids` has None for what is reported by vehicle and service."""

    subscription_ids: list[str | None]
    usage_ids: list[UUID]
    occurred_at: list[datetime]
    quantities: list[str]
    units: list[str]

    @classmethod
    def of(cls, reported: Sequence[UsageReported]) -> Self:
        """The columns of messages, in their order."""
        return cls(
            [
                one.subject_id if one.service_code is None and _UUID.fullmatch(one.subject_id) else None
                for one in reported
            ],
            [one.usage_id for one in reported],
            [one.occurred_at for one in reported],
            [one.quantity for one in reported],
            [one.unit for one in reported],
        )

    @property
    def shards(self) -> set[int]:
        """The last bytes of the subscriptions that are named."""
        return {int(named[-2:], 16) for named in {known for known in self.subscription_ids if known is not None}}


@dataclass(frozen=True, slots=True)
class CountedUsage:
    """How many of a batch of reported use were new: charged in time, charged late, kept uncharged."""

    charged: int
    late: int
    uncharged: int


@dataclass(frozen=True, slots=True)
class KeptUse:
    """One use as it is kept. `period` is the month it is billed in, None for uncharged use, which has a reason."""

    usage_id: UUID
    subscription_id: UUID
    occurred_at: datetime
    used_on: date
    quantity: Decimal
    period: date | None
    late: bool
    uncharged: UsageFate | None
