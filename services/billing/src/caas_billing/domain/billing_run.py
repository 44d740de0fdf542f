"""Runs: wishes to close a period, their progress, and what they came to (SUB-8)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from caas_billing.domain.period import Period
from caas_contracts.message import Instant
from caas_contracts.money import Money
from caas_contracts.subscriptions import BillingRunFinished


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run. While it is open, whoever finds it works on it; a period has at most one open run."""

    run_id: UUID
    period: Period
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How many periods of subscriptions a run has closed, and how many subscriptions are still due."""

    closed: int
    left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """One bill as a report names it; no number before it is issued."""

    subscription_id: UUID
    customer_id: str
    period: str
    total: Money
    number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledLine:
    """One line of a bill, for people who check a preview: decimals are text."""

    subscription_id: UUID
    used_in: str
    plan_code: str
    kind: str
    quantity: str
    rate: str
    total: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run came to, or would come to (dry run): counts of periods, sums per currency.

    `late_uses` are uses of earlier months (SUB-2); `not_charged` invoices wait for another payment method (SUB-6);
    `too_large` names subscriptions whose bill no message can carry: they stay open.
    """

    subscriptions: int
    invoices: int
    without_charge: int
    invoiced: list[Money]
    late_uses: int
    not_charged: int
    biggest: list[Bill]
    sample: list[BilledLine]
    too_large: list[UUID]


def scheduled_for(period: Period, zone: ZoneInfo, grace: timedelta) -> datetime:
    """When a period is closed by itself: `grace` after its end, so that the last use of the month can arrive."""
    return period.ends_at(zone) + grace


def run_finished(run: Run, report: RunReport, finished_at: Instant) -> BillingRunFinished:
    """The fact that nothing of the run's period is due any more."""
    return BillingRunFinished(
        run_id=run.run_id,
        period=str(run.period),
        subscriptions=report.subscriptions,
        invoices=report.invoices,
        without_charge=report.without_charge,
        invoiced=report.invoiced,
        started_at=run.requested_at,
        finished_at=finished_at,
    )
