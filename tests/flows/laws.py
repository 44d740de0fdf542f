"""What must be true of the market at every instant, and what when it has come to rest; read from all books."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from caas_chassis.cause import Cause
from caas_payments.domain.gateway_result import TransactionStatus
from caas_payments.store.audit import verify_audit_log
from caas_reconciliation.handlers.rebuilding import rebuild_ledger
from tests.flows.bank import Account, captured_minor
from tests.flows.processes import SERVICES
from tests.flows.world import World

_PURCHASES: Final = """
SELECT purchase_id::text, payment_id::text, activation_id::text, status, money, vehicle_id, service_code FROM purchases
"""
_PAYMENTS: Final = "SELECT id::text, status, captured_minor, refunded_minor, settled_minor FROM payments"
_UNBALANCED: Final = """
SELECT entry_id, currency, sum(amount_minor) FROM journal_line GROUP BY GROUPING SETS ((entry_id, currency), (currency))
HAVING sum(amount_minor) <> 0
"""
_PARKED: Final = "SELECT type, reason, detail, state FROM chassis.parked WHERE state IN ('retrying', 'parked')"
_PROVEN_FREE: Final = frozenset({TransactionStatus.VOIDED, TransactionStatus.EXPIRED, TransactionStatus.DECLINED})


async def assert_fence_holds(world: World) -> None:
    """SVC-6, at every instant: money is only taken for what a car has in its own book, and once."""
    accounts = [account for account in world.bank.accounts if account.captures]
    purchases = await _purchases(world)
    for account in accounts:
        assert len(account.captures) == 1, f"{account.reference} was captured {len(account.captures)} times"
        applied_at = world.cars.entry(purchases[account.reference]["activation_id"]).applied_at
        assert applied_at is not None, f"charged without activation: {dict(purchases[account.reference])}"


async def assert_books_are_sound(world: World) -> None:
    """PAY-4 and RCN-6, at every instant: the audit log is whole, and every entry of the ledger balances."""
    async with world.processes["payments"].runtime.transaction(Cause.of_person("auditor")) as tx:
        assert (await verify_audit_log(tx)).broken == [], "the audit log is broken"
    assert not await world.processes["reconciliation"].rows(_UNBALANCED), "the ledger does not balance"


async def assert_rest_is_just(world: World) -> None:
    """What holds when everything has ended: orders, cars, payments, gateway and ledger tell one story."""
    await _assert_nothing_parked(world)
    await _assert_purchases_ended_well(world)
    await _assert_payments_agree(world)
    await _assert_money_is_accounted_for(world)
    await _assert_everybody_was_told(world)


async def _assert_nothing_parked(world: World) -> None:
    for name in SERVICES:
        parked = await world.processes[name].rows(_PARKED)
        assert not parked, f"{name} has parked {[dict(row) for row in parked]}"


async def _assert_purchases_ended_well(world: World) -> None:
    purchases = await _purchases(world)
    assert len(purchases) == len(world.bought)
    kept = {account.reference: account for account in world.bank.accounts if account.kept_minor}
    written_off = {row["id"] for row in await _payments(world) if row["status"] == "SETTLEMENT_FAILED"}
    for payment_id, purchase in purchases.items():
        story = f"{dict(purchase)}, kept {payment_id in kept}, written off {payment_id in written_off}"
        world.happened[purchase["status"]] += 1
        assert purchase["status"] in ("active", "failed", "declined", "blocked", "cancelled"), f"no end: {story}"
        entry = world.cars.entry(purchase["activation_id"])
        active = entry.active
        world.happened["applied and taken out again"] += entry.deactivated_at is not None
        assert active == (purchase["status"] == "active"), f"in the car: {active}, {story}"
        assert active == (payment_id in kept or payment_id in written_off), f"in the car: {active}, {story}"
        assert not (payment_id in kept and payment_id in written_off), story


async def _assert_payments_agree(world: World) -> None:
    theirs = _by_reference(world)
    for row in await _payments(world):
        accounts = theirs.get(row["id"], [])
        kept = captured_minor(accounts)
        world.happened[f"payment {row['status']}"] += 1
        assert row["captured_minor"] - row["refunded_minor"] == kept, f"ours {dict(row)}, theirs {accounts}"
        assert row["status"] in ("SETTLED", "SETTLEMENT_FAILED", "VOIDED", "FAILED", "ABANDONED"), dict(row)
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
    cases = await books.rows("SELECT kind, detail FROM discrepancy_case WHERE status <> 'resolved'")
    assert not cases, [dict(case) for case in cases]


async def _assert_everybody_was_told(world: World) -> None:
    """NOT-1 and INV-1: one invoice for each sale that was paid, one letter for each end, and no other."""
    invoiced = Counter(row["id"] for row in await world.processes["billing"].rows(
        "SELECT payment_id::text AS id FROM invoice"))  # fmt: skip
    paid = {account.reference for account in world.bank.accounts if account.kept_minor}
    assert invoiced == Counter(paid), "not one invoice for each paid sale"
    told = await world.processes["orders"].rows(
        "SELECT purchase_id::text AS id, kind, state FROM notifications WHERE kind <> 'invoice_issued'"
    )
    assert Counter(row["id"] for row in told) == Counter((await _by_id(world)).keys()), "not one letter for each end"
    assert all(row["state"] == "sent" for row in told)


async def _purchases(world: World) -> Mapping[str, Any]:
    """By payment."""
    return {row["payment_id"]: row for row in await world.processes["orders"].rows(_PURCHASES)}


async def _by_id(world: World) -> Mapping[str, Any]:
    return {row["purchase_id"]: row for row in await world.processes["orders"].rows(_PURCHASES)}


async def _payments(world: World) -> list[Any]:
    return list(await world.processes["payments"].rows(_PAYMENTS))


def _by_reference(world: World) -> dict[str, list[Account]]:
    theirs: dict[str, list[Account]] = {}
    for account in world.bank.accounts:
        theirs.setdefault(account.reference, []).append(account)
    return theirs
