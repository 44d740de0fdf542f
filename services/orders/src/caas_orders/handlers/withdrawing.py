"""The customer's withdrawal in its two steps (DES-7), and what payments and ota say about it afterwards (DES-4)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID
from zoneinfo import ZoneInfo

from caas_chassis.handling import Received
from caas_chassis.timers import DueTimer
from caas_chassis.transaction import Tx
from caas_contracts.ota import ServiceDeactivated
from caas_contracts.payments import PaymentRefunded
from caas_contracts.purchase_life import RefundDelayed
from caas_orders.domain import withdrawing
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.status import MoneyOutcome, PurchaseStatus
from caas_orders.domain.withdrawing import Right, Withdrawal, right_of
from caas_orders.gateway.letters import Fact, local_second
from caas_orders.handlers.amending import Caused, amend, amend_each, write
from caas_orders.handlers.deadlines import REFUND_PAUSE, REFUND_TIMER
from caas_orders.handlers.telling import Notice, tell
from caas_orders.store import purchases, withdrawals


@dataclass(frozen=True, slots=True)
class Standing:
    """A purchase, what its customer may do, and the withdrawal, if one was declared."""

    purchase: Purchase
    right: Right
    withdrawal: Withdrawal | None


async def standing_of(purchase: Purchase, zone: ZoneInfo, *, tx: Tx) -> Standing:
    """Whether a purchase can be withdrawn from, and where its withdrawal stands. Tells nobody."""
    known = await withdrawals.of_purchases([purchase.purchase_id], tx=tx)
    return Standing(purchase, right_of(purchase, zone, tx.now), known.get(purchase.purchase_id))


async def declare(purchase_id: UUID, zone: ZoneInfo, *, tx: Tx) -> Standing | Refusal:
    """The first step: stored as promised. Asked again, the same declaration; refused, the customer is told (DES-5)."""
    purchase = (await purchases.lock([purchase_id], tx=tx))[purchase_id]
    right = right_of(purchase, zone, tx.now)
    if purchase.withdrawal_id is None and right.objection is not None:
        return await _refused(purchase, right.objection, tx)
    await withdrawals.declare(withdrawing.declared(purchase, tx.now), tx=tx)
    return await standing_of(purchase, zone, tx=tx)


async def confirm(purchase_id: UUID, withdrawal_id: UUID, zone: ZoneInfo, *, tx: Tx) -> Standing | Refusal:
    """The second step: the withdrawal is begun, once (DES-6), and receipted (DES-7). Too late is told (DES-5)."""
    purchase = (await purchases.lock([purchase_id], tx=tx))[purchase_id]
    declared = (await withdrawals.of_purchases([purchase_id], tx=tx)).get(purchase_id)
    if declared is None or declared.withdrawal_id != withdrawal_id:
        return Refusal(RefusalCode.WITHDRAWAL_NOT_FOUND, f"purchase {purchase_id} has no withdrawal {withdrawal_id}")
    if purchase.withdrawal_id is None:
        right = right_of(purchase, zone, tx.now)
        if right.objection is not None:
            return await _refused(purchase, right.objection, tx)
        purchase = await _begin(purchase, declared, tx)
    return await standing_of(purchase, zone, tx=tx)


async def finish_refunded(received: Sequence[Received[PaymentRefunded]], *, tx: Tx) -> None:
    """DES-4: the money of a withdrawn purchase is back."""
    await amend(
        received,
        lambda event: event.subject_id,
        lambda purchase, event: withdrawing.refund_made(purchase, event.refund_id, event.refunded_total, tx.now),
        tx=tx,
    )


async def ask_again(due: Sequence[DueTimer], *, tx: Tx) -> None:
    """DES-4: refunds that payments has not made yet are asked for again, until they are made."""
    facts = [(UUID(timer.key), timer, timer.cause) for timer in due]
    locked = await purchases.lock(sorted(purchase_id for purchase_id, _, _ in facts), tx=tx)
    for purchase_id, timer, cause in facts:
        if locked[purchase_id].status is PurchaseStatus.WITHDRAWING:
            tx.schedule(REFUND_TIMER, timer.key, tx.now + REFUND_PAUSE, cause=cause)
    await amend_each(facts, lambda purchase, _: withdrawing.refund_asked_again(purchase, tx.now), tx=tx)


async def note_deactivated(received: Sequence[Received[ServiceDeactivated]], *, tx: Tx) -> None:
    """OTA-4: the car has taken the service out; a withdrawal may be done with it."""
    await amend(
        received,
        lambda event: event.purchase_id,
        lambda purchase, event: withdrawing.car_answered(purchase, event.occurred_at, tx.now),
        tx=tx,
    )


async def note_delayed(received: Sequence[Received[RefundDelayed]], *, tx: Tx) -> None:
    """The gateway has not made a refund yet: the customer sees it, and is told once; payments pursues it."""
    ids = sorted({one.message.subject_id for one in received})
    owing = await purchases.lock(ids, tx=tx)
    known = await withdrawals.of_purchases(ids, tx=tx)
    delayed = [one for one in received if _is_owed(owing.get(one.message.subject_id))]
    late = {one.message.subject_id for one in delayed}
    await withdrawals.save(
        [
            replace(one, refund_delayed_at=one.refund_delayed_at or tx.now)
            for key, one in known.items()
            if key in late and one.confirmed_at is not None
        ],
        tx=tx,
    )
    notices = [
        Notice(
            owing[one.message.subject_id],
            NoticeKind.REFUND_DELAYED,
            one.cause,
            {"outstanding": one.message.outstanding},
        )
        for one in delayed
    ]
    await tell(notices, tx=tx)


async def _begin(purchase: Purchase, declared: Withdrawal, tx: Tx) -> Purchase:
    confirmed = replace(declared, confirmed_at=tx.now, refund_due=withdrawing.refund_due(purchase))
    await withdrawals.save([confirmed], tx=tx)
    change = withdrawing.confirm(purchase, confirmed, tx.now)
    facts: dict[str, Fact] = {
        "withdrawal": str(confirmed.withdrawal_id),
        "declared_at": local_second(confirmed.declared_at),
        "confirmed_at": local_second(tx.now),
        "refund": confirmed.refund_due,
        "is_refunded": "yes" if confirmed.refund_due.amount_minor else "",
    }
    await tell([Notice(change.purchase, NoticeKind.WITHDRAWAL_RECEIVED, tx.cause, facts)], tx=tx)
    await write({purchase.purchase_id: purchase}, [Caused(change, tx.cause)], tx=tx)
    return change.purchase


async def _refused(purchase: Purchase, objection: Refusal, tx: Tx) -> Refusal:
    """DES-5: each reason is told once."""
    facts: dict[str, Fact] = {"objection": objection.code}
    notice = Notice(purchase, NoticeKind.WITHDRAWAL_REFUSED, tx.cause, facts, occasion=objection.code)
    await tell([notice], tx=tx)
    return objection


def _is_owed(purchase: Purchase | None) -> bool:
    return purchase is not None and purchase.money is not MoneyOutcome.REFUNDED
