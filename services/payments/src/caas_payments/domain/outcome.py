"""What follows from a gateway's answer, or from a person's word for it: the next state, or the next question.

Invariant: an attempt ends by an answer about it, never by time (GW-4); `ladder` says what is asked until then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from caas_contracts.operations import AlertKind
from caas_payments.domain import action, authorization, fence, ladder, refund, sale
from caas_payments.domain.attempt import Attempt, Operation, Step
from caas_payments.domain.gateway_result import Answered, GatewayResult, Transaction, TransactionStatus
from caas_payments.domain.payment import Change, Hold, Payment, Ruled, Sale, Terms
from caas_payments.domain.status import NEVER_HELD, PaymentStatus
from caas_payments.domain.verdict import (
    RELEASES,
    TOOK_MONEY,
    Absent,
    Declined,
    Done,
    Unclear,
    Verdict,
    Waiting,
    read_result,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of one question. `number` is the attempt that the question was about, 0 for a hint.

    `repeated`: a process that asked it before died, or stopped, without recording the answer.
    """

    payment_id: UUID
    number: int
    step: Step
    result: GatewayResult
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a person established about a frozen attempt; `transaction_id` is the gateway's."""

    happened: bool
    transaction_id: str
    note: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What an outcome is judged under: the terms, the business instant, a fresh id for a proof or a refund that
    it makes necessary, known refunds, and a fresh secret for a customer's link."""

    terms: Terms
    now: datetime
    proof_id: UUID
    refunds: Mapping[UUID, refund.Refund]
    secret: str = ""


def apply_report(payment: Payment, report: Report, given: Circumstances) -> Change:
    """The payment after a report. A report about an attempt that is closed by now changes nothing."""
    change = Change(payment)
    attempt = payment.attempt
    if attempt is None:
        return _orphan(change, report, given)
    if report.step is not Step.HINT and report.number != attempt.number:
        return change
    verdict = read_result(payment, attempt, report.step, report.result)
    if isinstance(verdict, Done) and action.is_doubtful(payment, attempt.operation):
        # Our own cancellation may release this hold any moment: only its release is believed.
        verdict = Unclear("hold_is_being_cancelled")
    match report.step:
        case Step.CALL:
            return _after_call(change, verdict, report, given)
        case Step.LOOK_UP:
            return _after_look_up(change, verdict, given)
        case Step.HINT:
            # A hint settles an attempt or says nothing: the attempt's own chain asks on.
            return _decided(change, verdict, given) if isinstance(verdict, Done | Declined) else change
        case Step.LAST_LOOK_UP:
            return _after_last_look_up(change, verdict, given)
        case Step.CANCEL:
            # Whatever the gateway answers, its record says whether the customer was faster (GW-4).
            return change.asking(Step.LAST_LOOK_UP)
        case _:
            assert_never(report.step)


def apply_ruling(payment: Payment, ruling: Ruling, given: Circumstances) -> Change:
    """The payment after a person's word on its frozen attempt: what the same answer of the gateway would do."""
    outcome = "happened" if ruling.happened else "never_happened"
    change = Change(payment).adding(Ruled(payment.status, outcome, ruling.note))
    if not ruling.happened:
        return ladder.believe_absence(change, outcome, given.now)
    return _decided(change, Done(_as_ruled(payment, change.attempt, ruling, given)), given)


def _after_call(change: Change, verdict: Verdict, report: Report, given: Circumstances) -> Change:
    attempt = replace(change.attempt, calls=change.attempt.calls + 1, called_at=given.now, misses=0)
    counted = authorization.resume(change.setting(replace(change.payment, attempt=attempt)))
    match verdict:
        case Absent(reason, retry_after_s) if not report.repeated:
            failed = authorization.suspend(counted.working(replace(attempt, last_result=reason)), reason)
            retry_after = timedelta(seconds=retry_after_s or 0)
            return ladder.call_failed(failed, reason, retry_after, given.now, given.terms.retries)
        case Absent(reason) | Unclear(reason):
            # What a dead process asked before it was asked again may have been done.
            return ladder.call_unclear(counted, reason)
        case Waiting():
            return _wait(counted.working(attempt), verdict, given)
        case Done() | Declined():
            return _decided(counted, verdict, given)
        case _:
            assert_never(verdict)


def _after_look_up(change: Change, verdict: Verdict, given: Circumstances) -> Change:
    retries = given.terms.retries
    match verdict:
        case Absent() | Unclear() if change.payment.status is PaymentStatus.PENDING:
            return change.asking(Step.LOOK_UP, retries.pending_poll)
        case Absent(reason):
            return ladder.found_nothing(change, reason, given.now, retries)
        case Unclear(reason):
            return ladder.found_no_answer(change, reason, given.now, retries)
        case Waiting():
            return _wait(authorization.resume(ladder.thaw(change, "pending")), verdict, given)
        case Done() | Declined():
            return _decided(change, verdict, given)
        case _:
            assert_never(verdict)


def _after_last_look_up(change: Change, verdict: Verdict, given: Circumstances) -> Change:
    match verdict:
        case Done() | Declined():
            return _decided(change, verdict, given)
        case Waiting():
            return action.give_up(change, given.terms, given.now)
        case Unclear() if action.is_doubtful(change.payment, change.attempt.operation):
            return action.give_up(change, given.terms, given.now)
        case Absent() | Unclear():
            return change.asking(Step.LAST_LOOK_UP, given.terms.retries.pending_poll)
        case _:
            assert_never(verdict)


def _wait(change: Change, waiting: Waiting, given: Circumstances) -> Change:
    """Decided later: a webhook will hint at it, and polling loses nothing without one."""
    pending = authorization.await_decision(change)
    pending = action.ask_customer(pending, waiting.transaction, given.secret, given.terms, given.now)
    retries = given.terms.retries
    return pending.asking(Step.LOOK_UP, retries.action_poll if pending.payment.action else retries.pending_poll)


def _decided(change: Change, verdict: Done | Declined, given: Circumstances) -> Change:
    change = authorization.resume(change)
    match verdict:
        case Done(transaction):
            return _succeeded(change, change.attempt, transaction, given)
        case Declined(code):
            return _declined(change, code, given)
        case _:
            assert_never(verdict)


def _succeeded(change: Change, attempt: Attempt, transaction: Transaction | None, given: Circumstances) -> Change:
    match attempt.operation:
        case Operation.AUTHORIZE:
            assert transaction is not None, "an authorization is only read from a transaction"
            return fence.take_hold(change, _hold_of(transaction, given), given.terms, given.now, given.proof_id)
        case Operation.SALE:
            assert transaction is not None, "a sale is only read from a transaction"
            return sale.take_sale(change, _sale_of(transaction, given), given.proof_id, given.now)
        case Operation.CAPTURE:
            return fence.record_capture(change, transaction.held_minor if transaction else 0, given.now)
        case Operation.VOID:
            return fence.record_void(change, given.now)
        case Operation.REFUND:
            return refund.record_refund(change, _refund_of(attempt, given), given.now)
        case _:
            assert_never(attempt.operation)


def _declined(change: Change, code: str, given: Circumstances) -> Change:
    match change.attempt.operation:
        case Operation.AUTHORIZE | Operation.SALE:
            given_up = code in RELEASES and action.is_being_given_up(change.payment)
            return authorization.fail(change, action.EXPIRED if given_up else code, given.now)
        case Operation.CAPTURE:
            return fence.record_lost_capture(change, code, given.now)
        case Operation.VOID:
            return fence.record_refused_void(change, code, given.now)
        case Operation.REFUND:
            asked = _refund_of(change.attempt, given)
            return refund.pursue_refused(change, asked, code, given.terms.retries, given.now)
        case _:
            assert_never(change.attempt.operation)


def _orphan(change: Change, report: Report, given: Circumstances) -> Change:
    """No path forgets money: a hold that turns up after the payment ended is released, a sale given back (GW-4)."""
    payment = change.payment
    if payment.status not in NEVER_HELD or not isinstance(report.result, Answered):
        return change
    transaction = report.result.transaction
    if transaction.reference != str(payment.id):
        return change
    if payment.intent.sold:
        return _orphan_sale(change, transaction, given)
    if transaction.status is not TransactionStatus.AUTHORIZED or transaction.capture_before is None:
        return change
    return fence.release_orphan(change, _hold_of(transaction, given), given.proof_id, given.now)


def _orphan_sale(change: Change, transaction: Transaction, given: Circumstances) -> Change:
    payment = change.payment
    live = transaction.status in TOOK_MONEY or transaction.status is TransactionStatus.AUTHORIZED
    if payment.captured_minor or not live:
        return change
    found = (transaction.captured_minor - transaction.refunded_minor, transaction.currency)
    if found != (payment.intent.amount.amount_minor, payment.currency):
        detail = f"the gateway has {transaction.id} for an ended payment, and not its amount: settle it by hand"
        return change.alerting(AlertKind.OUTCOME_UNKNOWN, detail)
    return sale.return_orphan(change, _sale_of(transaction, given), given.proof_id, given.now)


def _sale_of(transaction: Transaction, given: Circumstances) -> Sale:
    return Sale(transaction.id, transaction.authorized_at or given.now)


def _hold_of(transaction: Transaction, given: Circumstances) -> Hold:
    assert transaction.capture_before is not None, "a hold always has an end"
    return Hold(
        transaction_id=transaction.id,
        authorized_at=transaction.authorized_at or given.now,
        capture_before=transaction.capture_before,
        activate_not_after=transaction.capture_before - given.terms.activation_margin,
    )


def _as_ruled(payment: Payment, attempt: Attempt, ruling: Ruling, given: Circumstances) -> Transaction:
    """The record that the gateway owes us; a hold is taken to end as early as it may (SVC-10)."""
    return Transaction(
        id=ruling.transaction_id or payment.transaction_id or "",
        reference=str(payment.id),
        status=TransactionStatus.AUTHORIZED,
        amount_minor=payment.intent.amount.amount_minor,
        currency=payment.currency,
        authorized_at=attempt.opened_at,
        capture_before=attempt.opened_at + given.terms.hold_life,
    )


def _refund_of(attempt: Attempt, given: Circumstances) -> refund.Refund:
    assert attempt.refund_id is not None, "a refund attempt always names its refund"
    return given.refunds[attempt.refund_id]
