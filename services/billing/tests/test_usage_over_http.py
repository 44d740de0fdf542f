"""Customers read their own use, and what each line of a monthly invoice counted, and nobody else's (SUB-2, INV-4)."""

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import httpx

from caas_chassis.testing.harness import Harness
from services.billing.tests.callers import ANA, BEN, OPERATOR
from services.billing.tests.usage_builders import NOVEMBER, Log, a_subscription, a_use


async def test_each_use_is_listed_with_its_period_and_whether_it_is_late_or_uncharged(
    billing: Harness, http: httpx.AsyncClient
) -> None:
    ended_at = datetime(2026, 11, 20, tzinfo=UTC)
    subscription = await a_subscription(billing, customer_id="ana", next_period=NOVEMBER, ended_at=ended_at)
    late, in_time = a_use(subscription), a_use(subscription, occurred_at=datetime(2026, 11, 3, 9, tzinfo=UTC))
    after = a_use(subscription, occurred_at=datetime(2026, 11, 21, 9, tzinfo=UTC))
    await billing.receive_records(*Log().records(after, in_time, late))

    answer = await http.get(f"/subscriptions/{subscription.subscription_id}/usage", headers=ANA)

    assert answer.status_code == 200
    assert answer.json()["next_cursor"] is None
    told = [(one["usage_id"], one["period"], one["late"], one["uncharged"]) for one in answer.json()["usage"]]
    assert told == [
        (str(late.usage_id), "2026-11", True, None),
        (str(in_time.usage_id), "2026-11", False, None),
        (str(after.usage_id), None, False, "after_end"),
    ]
    assert answer.json()["usage"][0]["quantity"] == "12.5"


async def test_pages_hold_every_use_of_a_month_once(billing: Harness, http: httpx.AsyncClient) -> None:
    subscription = await a_subscription(billing, customer_id="ana")
    october = [a_use(subscription) for _ in range(7)]
    november = a_use(subscription, occurred_at=datetime(2026, 11, 3, tzinfo=UTC))
    await billing.receive_records(*Log().records(*october, november))
    found: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(10):
        url = f"/subscriptions/{subscription.subscription_id}/usage"
        page = (await http.get(url, params={"period": "2026-10", "limit": "3", **cursor}, headers=OPERATOR)).json()
        found += [one["usage_id"] for one in page["usage"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(found) == sorted(str(use.usage_id) for use in october)


async def test_what_is_not_the_callers_does_not_exist(billing: Harness, http: httpx.AsyncClient) -> None:
    subscription = await a_subscription(billing, customer_id="ana")
    invoice_id = await a_billed_october(billing, subscription.subscription_id)
    for url in (f"/subscriptions/{subscription.subscription_id}/usage", f"/invoices/{invoice_id}/usage"):
        assert (await http.get(url, headers=ANA)).status_code == 200, url
        assert (await http.get(url, headers=BEN)).status_code == 404, url
    assert (await http.get(f"/subscriptions/{uuid4()}/usage", headers=OPERATOR)).status_code == 404
    assert (await http.get(f"/subscriptions/{uuid4()}/usage", params={"period": "2026-13"}, headers=ANA)).is_error


async def test_an_invoice_and_each_of_its_lines_lead_to_the_use_they_counted(
    billing: Harness, http: httpx.AsyncClient
) -> None:
    subscription = await a_subscription(
        billing,
        customer_id="ana",
        started_at=datetime(2026, 9, 1, tzinfo=UTC),
        ended_at=datetime(2026, 10, 20, tzinfo=UTC),
    )
    september = a_use(subscription, occurred_at=datetime(2026, 9, 20, tzinfo=UTC))
    october = a_use(subscription)
    uncharged = a_use(subscription, occurred_at=datetime(2026, 10, 21, tzinfo=UTC))
    await billing.receive_records(*Log().records(september, october, uncharged))
    invoice_id = await a_billed_october(billing, subscription.subscription_id)

    async def counted(**line: str) -> list[str]:
        answer = await http.get(f"/invoices/{invoice_id}/usage", params=line, headers=ANA)
        assert answer.status_code == 200
        return [one["usage_id"] for one in answer.json()["usage"]]

    assert await counted() == [str(september.usage_id), str(october.usage_id)]
    assert await counted(line="1") == [str(september.usage_id)]
    assert await counted(line="2") == [str(october.usage_id)]
    missing = await http.get(f"/invoices/{invoice_id}/usage", params={"line": "3"}, headers=ANA)
    assert missing.status_code == 404


async def a_billed_october(billing: Harness, subscription_id: UUID) -> UUID:
    """An invoice of October with a line of late use of September and one of October's."""
    invoice_id, run_id = uuid4(), uuid4()
    async with billing.owner() as owner:
        await owner.execute("INSERT INTO series VALUES ('M', 2026, 1, now())")
        await owner.execute(
            """
            INSERT INTO invoice (invoice_id, series, year, position, number, kind, payment_id, subject_id, customer_id,
                customer_name, customer_email, language, currency, base_minor, vat_minor, total_minor,
                supplied_at, issued_at)
            SELECT $1, 'M', 2026, 1, 'M-2026-000001', 'subscription', gen_random_uuid(), subscription_id, customer_id,
                customer_name, customer_email, customer_language, 'EUR', 100, 21, 121, now(), now()
            FROM subscription WHERE subscription_id = $2
            """,
            invoice_id,
            subscription_id,
        )
        await owner.execute("INSERT INTO billing_run VALUES ($1, '2026-10-01', 'test', now())", run_id)
        await owner.execute(
            "INSERT INTO period_close VALUES ($1, '2026-10-01', $2, $3, 121, now())",
            subscription_id,
            run_id,
            invoice_id,
        )
        for line, used_in in ((1, date(2026, 9, 1)), (2, date(2026, 10, 1))):
            await owner.execute(
                """
                INSERT INTO usage_line (invoice_id, line, kind, plan_code, plan_version, used_in, unit, quantity, rate,
                    usage_events, total_minor)
                VALUES ($1, $2, 'per_use', 'per-km', 1, $3, 'km', 12.5, 1, 1, 13)
                """,
                invoice_id,
                line,
                used_in,
            )
    return invoice_id
