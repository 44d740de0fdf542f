"""A period is closed once: rated as the reference says, numbered, invoiced and charged in one transaction (SUB-4)."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from caas_billing.domain.period import Period, Service
from caas_billing.domain.rate_plan import PlanVersion
from caas_billing.domain.rating import Line, Use, rate_period
from caas_billing.domain.vat import split_total
from caas_billing.store import closing
from caas_billing.store.closing import Chunk
from caas_chassis.cause import Cause
from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts import Message, decode
from caas_contracts.billing import InvoiceIssued, InvoiceKind
from caas_contracts.payments import ChargePayment, PaymentPurpose
from caas_contracts.subscriptions import RatePlanKind, SubscriptionPaymentFailed
from services.billing.tests.cycle_builders import (
    MADRID,
    NOVEMBER,
    OCTOBER,
    Subscription,
    a_plan,
    a_subscription,
    noon,
    stored,
    tiers,
)

FIRST_OF_NOVEMBER = datetime(2026, 11, 1, 2, 30, tzinfo=UTC)
RETRY_AT = FIRST_OF_NOVEMBER + timedelta(days=3)


async def a_run(billing: Harness, period: Period = OCTOBER) -> UUID:
    run_id = new_id()
    async with billing.transaction() as tx:
        await tx.execute("INSERT INTO billing_run VALUES ($1, $2, 'operator:test', now())", run_id, period.first_day)
    return run_id


async def close(billing: Harness, run_id: UUID, through: Period = OCTOBER, limit: int = 2000) -> list[closing.Closed]:
    """Close everything that is due, shard by shard."""
    found: list[closing.Closed] = []
    while True:
        async with billing.runtime.reading() as tx:
            shards = await closing.due_shards(tx, through)
        if not shards:
            return found
        for shard in shards:
            chunk = Chunk(
                run_id=run_id, through=through, shards=(shard,), zone=MADRID, next_attempt_at=RETRY_AT, limit=limit
            )
            async with billing.runtime.transaction(Cause.of_person("operator:test")) as tx:
                closed = await closing.close_chunk(tx, chunk)
            assert closed is not None
            found.append(closed)


async def rows(billing: Harness, sql: str, *arguments: object) -> list[dict[str, Any]]:
    async with billing.runtime.reading() as tx:
        return [dict(row) for row in await tx.fetch(sql, *arguments)]


def a_random_plan(chance: random.Random, code: str, version: int, effective_from: Period) -> PlanVersion:
    kind = chance.choice(list(RatePlanKind))
    # Rates and quantities that meet halves of a cent often.
    rate = chance.choice(["0", "0.5", "3.5", "0.000001", "1499", "99.995", "7.25", "33.333333"])
    steps: list[tuple[str | None, str]] = [("1.5", "0.5"), ("10", "0.333333"), (None, chance.choice(["0", "0.1"]))]
    return a_plan(
        kind, rate, plan_code=code, version=version, effective_from=effective_from.first_day,
        tiers=tiers(*steps) if kind is RatePlanKind.TIERED else (),
    )  # fmt: skip


def a_random_subscription(chance: random.Random, plans: Sequence[PlanVersion]) -> Subscription:
    plan = chance.choice(plans)
    started_at = datetime(2026, 7, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(60 * 24 * 120))
    ended_at = None
    if chance.random() < 0.4:
        ended_at = started_at + timedelta(minutes=chance.choice([0, 1, 60, 60 * 24, chance.randrange(60 * 24 * 100)]))
    period = chance.choice([Period(2026, 9), OCTOBER])
    uses = []
    for _ in range(chance.choice([0, 0, 1, 2, 5, 12])):
        billed_in = chance.choice([period, period, period, period.previous])
        used_in = chance.choice([billed_in, billed_in, billed_in.previous, billed_in.previous.previous])
        day = used_in.first_day + timedelta(days=chance.randrange(used_in.days))
        uses.append((billed_in, day, Decimal(chance.choice(["0", "0.5", "1", "0.2", "3.000001", "7.142857", "41.5"]))))
    return Subscription(
        plan_code=plan.plan_code, plan_version=plan.version, started_at=started_at, ended_at=ended_at,
        next_period=period, uses=uses, vat_rate_bp=chance.choice([0, 400, 1000, 2100]),
    )  # fmt: skip


def expected_lines(one: Subscription, versions: Sequence[PlanVersion]) -> list[Line]:
    assert one.next_period is not None
    charged = [use for use in one.uses if one.ended_at is None or noon(use[1]) < one.ended_at]  # SUB-7
    return rate_period(
        [plan for plan in versions if plan.plan_code == one.plan_code],
        one.plan_version,
        one.next_period,
        Service(one.started_at, one.ended_at).days_in(one.next_period, MADRID),
        [Use(day, quantity) for period, day, quantity in charged if period == one.next_period],
        [Use(day, quantity) for period, day, quantity in one.uses if period < one.next_period],
    )


def as_row(line: Line) -> tuple[object, ...]:
    return (
        line.plan.kind.value, line.plan.plan_code, line.plan.version, line.tier, line.used_in.first_day,
        line.plan.unit, line.quantity, line.rate, line.days, line.days_in_month, line.usage_events, line.total_minor,
    )  # fmt: skip


LINES = """
SELECT i.subject_id, l.* FROM usage_line l JOIN invoice i USING (invoice_id) ORDER BY i.subject_id, l.line
"""


async def test_sql_rates_thousands_of_cases_as_the_reference_does(billing: Harness, chance: random.Random) -> None:
    plans = [
        a_random_plan(chance, f"plan-{code}", version, effective_from)
        for code in range(12)
        for version, effective_from in enumerate([Period(2020, 1), Period(2026, 8), OCTOBER, NOVEMBER], start=1)
    ]
    subscriptions = [a_random_subscription(chance, plans) for _ in range(3000)]
    await stored(billing, *plans, *subscriptions)
    run_id = await a_run(billing)

    # One close of each: what they stand at after it is another test's matter.
    async with billing.runtime.reading() as tx:
        shards = await closing.due_shards(tx, OCTOBER)
    for shard in shards:
        chunk = Chunk(run_id=run_id, through=OCTOBER, shards=(shard,), zone=MADRID, next_attempt_at=RETRY_AT)
        async with billing.runtime.transaction(Cause.of_person("operator:test")) as tx:
            await closing.close_chunk(tx, chunk)

    found: dict[UUID, list[tuple[object, ...]]] = {}
    for row in await rows(billing, LINES):
        found.setdefault(row["subject_id"], []).append(tuple(row.values())[3:])
    invoices = {row["subject_id"]: row for row in await rows(billing, "SELECT * FROM invoice")}
    closes = {row["subscription_id"]: row for row in await rows(billing, "SELECT * FROM period_close")}
    ties = 0
    for one in subscriptions:
        lines = expected_lines(one, plans)
        total = sum(line.total_minor for line in lines)
        assert closes[one.subscription_id]["total_minor"] == total, one
        assert (one.subscription_id in invoices) == (total > 0)  # SUB-5
        if total:
            assert found[one.subscription_id] == [as_row(line) for line in lines], one
            split = split_total(total, one.vat_rate_bp)
            invoice = invoices[one.subscription_id]
            assert (invoice["base_minor"], invoice["vat_minor"]) == (split.base_minor, split.vat_minor)
        ties += any((line.quantity * line.rate) % 1 == Decimal("0.5") for line in lines)
    assert ties > 50, "the cases have to meet half cents"
    assert sum(len(lines) for lines in found.values()) > 1000


async def test_use_behind_the_end_is_not_billed_although_it_was_stored_before_the_end_was_known(
    billing: Harness,
) -> None:  # SUB-7
    one = a_subscription(("2026-10-03", "10"), ("2026-10-20", "7"), ended_at=datetime(2026, 10, 20, 12, tzinfo=UTC))
    late = a_subscription(
        uses=[(OCTOBER, date(2026, 9, 2), Decimal(4)), (OCTOBER, date(2026, 9, 9), Decimal(9))],
        ended_at=datetime(2026, 9, 9, 12, tzinfo=UTC),
    )
    await stored(billing, a_plan(rate="100"), one, late)

    await close(billing, await a_run(billing))

    totals = await rows(billing, "SELECT subject_id, total_minor, supplied_at FROM invoice ORDER BY total_minor")
    assert [(row["subject_id"], row["total_minor"]) for row in totals] == [
        (late.subscription_id, 400),
        (one.subscription_id, 1000),
    ]
    assert one.ended_at is not None
    assert totals[1]["supplied_at"] == one.ended_at - timedelta(microseconds=1)


async def test_a_close_makes_every_row_that_the_charge_needs(billing: Harness) -> None:
    one = a_subscription(("2026-10-03", "10"), ("2026-10-31", "4.5"))
    await stored(billing, a_plan(), one)

    run_id = await a_run(billing)
    await close(billing, run_id)

    ((issued, charge)) = await everything_published(billing)
    assert isinstance(issued, InvoiceIssued)
    assert isinstance(charge, ChargePayment)
    (invoice,) = await rows(billing, "SELECT * FROM invoice")
    assert (invoice["total_minor"], invoice["number"], invoice["kind"]) == (51, "M-2026-000001", "subscription")
    assert invoice["supplied_at"] == NOVEMBER.starts_at(MADRID) - timedelta(microseconds=1)
    assert (issued.kind, issued.total.amount_minor, issued.subject_id) == (
        InvoiceKind.SUBSCRIPTION,
        51,
        one.subscription_id,
    )
    assert charge.purpose is PaymentPurpose.SUBSCRIPTION
    assert charge.idempotency_key == f"invoice:{issued.invoice_id}:attempt:1"
    assert (charge.payment_id, charge.subject_id) == (issued.payment_id, issued.invoice_id)
    assert charge.customer_present is False  # PAY-9
    (close_row,) = await rows(billing, "SELECT * FROM period_close")
    assert (close_row["run_id"], close_row["invoice_id"], close_row["period"]) == (
        run_id,
        issued.invoice_id,
        date(2026, 10, 1),
    )
    (receivable,) = await rows(billing, "SELECT * FROM receivable")
    assert (receivable["status"], receivable["attempts"], receivable["amount_minor"]) == ("processing", 1, 51)
    (attempt,) = await rows(billing, "SELECT * FROM charge_attempt")
    assert attempt["payment_id"] == issued.payment_id
    (standing,) = await rows(billing, "SELECT * FROM subscription_standing")
    assert (standing["status"], standing["next_period"]) == ("payment_processing", date(2026, 11, 1))
    (task,) = await rows(billing, "SELECT * FROM chassis.task")
    assert (task["effect"], task["key"]) == ("typeset-stored", str(issued.invoice_id))


async def everything_published(billing: Harness) -> list[Message]:
    """Every row of the outbox, read by the strict model of its type; the model says the same as the row."""
    found = []
    streams: dict[tuple[str, str], int] = {}
    for row in await rows(billing, "SELECT * FROM chassis.outbox ORDER BY position"):
        message = decode(row["type"], row["payload"])
        assert message is not None
        assert message.TOPIC.name == row["aggregatetype"]
        assert message.key == row["aggregateid"]
        assert type(message).model_validate_json(message.to_json()) == message
        stream = (row["aggregatetype"], row["aggregateid"])
        streams[stream] = streams.get(stream, 0) + 1
        assert row["sequence"] == streams[stream]
        found.append(message)
    return found


async def test_nothing_owed_closes_the_period_without_invoice_or_charge(billing: Harness) -> None:  # SUB-5
    await stored(billing, a_plan(), a_subscription(), a_subscription(("2026-10-03", "0.1")))

    await close(billing, await a_run(billing))

    assert (
        await rows(billing, "SELECT total_minor, invoice_id FROM period_close")
        == [{"total_minor": 0, "invoice_id": None}] * 2
    )
    assert await rows(billing, "SELECT 1 FROM invoice UNION ALL SELECT 1 FROM chassis.outbox") == []
    assert (
        await rows(billing, "SELECT status, next_period FROM subscription_standing")
        == [{"status": "active", "next_period": date(2026, 11, 1)}] * 2
    )


async def test_a_refused_method_is_not_charged_and_the_schedule_goes_on(billing: Harness) -> None:  # SUB-6
    await stored(billing, a_plan(), a_subscription(("2026-10-03", "10"), method_refused=True))

    await close(billing, await a_run(billing))

    issued, failed = await everything_published(billing)
    assert isinstance(issued, InvoiceIssued)
    assert isinstance(failed, SubscriptionPaymentFailed)
    assert (failed.payment_id, failed.attempt, failed.new_method_needed) == (None, 1, True)
    assert failed.next_attempt_at == RETRY_AT
    (receivable,) = await rows(billing, "SELECT status, next_attempt_at FROM receivable")
    assert receivable == {"status": "retry", "next_attempt_at": RETRY_AT}
    assert await rows(billing, "SELECT payment_id FROM charge_attempt") == [{"payment_id": None}]
    assert await rows(billing, "SELECT outcome FROM charge_outcome") == [{"outcome": "not_asked"}]
    assert await rows(billing, "SELECT status FROM subscription_standing") == [{"status": "retry"}]
