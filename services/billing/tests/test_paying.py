"""Customers who do something about what they owe, over HTTP; and what operators and collections read (SUB-6)."""

import asyncio
import csv
import io
import subprocess
import sys
from typing import Any
from uuid import uuid4

import httpx

from caas_chassis.testing.harness import Harness
from caas_contracts.subscriptions import CollectionSettled, SubscriptionPaid
from services.billing.tests.callers import BEN, OPERATOR, identity
from services.billing.tests.dunning_world import Bill, a_bill
from services.billing.tests.subscription_builders import a_start

OWNER = identity.bearer("customer-1", "customer")


def paying(headers: dict[str, str] = OWNER, key: str | None = None, **prefer: str) -> dict[str, str]:
    return {**headers, "Idempotency-Key": key or str(uuid4()), **prefer}


async def pay(
    http: httpx.AsyncClient, bill: Bill, headers: dict[str, str] | None = None, **body: Any
) -> httpx.Response:
    return await http.post(f"/invoices/{bill.invoice_id}/payment", headers=headers or paying(), json=body)


async def test_another_method_is_charged_at_once_for_what_waits(billing: Harness, http: httpx.AsyncClient) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.failed("lost_card"))
    path = f"/subscriptions/{bill.subscription_id}/payment-method"
    answer = await http.put(path, headers=OWNER, json={"payment_method": "pm_new"})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"charged_invoices": [str(bill.invoice_id)]}
    (asked,) = await bill.charges()
    assert (asked.payment_method, asked.customer_present) == ("pm_new", True)
    assert asked.idempotency_key == f"invoice:{bill.invoice_id}:attempt:2"
    assert await bill.states() == ("processing", "payment_processing")
    assert not (await bill.standing())["method_refused"]

    again = await http.put(path, headers=OWNER, json={"payment_method": "pm_new"})
    assert again.json() == {"charged_invoices": []}
    await billing.receive(bill.confirmed(asked.payment_id))
    assert await bill.states() == ("paid", "active")


async def test_what_a_customer_tries_uses_up_no_step_of_the_schedule(billing: Harness, http: httpx.AsyncClient) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.failed())
    due = (await bill.receivable())["next_attempt_at"]
    for _ in range(3):
        assert (await pay(http, bill, payment_method="pm_other")).status_code == 202
        await billing.receive(bill.failed("lost_card", await bill.last_payment()))
    receivable = await bill.receivable()
    assert (receivable["status"], receivable["failures"], receivable["next_attempt_at"]) == ("retry", 1, due)
    assert not (await bill.standing())["method_refused"]  # It was another method that the bank refused.
    await bill.wait_for_next_attempt()
    assert (await bill.charges())[-1].payment_method == "pm_ok"


async def test_a_refused_method_cannot_be_named_again(billing: Harness, http: httpx.AsyncClient) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.failed("closed_account"))
    same = {"payment_method": "pm_ok"}
    answer = await http.put(f"/subscriptions/{bill.subscription_id}/payment-method", headers=OWNER, json=same)
    assert (answer.status_code, answer.json()["code"]) == (422, "payment_method_refused")
    answer = await pay(http, bill)
    assert (answer.status_code, answer.json()["code"]) == (422, "payment_method_refused")


async def test_an_invoice_in_collections_can_be_paid_which_settles_it(
    billing: Harness, http: httpx.AsyncClient
) -> None:
    bill = await a_bill(billing)
    await bill.fail_to_the_end()
    key = paying()
    first, again = await pay(http, bill, key), await pay(http, bill, key)
    assert (first.status_code, first.json()) == (202, again.json())
    asked = (await bill.charges())[-1]
    assert str(asked.payment_id) == first.json()["payment_id"]
    assert await bill.states() == ("processing", "cancelled_nonpayment")
    await billing.receive(bill.failed(payment_id=asked.payment_id))
    assert await bill.states() == ("unpaid", "cancelled_nonpayment")

    assert (await pay(http, bill)).status_code == 202
    await billing.receive(bill.confirmed(await bill.last_payment()))
    assert await bill.states() == ("paid", "cancelled_nonpayment")
    assert len(await billing.published(CollectionSettled)) == 1
    assert [paid.late for paid in await billing.published(SubscriptionPaid)] == [True]
    answer = await pay(http, bill)
    assert (answer.status_code, answer.json()["code"]) == (409, "invoice_already_paid")


async def test_an_outage_while_a_collected_invoice_is_paid_leaves_it_in_collections(
    billing: Harness, http: httpx.AsyncClient
) -> None:
    bill = await a_bill(billing)
    await bill.fail_to_the_end()
    await pay(http, bill)
    await billing.receive(bill.abandoned(await bill.last_payment()))
    assert await bill.states() == ("unpaid", "cancelled_nonpayment")


async def test_one_invoice_has_one_open_attempt(billing: Harness, http: httpx.AsyncClient) -> None:
    bill = await a_bill(billing)
    answer = await pay(http, bill)
    assert (answer.status_code, answer.json()["code"]) == (409, "invoice_being_paid")
    await billing.receive(bill.action_required())
    assert (await pay(http, bill)).json()["code"] == "invoice_being_paid"


async def test_a_customer_and_the_schedule_at_the_same_instant_make_one_attempt(
    billing: Harness, http: httpx.AsyncClient
) -> None:
    for _ in range(5):
        bill = await a_bill(billing)
        await billing.receive(bill.failed())
        due = (await bill.receivable())["next_attempt_at"]
        billing.clock.move(due - billing.clock.now())
        answers = await asyncio.gather(
            pay(http, bill), pay(http, bill), billing.runtime.timers.run_until_idle(), pay(http, bill)
        )
        taken = [one.status_code for one in answers if isinstance(one, httpx.Response)]
        assert sorted(set(taken)) in ([202, 409], [409])
        assert len(await bill.charges()) == 1
        assert await bill.states() == ("processing", "payment_processing")


async def test_a_caller_who_waits_is_told_the_outcome(billing: Harness, http: httpx.AsyncClient) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.failed())

    async def answered(fact: str) -> httpx.Response:
        waiting = asyncio.create_task(pay(http, bill, paying(Prefer="wait=20"), payment_method="pm_new"))
        before = await bill.last_payment()
        async with asyncio.timeout(15):
            while (payment := await bill.last_payment()) == before:  # noqa: ASYNC110 - the outbox tells nobody
                await asyncio.sleep(0.05)
        assert not waiting.done()
        failed, abandoned = bill.failed(payment_id=payment), bill.abandoned(payment)
        await billing.receive(failed if fact == "fail" else abandoned)
        return await asyncio.wait_for(waiting, timeout=15)

    declined = await answered("fail")
    assert (declined.status_code, declined.json()["reason"]) == (402, "insufficient_funds")
    unavailable = await answered("abandon")
    assert (unavailable.status_code, unavailable.json()["code"]) == (409, "payment_unavailable")


async def test_everyone_reads_what_is_theirs(billing: Harness, http: httpx.AsyncClient) -> None:
    bill = await a_bill(billing)
    other = a_start(customer_id="ben")
    await billing.receive(other, bill.failed("lost_card"))
    (mine,) = (await http.get("/subscriptions", headers=OWNER)).json()["subscriptions"]
    assert (mine["status"], mine["new_method_needed"], mine["next_period"]) == ("retry", True, "2026-11")
    assert mine["next_billing_at"] == "2026-12-01T00:00:00+01:00"
    (owed,) = mine["invoices"]
    assert (owed["number"], owed["status"], owed["period"]) == ("M-2026-000001", "retry", "2026-10")
    (attempt,) = owed["attempts"]
    assert (attempt["outcome"], attempt["reason"], attempt["asked_by"]) == ("failed", "lost_card", "schedule")
    everyone = (await http.get("/subscriptions", headers=OPERATOR)).json()["subscriptions"]
    assert {one["customer_id"] for one in everyone} == {"customer-1", "ben"}
    one = f"/subscriptions/{bill.subscription_id}"
    assert (await http.get(one, headers=OPERATOR)).json()["invoices"] == mine["invoices"]
    assert (await http.get(one, headers=BEN)).status_code == 404
    assert (await http.get(one)).status_code == 401
    assert (await pay(http, bill, paying(BEN))).status_code == 404
    assert (await pay(http, bill, paying(OPERATOR))).status_code == 403
    method = {"payment_method": "pm_new"}
    assert (await http.put(f"{one}/payment-method", headers=BEN, json=method)).status_code == 404
    card = {"payment_method": "4111111111111111"}
    refused = await http.put(f"{one}/payment-method", headers=OWNER, json=card)
    assert refused.status_code == 400
    assert "4111" not in refused.text


async def test_a_customer_sees_where_the_bank_awaits_them(billing: Harness, http: httpx.AsyncClient) -> None:
    bill = await a_bill(billing)
    await billing.receive(bill.action_required())
    path = f"/subscriptions/{bill.subscription_id}"
    (owed,) = (await http.get(path, headers=OWNER)).json()["invoices"]
    assert owed["action_url"].startswith("https://pay.caas.example/")
    await billing.receive(bill.confirmed())
    (paid,) = (await http.get(path, headers=OWNER)).json()["invoices"]
    assert (paid["status"], paid["action_url"]) == ("paid", None)
    assert (await http.get("/subscriptions", headers=OWNER)).json()["subscriptions"][0]["invoices"] == []


async def test_collections_is_given_a_file_that_is_safe_to_open(billing: Harness, http: httpx.AsyncClient) -> None:
    evil = a_start(customer_name='=HYPERLINK("http://x")', vehicle_id="VIN-0002")
    await billing.receive(evil)
    bills = [await a_bill(billing), await a_bill(billing, evil)]
    for bill in bills:
        await bill.fail_to_the_end()
    await billing.receive(bills[0].confirmed())

    answer = await http.get("/collections.csv", headers=OPERATOR)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = {row["subscription_id"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert len(rows) == 2
    row = rows[str(evil.subscription_id)]
    assert row["customer_name"] == '\'=HYPERLINK("http://x")'
    assert (row["amount_minor"], row["currency"], row["attempts"]) == ("1485", "EUR", "3")
    assert (row["last_reason"], row["settled_at"]) == ("insufficient_funds", "")
    assert rows[str(bills[0].subscription_id)]["settled_payment_id"] == str(bills[0].payment_id)

    open_only = (await http.get("/collections", headers=OPERATOR, params={"open_only": True})).json()
    assert [one["subscription_id"] for one in open_only["collections"]] == [str(evil.subscription_id)]
    first = (await http.get("/collections", headers=OPERATOR, params={"limit": 1})).json()
    after = {"limit": 1, "after": first["next_after"]}
    second = (await http.get("/collections", headers=OPERATOR, params=after)).json()
    assert {page["collections"][0]["subscription_id"] for page in (first, second)} == set(rows)
    later = {"since": billing.clock.now().isoformat()}
    assert len((await http.get("/collections.csv", headers=OPERATOR, params=later)).text.splitlines()) == 1
    command = [sys.executable, "-m", "caas_billing.command_line", "collections", "--database-url", billing.owner_url]
    printed = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=60, check=True)
    assert printed.stdout == answer.content
    for path in ("/collections", "/collections.csv"):
        assert (await http.get(path, headers=OWNER)).status_code == 403
