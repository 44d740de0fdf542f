"""Renewing purchases (REC-1 to REC-4): charging periods when they are due, and what payments says of them.

Purchases are locked before their recurrences are read, so that a renewal and a cancellation come one after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.timers import DueTimer
from caas_chassis.transaction import Tx
from caas_contracts.payments import (
    PaymentAbandoned,
    PaymentActionRequired,
    PaymentConfirmed,
    PaymentEvent,
    PaymentFailed,
)
from caas_orders.domain.purchase import CANCELLED_BY_CUSTOMER, Purchase
from caas_orders.domain.recurring import (
    Recurrence,
    RecurrenceChange,
    Renewal,
    begin_recurrence,
    confirmation_needed,
    end_recurrence,
    renewal_abandoned,
    renewal_due,
    renewal_failed,
    renewal_paid,
)
from caas_orders.gateway.letters import Fact, local_time
from caas_orders.handlers.deadlines import set_recurrence_deadline
from caas_orders.handlers.telling import LINK, Notice, tell
from caas_orders.store import purchases, recurrences


@dataclass(frozen=True, slots=True)
class _Told:
    """A fact about a recurrence: whose, the renewal it is about, and its message where its letter needs it."""

    purchase_id: UUID
    cause: Cause
    renewal: Renewal | None = None
    message: PaymentEvent | None = None


type _Verb = Callable[[Purchase, Recurrence, _Told], RecurrenceChange]


async def renew_due(due: Sequence[DueTimer], *, tx: Tx) -> None:
    """REC-1: the next periods of these purchases are charged."""
    told = [_Told(UUID(timer.key), timer.cause) for timer in due]
    await _amend(told, lambda purchase, recurrence, _: renewal_due(purchase, recurrence, tx.now), tx=tx)


async def confirm_renewals(received: Sequence[Received[PaymentConfirmed]], *, tx: Tx) -> None:
    """REC-1: a further period is paid, and so it is the customer's."""

    def paid(purchase: Purchase, recurrence: Recurrence, told: _Told) -> RecurrenceChange:
        return renewal_paid(purchase, recurrence, _renewal(told), tx.now)

    await _amend(await _of_renewals(received, tx=tx), paid, tx=tx)


async def fail_renewals(received: Sequence[Received[PaymentFailed]], *, tx: Tx) -> None:
    """REC-3: declined: no further period; the paid one is kept."""
    reasons = {one.message.payment_id: one.message.reason for one in received}

    def failed(purchase: Purchase, recurrence: Recurrence, told: _Told) -> RecurrenceChange:
        renewal = _renewal(told)
        return renewal_failed(purchase, recurrence, renewal, reasons[renewal.payment_id], tx.now)

    await _amend(await _of_renewals(received, tx=tx), failed, tx=tx)


async def abandon_renewals(received: Sequence[Received[PaymentAbandoned]], *, tx: Tx) -> None:
    """The gateway could not be reached: tried again while the paid period lasts."""

    def abandoned(purchase: Purchase, recurrence: Recurrence, told: _Told) -> RecurrenceChange:
        return renewal_abandoned(purchase, recurrence, _renewal(told), tx.now)

    await _amend(await _of_renewals(received, tx=tx), abandoned, tx=tx)


async def tell_renewal_needed(received: Sequence[Received[PaymentActionRequired]], *, tx: Tx) -> None:
    """PAY-9: the bank wants to hear from the customer about a further period; the link is in the mail alone."""

    def needed(purchase: Purchase, recurrence: Recurrence, told: _Told) -> RecurrenceChange:
        return confirmation_needed(purchase, recurrence, _renewal(told))

    await _amend(await _of_renewals(received, tx=tx), needed, tx=tx)


async def begin_recurrences(began: Sequence[tuple[Purchase, Cause]], *, tx: Tx) -> None:
    """REC-1: these purchases have just become active, and will renew themselves."""
    changes = [(begin_recurrence(purchase, tx.now), cause) for purchase, cause in began]
    await recurrences.insert([change.recurrence for change, _ in changes], tx=tx)
    await _announce([(change, _Told(change.purchase.purchase_id, cause)) for change, cause in changes], tx=tx)


async def end_recurrences(
    purchase_ids: Sequence[UUID], cause: Cause, *, reason: str = CANCELLED_BY_CUSTOMER, tx: Tx
) -> dict[UUID, Purchase]:
    """REC-2, THF-2: stop what recurs; the running period is kept. Returns the purchases; others are left out."""
    told = [_Told(purchase_id, cause) for purchase_id in purchase_ids]
    return await _amend(
        told, lambda purchase, recurrence, _: end_recurrence(purchase, recurrence, tx.now, reason), tx=tx
    )


async def _amend(told: Sequence[_Told], verb: _Verb, *, tx: Tx) -> dict[UUID, Purchase]:
    if not told:
        return {}
    locked = await purchases.lock(sorted({one.purchase_id for one in told}), tx=tx)
    known = await recurrences.read(list(locked), tx=tx)
    present, running = dict(locked), dict(known)
    renewals: dict[UUID, Renewal] = {}
    changes: list[tuple[RecurrenceChange, _Told]] = []
    for one in [one for one in told if one.purchase_id in running]:
        change = verb(present[one.purchase_id], running[one.purchase_id], _after(one, renewals))
        present[one.purchase_id], running[one.purchase_id] = change.purchase, change.recurrence
        if change.renewal is not None:
            renewals[change.renewal.payment_id] = change.renewal
        changes.append((change, one))
    changed = [purchase for key, purchase in present.items() if purchase is not locked[key]]
    if changed:
        await purchases.save(changed, tx=tx)
    moved = [recurrence for key, recurrence in running.items() if recurrence is not known[key]]
    if moved:
        await recurrences.save(moved, tx=tx)
    if renewals:
        await recurrences.save_renewals(list(renewals.values()), tx=tx)
    await _announce([(c, one) for c, one in changes if c.messages or c.renewal or c.notice], tx=tx)
    return {key: present[key] for key in running}


def _after(told: _Told, renewals: Mapping[UUID, Renewal]) -> _Told:
    """The fact with its renewal as earlier facts of the batch have left it."""
    known = None if told.renewal is None else renewals.get(told.renewal.payment_id)
    return told if known is None else replace(told, renewal=known)


async def _announce(changes: Sequence[tuple[RecurrenceChange, _Told]], *, tx: Tx) -> None:
    for change, told in changes:
        for message in change.messages:
            tx.publish(message, cause=told.cause)
        set_recurrence_deadline(change.purchase, change.recurrence, told.cause, tx=tx)
    await tell([_notice(change, told) for change, told in changes if change.notice is not None], tx=tx)


def _notice(change: RecurrenceChange, told: _Told) -> Notice:
    assert change.notice is not None
    facts, renewal = _facts(change, told), change.renewal
    occasion = "" if renewal is None else f"{renewal.period_number}:{renewal.attempt}"
    return Notice(change.purchase, change.notice, told.cause, facts, occasion, mailed_only=LINK)


def _facts(change: RecurrenceChange, told: _Told) -> dict[str, Fact]:
    zone, renewal = change.purchase.time_zone, change.renewal
    facts: dict[str, Fact] = {"stopped": change.recurrence.reason}
    if renewal is not None:
        facts["period_from"] = local_time(renewal.period_from, zone)
        facts["period_to"] = local_time(renewal.period_to, zone)
        facts["stopped"] = renewal.reason or change.recurrence.reason
    if isinstance(told.message, PaymentActionRequired):
        facts[LINK] = told.message.action_url
        facts["expires_at"] = local_time(told.message.expires_at, zone)
    return facts


async def _of_renewals[M: PaymentEvent](received: Sequence[Received[M]], *, tx: Tx) -> list[_Told]:
    """Which of these facts are about further periods. An outcome that is told again finds its renewal known."""
    if not received:
        return []
    payment_ids = [one.message.payment_id for one in received]
    renewals = await recurrences.renewals(payment_ids, tx=tx)
    return [
        _Told(renewal.purchase_id, one.cause, renewal, one.message)
        for one in received
        if (renewal := renewals.get(one.message.payment_id)) is not None
    ]


def _renewal(told: _Told) -> Renewal:
    if told.renewal is None:
        raise AssertionError(f"a fact about purchase {told.purchase_id} names no renewal")
    return told.renewal
