"""What must be true of the market at every instant, and what when it has come to rest; read from all books."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from caas_chassis.cause import Cause
from caas_payments.domain.attempt import Operation
from caas_payments.domain.gateway_result import TransactionStatus
from caas_payments.store.audit import verify_audit_log
from caas_reconciliation.handlers.rebuilding import rebuild_ledger
from tests.flows.bank import Account, captured_minor
from tests.flows.processes import SERVICES
from tests.flows.world import World

_PURCHASES: Final = """
SELECT purchase_id::text, payment_id::text, activation_id::text, kind, status, money, vehicle_id, service_code
FROM purchases
"""
_RENEWALS: Final = "SELECT purchase_id::text, payment_id::text, outcome FROM renewal"
_PAYMENTS: Final = "SELECT id::text, status, captured_minor, refunded_minor, settled_minor FROM payments"
_UNBALANCED: Final = """
SELECT entry_id, currency, sum(amount_minor) FROM journal_line GROUP BY GROUPING SETS ((entry_id, currency), (currency))
HAVING sum(amount_minor) <> 0
"""
_PARKED: Final = "SELECT type, reason, detail, state FROM chassis.parked WHERE state IN ('retrying', 'parked')"
_CREDITED: Final = """
SELECT r.payment_id::text AS id, sum(c.total_minor)::bigint AS minor FROM credit_note c JOIN refund r USING (refund_id)
GROUP BY r.payment_id
"""
_OWED: Final = """
SELECT coalesce(-sum(amount_minor), 0)::bigint AS minor FROM journal_line WHERE account = 'customer_prepayments'
"""
_FREE: Final = frozenset({"failed", "declined", "blocked", "cancelled"})
_DELIVERED: Final = frozenset({"active", "expired"})
_RESTING: Final = frozenset({"SETTLED", "SETTLEMENT_FAILED", "VOIDED", "FAILED", "ABANDONED", "REFUNDED"})
_TOLD_ONCE: Final = frozenset(
    {"activated", "failed_not_charged", "failed_refunded", "declined", "blocked_maintenance", "cancelled", "scheduled",
     "expired", "withdrawn", "withdrawal_received"}
)  # fmt: skip
_PROVEN_FREE: Final = frozenset({TransactionStatus.VOIDED, TransactionStatus.EXPIRED, TransactionStatus.DECLINED})


async def assert_fence_holds(world: World) -> None:
    """SVC-6, at every instant: what was held, or renewed, is only taken for what a car has in its book; and all once.

    Money that was taken ahead has to be earned or given back: that is a law of the rest (PLN-1).
    """
    accounts = [account for account in world.bank.accounts if account.captures]
    purchases, renewals = await _purchases(world), {row["payment_id"] for row in await _renewals(world)}
    for account in accounts:
        assert len(account.captures) == 1, f"{account.reference} was captured {len(account.captures)} times"
        purchase = purchases[account.reference]
        is_ahead = account.task.operation is Operation.SALE and account.reference not in renewals
        applied_at = world.cars.entry(purchase["activation_id"]).applied_at
        assert is_ahead or applied_at is not None, f"charged without activation: {dict(purchase)}"


async def assert_books_are_sound(world: World) -> None:
    """PAY-4 and RCN-6, at every instant: the audit log is whole, and every entry of the ledger balances."""
    async with world.processes["payments"].runtime.transaction(Cause.of_person("auditor")) as tx:
        assert (await verify_audit_log(tx)).broken == [], "the audit log is broken"
    assert not await world.processes["reconciliation"].rows(_UNBALANCED), "the ledger does not balance"


async def assert_rest_is_just(world: World) -> None:
    """What holds when everything has ended: orders, cars, payments, gateway and ledger tell one story."""
    await _assert_nothing_parked(world)
    await _assert_purchases_ended_well(world)
    await _assert_periods_are_paid_or_were_never_given(world)
    await _assert_payments_agree(world)
    await _assert_money_is_accounted_for(world)
    await _assert_everybody_was_told(world)


async def _assert_nothing_parked(world: World) -> None:
    for name in SERVICES:
        parked = await world.processes[name].rows(_PARKED)
        assert not parked, f"{name} has parked {[dict(row) for row in parked]}"


async def _assert_purchases_ended_well(world: World) -> None:
    """SVC-11: nothing charged and nothing active, charged and active until its end, or paid back and taken out."""
    purchases = await _by_id(world)
    assert len(purchases) == len(world.bought)
    kept = await _kept_by_purchase(world)
    written_off = {row["id"] for row in await _payments(world) if row["status"] == "SETTLEMENT_FAILED"}
    for purchase_id, purchase in purchases.items():
        status, is_lost = purchase["status"], purchase["payment_id"] in written_off
        story = f"{dict(purchase)}, kept {kept[purchase_id]}, written off {is_lost}"
        world.happened[f"{purchase['kind']} {status}"] += 1
        world.happened[status] += 1
        assert status in _FREE | _DELIVERED | {"scheduled", "withdrawn"}, f"no end: {story}"
        entry = world.cars.entry(purchase["activation_id"])
        world.happened["applied and taken out again"] += entry.deactivated_at is not None
        assert entry.active == (status == "active"), f"in the car: {entry.active}, {story}"
        assert (kept[purchase_id] > 0) == (status in _DELIVERED | {"scheduled"} and not is_lost), story
        assert (entry.applied_at is not None) or status not in _DELIVERED | {"withdrawn"}, story


async def _assert_periods_are_paid_or_were_never_given(world: World) -> None:
    """REC-1, REC-3: the gateway keeps the money of each period that was given, and of no other."""
    theirs = _by_reference(world)
    for row in await _renewals(world):
        world.happened[f"renewal {row['outcome']}"] += 1
        kept = captured_minor(theirs.get(row["payment_id"], []))
        assert (kept > 0) == (row["outcome"] == "paid"), f"renewal {dict(row)}, the gateway keeps {kept}"


async def _assert_payments_agree(world: World) -> None:
    theirs = _by_reference(world)
    for row in await _payments(world):
        accounts = theirs.get(row["id"], [])
        kept = captured_minor(accounts)
        world.happened[f"payment {row['status']}"] += 1
        assert row["captured_minor"] - row["refunded_minor"] == kept, f"ours {dict(row)}, theirs {accounts}"
        assert row["status"] in _RESTING, dict(row)
        assert (row["status"] == "SETTLED") == (kept > 0), f"ours {dict(row)}, theirs {accounts}"
        if row["status"] != "SETTLEMENT_FAILED":
            held = [one for one in accounts if not one.captures and one.status not in _PROVEN_FREE]
            assert not held, f"a forgotten hold: ours {dict(row)}, theirs {held}"


async def _assert_money_is_accounted_for(world: World) -> None:
    books = world.processes["reconciliation"]
    async with books.runtime.reading() as tx:
        verification = await rebuild_ledger(tx=tx)
    assert verification.holds, verification
    (bank,) = await books.rows(
        "SELECT coalesce(sum(amount_minor), 0)::bigint AS minor FROM journal_line"
        " WHERE account IN ('bank', 'gateway_fees')"
    )
    assert bank["minor"] == captured_minor(world.bank.accounts), "the ledger and the gateway's books differ"
    assert not await books.rows("SELECT FROM expectation WHERE amount_minor <> settled_minor + adjusted_minor")
    assert not await books.rows("SELECT FROM unmatched_line")
    (owed,) = await books.rows(_OWED)
    kept, purchases = await _kept_by_purchase(world), await _by_id(world)
    ahead = sum(kept[each] for each, purchase in purchases.items() if purchase["status"] == "scheduled")
    assert owed["minor"] == ahead, f"{owed['minor']} is owed for what is not delivered, {ahead} was paid ahead"
    cases = await books.rows("SELECT kind, detail FROM discrepancy_case WHERE status <> 'resolved'")
    assert not cases, [dict(case) for case in cases]


async def _assert_everybody_was_told(world: World) -> None:
    """NOT-1 and INV-1: one invoice for each payment of what was delivered, credit for what went back, letters."""
    purchases = await _purchases(world)
    delivered = {row["payment_id"] for row in await _renewals(world) if row["outcome"] == "paid"}
    delivered |= {
        payment_id
        for payment_id, row in purchases.items()
        if row["status"] in _DELIVERED | {"withdrawn"} and payment_id == row["payment_id"]
    }
    theirs = _by_reference(world)
    due = {one for one in delivered if any(account.captures for account in theirs.get(one, []))}
    billing = world.processes["billing"]
    invoiced = Counter(row["id"] for row in await billing.rows("SELECT payment_id::text AS id FROM invoice"))
    assert invoiced == Counter(due), "not one invoice for each payment of what was delivered"
    given_back = {one: sum(account.refunded_minor for account in theirs[one]) for one in due}
    world.happened["credit notes"] += sum(1 for minor in given_back.values() if minor)
    credited = {row["id"]: row["minor"] for row in await billing.rows(_CREDITED)}
    assert credited == {one: minor for one, minor in given_back.items() if minor}, "credit notes are not the refunds"
    told = await world.processes["orders"].rows(
        "SELECT purchase_id::text AS id, kind, state FROM notifications WHERE kind <> 'invoice_issued'"
    )
    untold = (await _by_id(world)).keys() - {row["id"] for row in told}
    assert not untold, f"nobody was told of the end of {untold}"
    ends = Counter((row["id"], row["kind"]) for row in told if row["kind"] in _TOLD_ONCE)
    assert all(number == 1 for number in ends.values()), f"told more than once: {ends}"
    assert all(row["state"] == "sent" for row in told)


async def _renewals(world: World) -> list[Any]:
    return list(await world.processes["orders"].rows(_RENEWALS))


async def _kept_by_purchase(world: World) -> Counter[str]:
    """What the gateway has of each purchase, over all of its periods."""
    purchases, kept = await _purchases(world), Counter[str]()
    for account in world.bank.accounts:
        kept[purchases[account.reference]["purchase_id"]] += account.kept_minor
    return kept


async def _purchases(world: World) -> Mapping[str, Any]:
    """By payment; what renews itself has several."""
    rows = await _by_id(world)
    first = {row["payment_id"]: row for row in rows.values()}
    return first | {row["payment_id"]: rows[row["purchase_id"]] for row in await _renewals(world)}


async def _by_id(world: World) -> Mapping[str, Any]:
    return {row["purchase_id"]: row for row in await world.processes["orders"].rows(_PURCHASES)}


async def _payments(world: World) -> list[Any]:
    return list(await world.processes["payments"].rows(_PAYMENTS))


def _by_reference(world: World) -> dict[str, list[Account]]:
    theirs: dict[str, list[Account]] = {}
    for account in world.bank.accounts:
        theirs.setdefault(account.reference, []).append(account)
    return theirs
