"""The payments that one transaction works on, and everything that follows from what happens to them.

Invariant: however many payments and facts, `write` executes a constant number of statements, and nothing
of a batch is written, published or enqueued apart from the rest.
"""

import random
from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Final, Self, assert_never
from uuid import UUID

from caas_chassis.cause import Cause
from caas_chassis.errors import Refused
from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_payments.domain.attempt import Attempt, AttemptState, Step
from caas_payments.domain.audit import AuditEntry, AuditKind
from caas_payments.domain.events import anchored
from caas_payments.domain.payment import (
    ActionAsked,
    ActionDeadline,
    Alerted,
    Asked,
    Cancelling,
    Captured,
    Change,
    Deadline,
    Dropped,
    Froze,
    HeldUp,
    Moved,
    Owed,
    Payment,
    Proof,
    Proved,
    Record,
    Rejected,
    Ruled,
    Thawed,
    Told,
    Word,
    Worked,
)
from caas_payments.domain.refund import Refund, RefundState
from caas_payments.gateway import GatewayTask
from caas_payments.store import actions, attempts, audit, calls, cases, payments, proofs, refunds, risk
from caas_payments.store.actions import NewAction
from caas_payments.store.calls import NewCall
from caas_payments.store.cases import ClosedCase, NewCase
from caas_payments.store.risk import RiskInputs

GATEWAY_EFFECT: Final = "gateway"
HOLD_DEADLINE: Final = "hold-deadline"
ACTION_DEADLINE: Final = "action-deadline"


class Batch:
    """Locked payments, their changes in order, and one `write` at the end."""

    def __init__(self, tx: Tx, locked: Iterable[Payment], jitter: float) -> None:
        self._tx = tx
        self._jitter = jitter
        self._payments = {payment.id: payment for payment in locked}
        self._created: set[UUID] = set()
        self._inputs: list[RiskInputs] = []
        self._changed: set[UUID] = set()
        self._proofs: list[Proof] = []
        self._captures: list[tuple[UUID, Captured]] = []
        self._owed: list[Refund] = []
        self._dropped: list[UUID] = []
        self._held_up: dict[UUID, HeldUp] = {}
        self._attempts: dict[tuple[UUID, int], Attempt] = {}
        self._opened: set[tuple[UUID, int]] = set()
        self._audit: list[AuditEntry] = []
        self._calls: list[NewCall] = []
        self._pauses: dict[tuple[UUID, int], timedelta] = {}
        self._frozen: list[NewCase] = []
        self._thawed: list[ClosedCase] = []
        self._actions: list[NewAction] = []
        self._cancelling: list[UUID] = []

    @classmethod
    async def lock(cls, tx: Tx, payment_ids: Collection[UUID], jitter: float) -> Self:
        """The payments with these ids, locked behind every other transaction that writes the audit log."""
        await audit.lock_audit_head(tx)
        locked = await payments.lock_payments(tx, payment_ids) if payment_ids else {}
        return cls(tx, locked.values(), jitter)

    def find(self, payment_id: UUID) -> Payment | None:
        """The payment as this transaction has changed it so far."""
        return self._payments.get(payment_id)

    def require(self, payment_id: UUID) -> Payment:
        """Raises Refused for a payment that does not exist: the message is parked for a person to look at."""
        payment = self._payments.get(payment_id)
        if payment is None:
            raise Refused("unknown_payment", f"there is no payment {payment_id}: compare its sender's records")
        return payment

    def create(self, change: Change, inputs: RiskInputs, cause: Cause) -> None:
        """A payment that this transaction creates, and what its delivery decision was taken from (RSK-2)."""
        self._created.add(change.payment.id)
        self._inputs.append(inputs)
        self.apply(change, cause)

    def apply(self, change: Change, cause: Cause) -> None:
        """What happened to a payment, because of `cause`."""
        payment = change.payment
        if self._payments.get(payment.id) is not payment:
            self._payments[payment.id] = payment
            self._changed.add(payment.id)
        for fact in change.facts:
            if isinstance(fact, Told | Asked | Deadline | ActionDeadline | Alerted):
                self._tell(payment, fact, cause)
            else:
                self._keep(payment, fact, cause)

    def remember(self, payment_id: UUID, number: int, step: Step, result: str) -> None:
        """A question that ended, after `apply` of what followed from it."""
        pause = self._pauses.pop((payment_id, number), None)
        retry_in_ms = None if pause is None else round(pause / timedelta(milliseconds=1))
        self._calls.append(
            NewCall(payment_id=payment_id, number=number, step=step, result=result[:200], retry_in_ms=retry_in_ms)
        )

    def hint(self, payment: Payment, cause: Cause) -> None:
        """Look the payment up at the gateway beside whatever is under way."""
        task = _task(payment, payment.attempt, Step.HINT)
        self._tx.enqueue(GATEWAY_EFFECT, task, key=f"{payment.id}:hint", cause=cause)

    async def write(self) -> None:
        """Write everything, in the order that the foreign keys and the open-attempt index need."""
        tx = self._tx
        if self._created:
            await payments.insert_payments(tx, [self._payments[name] for name in sorted(self._created)])
            await risk.insert_inputs(tx, self._inputs)
        updated = sorted(self._changed - self._created)
        if updated:
            await payments.update_payments(tx, [self._payments[name] for name in updated])
        if self._proofs:
            await proofs.insert_proofs(tx, self._proofs)
        for owed in self._owed:
            await refunds.insert_refund(tx, owed)
        await self._write_attempts()
        if self._actions:
            await actions.insert_actions(tx, self._actions)
        if self._cancelling:
            await actions.mark_cancelling(tx, self._cancelling)
        await self._write_history()
        if self._captures:
            await proofs.insert_captures(tx, self._captures)
        if self._audit:
            anchor = await audit.append_audit(tx, self._audit)
            if anchor is not None:
                tx.publish(anchored(anchor, tx.now))

    async def _write_attempts(self) -> None:
        worked = [attempt for key, attempt in self._attempts.items() if key not in self._opened]
        if worked:
            await attempts.update_attempts(self._tx, worked)
        opened = [self._attempts[key] for key in self._attempts if key in self._opened]
        if opened:
            await attempts.insert_attempts(self._tx, opened)
        resolved = {
            attempt.refund_id: RefundState.SUCCEEDED
            for attempt in self._attempts.values()
            if attempt.refund_id is not None and attempt.state is AttemptState.SUCCEEDED
        } | dict.fromkeys(self._dropped, RefundState.REFUSED)
        if self._held_up:
            await refunds.hold_up(self._tx, list(self._held_up.values()))
        if resolved:
            await refunds.resolve_refunds(self._tx, resolved)

    async def _write_history(self) -> None:
        if self._calls:
            await calls.insert_calls(self._tx, self._calls)
        if self._thawed:
            await cases.close_cases(self._tx, self._thawed)
        if self._frozen:
            await cases.open_cases(self._tx, self._frozen)

    def _keep(self, payment: Payment, record: Record, cause: Cause) -> None:
        match record:
            case Worked(attempt, opened):
                key = (attempt.payment_id, attempt.number)
                self._attempts[key] = attempt
                if opened:
                    self._opened.add(key)
            case Moved() | Rejected() | Ruled():
                self._write_down(payment, record, cause)
            case Froze() | Thawed():
                self._keep_case(payment, record, cause)
            case ActionAsked() | Cancelling():
                self._keep_action(payment, record)
            case Proved(proof):
                self._proofs.append(proof)
            case Captured() as captured:
                self._captures.append((payment.id, captured))
            case Owed() | Dropped() | HeldUp():
                self._keep_refund(payment, record)
            case _:
                assert_never(record)

    def _keep_refund(self, payment: Payment, record: Owed | Dropped | HeldUp) -> None:
        match record:
            case Dropped(refund_id):
                self._dropped.append(refund_id)
            case HeldUp(refund_id):
                self._held_up[refund_id] = record
            case Owed(refund_id, amount_minor, reason, verdict):
                owed = Refund(
                    id=refund_id,
                    payment_id=payment.id,
                    amount_minor=amount_minor,
                    reason=reason,
                    requested_at=self._tx.now,
                    proof=verdict,
                )
                self._owed.append(owed)
            case _:
                assert_never(record)

    def _keep_case(self, payment: Payment, record: Froze | Thawed, cause: Cause) -> None:
        match record:
            case Froze(number, reason):
                self._frozen.append(NewCase(id=new_id(), payment_id=payment.id, number=number, reason=reason))
            case Thawed(number, found):
                closed = ClosedCase(payment_id=payment.id, number=number, resolution=found, actor=cause.actor)
                self._thawed.append(closed)
            case _:
                assert_never(record)

    def _keep_action(self, payment: Payment, record: ActionAsked | Cancelling) -> None:
        match record:
            case ActionAsked(action, secret_hash):
                self._actions.append(NewAction(payment.id, action, secret_hash))
            case Cancelling():
                self._cancelling.append(payment.id)
            case _:
                assert_never(record)

    def _tell(self, payment: Payment, word: Word, cause: Cause) -> None:
        match word:
            case Told(message):
                self._tx.publish(message, cause=cause)
            case Asked(step, delay):
                task = _task(payment, payment.attempt, step)
                pause = delay * (1 + random.uniform(0, self._jitter))
                key = f"{payment.id}:{task.number}"
                self._pauses[payment.id, task.number] = pause
                self._tx.enqueue(GATEWAY_EFFECT, task, key=key, delay=pause, cause=cause)
            case Deadline(due_at):
                self._tx.schedule(HOLD_DEADLINE, str(payment.id), due_at, cause=cause)
            case ActionDeadline(due_at):
                self._tx.schedule(ACTION_DEADLINE, str(payment.id), due_at, cause=cause)
            case Alerted(kind, detail):
                self._tx.alert(kind, str(payment.id), detail, cause=cause)
            case _:
                assert_never(word)

    def _write_down(self, payment: Payment, record: Moved | Rejected | Ruled, cause: Cause) -> None:
        kind, source, target, reason = _audited(record)
        self._audit.append(
            AuditEntry(
                payment_id=payment.id,
                at=self._tx.now,
                kind=kind,
                source=source,
                target=target,
                reason=reason,
                cause_id=cause.message_id,
                correlation_id=cause.correlation_id,
                actor=cause.actor,
            )
        )


def _audited(record: Moved | Rejected | Ruled) -> tuple[AuditKind, str, str, str]:
    match record:
        case Moved(source, target, reason):
            return AuditKind.TRANSITION, source, target, reason
        case Rejected(status, wanted, reason):
            return AuditKind.REJECTION, status, wanted, reason
        case Ruled(status, outcome, note):
            return AuditKind.RULING, status, outcome, note
        case _:
            assert_never(record)


def _task(payment: Payment, attempt: Attempt | None, step: Step) -> GatewayTask:
    """The question to the gateway; a hint needs no attempt, it only reads."""
    return GatewayTask(
        payment_id=payment.id,
        number=attempt.number if attempt and step is not Step.HINT else 0,
        step=step,
        operation=attempt.operation if attempt else None,
        idempotency_key=_key(attempt, step) if attempt else "",
        amount_minor=attempt.amount_minor if attempt else 0,
        currency=payment.currency,
        payment_method=payment.intent.payment_method,
        transaction_id=payment.transaction_id or (payment.action.transaction_id if payment.action else ""),
        refund_id=attempt.refund_id if attempt else None,
        opened_at=attempt.opened_at if attempt else None,
        merchant_initiated=not payment.intent.customer_present,
    )


def _key(attempt: Attempt, step: Step) -> str:
    """A cancellation is another request than what it cancels, and has the same key whenever it is repeated (GW-3)."""
    return f"{attempt.idempotency_key}:cancel" if step is Step.CANCEL else attempt.idempotency_key
