"""What the facts of payments, the schedule and customers make of monthly invoices (SUB-6, PAY-3, PAY-9).

Subscriptions are locked first, in the order of their ids, then what they owe: everything about one invoice takes
turns, and an attempt commits with the command that asks for it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self
from uuid import UUID

from caas_billing.domain import dunning
from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.domain.dunning import Case, CaseChange
from caas_billing.domain.receivable import Attempt, Receivable, ReceivableStatus
from caas_billing.domain.subscription import Standing, Terms
from caas_billing.errors import ChargeNotAsAgreed, UnknownCharge
from caas_billing.store import receivables, subscriptions
from caas_chassis.cause import Cause
from caas_chassis.handling import Received
from caas_chassis.ids import new_id
from caas_chassis.timers import DueTimer, TimerHandler
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertKind
from caas_contracts.ota import DeactivationDelayed, ServiceDeactivated
from caas_contracts.payments import (
    PaymentAbandoned,
    PaymentActionRequired,
    PaymentConfirmed,
    PaymentEvent,
    PaymentFailed,
    PaymentPurpose,
)

DUNNING_TIMER: Final = "dunning"
"""Keyed by the invoice; fires when the next attempt at it is due."""


@dataclass(slots=True)
class Book:
    """Locked subscriptions with what they owe, as they become in this transaction."""

    terms: dict[UUID, Terms]
    standings: dict[UUID, Standing]
    receivables: dict[UUID, Receivable]
    changes: list[tuple[CaseChange, Cause]] = field(default_factory=list)
    _invoices: dict[UUID, list[UUID]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.receivables.values():
            self._invoices.setdefault(one.subscription_id, []).append(one.invoice_id)

    @classmethod
    async def open(
        cls, subscription_ids: Collection[UUID], invoice_ids: Collection[UUID], *, tx: Tx, free_only: bool = False
    ) -> Self:
        """Lock these subscriptions, their unpaid invoices and these invoices; `free_only` leaves out who is busy."""
        standings = await subscriptions.lock_standings(tx, subscription_ids, free_only=free_only)
        owed = await receivables.lock_receivables(tx, standings, invoice_ids)
        return cls(await subscriptions.find_terms(tx, standings), standings, owed)

    def case(self, invoice_id: UUID) -> Case:
        """An invoice as it is now in this transaction."""
        one = self.receivables[invoice_id]
        siblings = [self.receivables[each] for each in self._invoices[one.subscription_id] if each != invoice_id]
        others = [each.status for each in siblings if each.status is not ReceivableStatus.PAID]
        return Case(
            terms=self.terms[one.subscription_id],
            standing=self.standings[one.subscription_id],
            receivable=one,
            others=others,
        )

    def apply(self, change: CaseChange, cause: Cause) -> None:
        """Take a change over; it is written by `save`."""
        self.receivables[change.case.receivable.invoice_id] = change.case.receivable
        self.standings[change.case.standing.subscription_id] = change.case.standing
        self.changes.append((change, cause))

    async def save(self, *, tx: Tx) -> None:
        """Write what changed, publish, alert, and set the next attempts."""
        changes = [change for change, _ in self.changes]
        touched = {change.case.receivable.invoice_id for change in changes}
        owed = [self.receivables[invoice_id] for invoice_id in touched]
        await subscriptions.save_standings(tx, [self.standings[name] for name in {one.subscription_id for one in owed}])
        await receivables.save_receivables(tx, owed)
        await receivables.add_attempts(tx, [change.attempt for change in changes if change.attempt])
        await receivables.add_outcomes(tx, [change.outcome for change in changes if change.outcome], tx.now)
        await receivables.add_actions(tx, [change.action for change in changes if change.action], tx.now)
        await self._save_ends(changes, tx=tx)
        for change, cause in self.changes:
            _announce(change, cause, tx)
            _set_timer(self.receivables[change.case.receivable.invoice_id], cause, tx)

    async def _save_ends(self, changes: Sequence[CaseChange], *, tx: Tx) -> None:
        cases = [(change, change.case.receivable) for change in changes]
        opened = [(one.collection_id, one.invoice_id) for change, one in cases if change.opened and one.collection_id]
        settled = [(one.invoice_id, change.settled_by) for change, one in cases if change.settled_by]
        ended = [(change.deactivation_id, one.subscription_id) for change, one in cases if change.deactivation_id]
        await receivables.open_collections(tx, opened, tx.now)
        await receivables.settle_collections(tx, settled, tx.now)
        await receivables.add_service_ends(tx, ended, tx.now)


async def confirm_charges(received: Sequence[Received[PaymentConfirmed]], *, tx: Tx) -> None:
    """The money was taken: the invoice is paid, whatever was thought of this attempt before."""

    def confirmed(case: Case, attempt: Attempt, event: PaymentConfirmed) -> CaseChange:
        if event.amount != case.receivable.amount:
            raise ChargeNotAsAgreed(event.payment_id, case.receivable.invoice_number)
        return dunning.confirm(case, attempt, event.payment_id, event.amount, tx.now)

    await _follow(received, confirmed, tx=tx)


async def fail_charges(received: Sequence[Received[PaymentFailed]], *, tx: Tx, policy: BillingPolicy) -> None:
    """Refused: charged again on the schedule, by a link for the customer, or given to collections (SUB-6, PAY-9)."""

    def failed(case: Case, attempt: Attempt, event: PaymentFailed) -> CaseChange:
        return dunning.fail(case, attempt, event.reason, new_id(), policy, tx.now)

    await _follow(received, failed, tx=tx)


async def abandon_charges(received: Sequence[Received[PaymentAbandoned]], *, tx: Tx, policy: BillingPolicy) -> None:
    """The gateway was out of reach: the same step again soon."""

    def abandoned(case: Case, attempt: Attempt, event: PaymentAbandoned) -> CaseChange:
        return dunning.abandon(case, attempt, event.reason, policy, tx.now)

    await _follow(received, abandoned, tx=tx)


async def ask_customers(received: Sequence[Received[PaymentActionRequired]], *, tx: Tx) -> None:
    """The bank wants to hear from the customer, who is told where (PAY-9)."""

    def asked(case: Case, attempt: Attempt, event: PaymentActionRequired) -> CaseChange:
        return dunning.wait_for_customer(case, attempt, event.action_url, event.expires_at, tx.now)

    await _follow(received, asked, tx=tx)


async def charge_due(due: Sequence[DueTimer], *, tx: Tx, policy: BillingPolicy) -> None:
    """The schedule's next attempts (SUB-6).

    Timers are locked here before subscriptions, everywhere else after them. So nobody is waited for: an invoice
    about which something else is being done now is looked at again in a moment.
    """
    causes = {UUID(timer.key): timer.cause for timer in due}
    owners = await receivables.find_owners(tx, causes)
    book = await Book.open(set(owners.values()), owners, tx=tx, free_only=True)
    for invoice_id, subscription_id in owners.items():
        if subscription_id not in book.standings:
            tx.schedule(DUNNING_TIMER, str(invoice_id), tx.now, cause=causes[invoice_id])
            continue
        book.apply(dunning.charge_again(book.case(invoice_id), new_id(), policy, tx.now), causes[invoice_id])
    await book.save(tx=tx)


async def end_services(received: Sequence[Received[ServiceDeactivated]], *, tx: Tx) -> None:
    """The car has switched off what was not paid (SUB-6, OTA-4)."""
    await receivables.end_services(tx, [one.message.deactivation_id for one in received], tx.now)


async def follow_delayed_ends(received: Sequence[Received[DeactivationDelayed]], *, tx: Tx) -> None:
    """A car has not switched off what was not paid: ota goes on trying, a person looks (OTA-4, NOT-2)."""
    causes = {one.message.deactivation_id: one.cause for one in received}
    for name, subscription_id in (await receivables.delay_service_ends(tx, list(causes), tx.now)).items():
        detail = (
            f"subscription {subscription_id} was cancelled for non-payment, but its car has not switched it off yet"
        )
        tx.alert(AlertKind.DEACTIVATION_FAILED, str(subscription_id), detail, cause=causes[name])


async def _follow[E: PaymentEvent](
    received: Sequence[Received[E]], verb: Callable[[Case, Attempt, E], CaseChange], *, tx: Tx
) -> None:
    """Apply facts about payments of monthly invoices; those of other purposes are for others."""
    ours = [one for one in received if one.message.purpose is PaymentPurpose.SUBSCRIPTION]
    if not ours:
        return
    invoices = await receivables.find_payments(tx, [one.message.payment_id for one in ours])
    owners = await receivables.find_owners(tx, set(invoices.values()))
    book = await Book.open(set(owners.values()), owners, tx=tx)
    attempts = await receivables.find_attempts(tx, list(invoices))
    for one in ours:
        event = one.message
        if event.payment_id not in attempts:
            raise UnknownCharge(event.payment_id, event.subject_id)
        attempt = attempts[event.payment_id]
        book.apply(verb(book.case(attempt.invoice_id), attempt, event), one.cause)
    await book.save(tx=tx)


def receivable_key(invoice_id: UUID) -> str:
    """What an HTTP request that waits for the outcome of an attempt at this invoice listens to."""
    return f"receivable:{invoice_id}"


def _announce(change: CaseChange, cause: Cause, tx: Tx) -> None:
    receivable = change.case.receivable
    for message in change.messages:
        tx.publish(message, cause=cause)
    for kind, detail in change.alerts:
        tx.alert(kind, str(receivable.invoice_id), detail, cause=cause)
    if change.outcome or change.action:
        tx.notify(receivable_key(receivable.invoice_id))


def _set_timer(receivable: Receivable, cause: Cause, tx: Tx) -> None:
    key = str(receivable.invoice_id)
    if receivable.next_attempt_at is not None:
        tx.schedule(DUNNING_TIMER, key, receivable.next_attempt_at, cause=cause)
    else:
        tx.unschedule(DUNNING_TIMER, key)


def timers(policy: BillingPolicy) -> Mapping[str, TimerHandler]:
    """What the schedule fires."""
    return {DUNNING_TIMER: partial(charge_due, policy=policy)}
