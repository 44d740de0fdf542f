"""What follows from a gateway's answer: the next state, or the next question (GW-2, GW-4).

Invariant: an attempt ends by an answer about it, never by time; before an operation is asked for again the
gateway's own record has been read twice, unless it is certain that nothing reached the gateway.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from caas_contracts.operations import AlertKind
from caas_payments.domain import authorization, fence, refund, sale
from caas_payments.domain.attempt import GIVEN_UP_IN_THE_END, Attempt, Operation, Step
from caas_payments.domain.gateway_result import Answered, GatewayResult, Transaction, TransactionStatus
from caas_payments.domain.payment import Change, Hold, Payment, Sale, Terms
from caas_payments.domain.status import NEVER_HELD, PaymentStatus
from caas_payments.domain.verdict import TOOK_MONEY, Absent, Declined, Done, Unclear, Verdict, Waiting, read_result

LOOK_UPS_THAT_PROVE_ABSENCE = 2
"""Two look-ups, a retry's pause apart, must find nothing before an operation is asked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of one question. `number` is the attempt that the question was about, 0 for a hint."""

    payment_id: UUID
    number: int
    step: Step
    result: GatewayResult


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What an outcome is judged under: the terms, the business instant, a fresh id for a proof or a refund that
    it makes necessary, known refunds."""

    terms: Terms
    now: datetime
    proof_id: UUID
    refunds: Mapping[UUID, refund.Refund]


def apply_report(payment: Payment, report: Report, given: Circumstances) -> Change:
    """The payment after a report. A report about an attempt that is closed by now changes nothing."""
    change = Change(payment)
    attempt = payment.attempt
    if attempt is None:
        return _orphan(change, report, given)
    if report.step is not Step.HINT and report.number != attempt.number:
        return change
    verdict = read_result(payment, attempt, report.step, report.result)
    match report.step:
        case Step.CALL:
            return _after_call(change, verdict, given)
        case Step.LOOK_UP:
            return _after_look_up(change, verdict, given)
        case Step.HINT:
            # A hint settles an attempt or says nothing: the attempt's own chain asks on.
            return _decided(change, verdict, given) if isinstance(verdict, Done | Declined) else change
        case _:
            assert_never(report.step)


def _after_call(change: Change, verdict: Verdict, given: Circumstances) -> Change:
    attempt = replace(change.attempt, calls=change.attempt.calls + 1)
    counted = authorization.resume(change.setting(replace(change.payment, attempt=attempt)))
    match verdict:
        case Absent(reason, retry_after_s):
            failed = counted.working(replace(attempt, last_result=reason))
            failed = authorization.suspend(failed, reason)
            return _call_again(failed, reason, timedelta(seconds=retry_after_s or 0), given, pause=True)
        case Unclear(reason):
            unknown = counted.working(replace(attempt, misses=0, silences=0, last_result=reason))
            return authorization.suspend(unknown, reason).asking(Step.LOOK_UP)
        case Waiting():
            return authorization.wait_for_gateway(counted.working(attempt), given.terms.retries)
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
            missed = replace(change.attempt, misses=change.attempt.misses + 1, silences=0, last_result=reason)
            change = change.working(missed)
            if missed.misses < LOOK_UPS_THAT_PROVE_ABSENCE:
                return change.asking(Step.LOOK_UP, retries.before_retry(missed.calls))
            return _call_again(change, reason, timedelta(0), given, pause=False)
        case Unclear(reason):
            return _look_up_later(change, reason, given)
        case Waiting():
            return authorization.wait_for_gateway(authorization.resume(change), retries)
        case Done() | Declined():
            return _decided(change, verdict, given)
        case _:
            assert_never(verdict)


def _call_again(change: Change, reason: str, at_least: timedelta, given: Circumstances, *, pause: bool) -> Change:
    """Another call after its pause; an authorization gives up after its last, what must happen goes on."""
    retries = given.terms.retries
    attempt = change.attempt
    if retries.exhausted(attempt):
        if attempt.operation in GIVEN_UP_IN_THE_END:
            return authorization.abandon(change, reason, given.now)
        change = _alert_once(change, AlertKind.RETRIES_EXHAUSTED, f"{attempt.operation} still fails: {reason}")
    delay = retries.before_retry(attempt.calls) if pause else timedelta(0)
    return change.asking(Step.CALL, max(delay, at_least))


def _look_up_later(change: Change, reason: str, given: Circumstances) -> Change:
    """The gateway does not say what became of the operation: ask at growing intervals, without an end."""
    retries = given.terms.retries
    silent = replace(change.attempt, silences=change.attempt.silences + 1, last_result=reason)
    change = change.working(silent)
    if silent.silences >= retries.silences_before_alert:
        detail = f"the outcome of {silent.operation} is not known: {reason}; it is looked up until it is"
        change = _alert_once(change, AlertKind.OUTCOME_UNKNOWN, detail)
    return change.asking(Step.LOOK_UP, retries.before_look_up(silent.silences))


def _alert_once(change: Change, kind: AlertKind, detail: str) -> Change:
    if change.attempt.alerted:
        return change
    return change.working(replace(change.attempt, alerted=True)).alerting(kind, detail)


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
            return sale.take_sale(change, _sale_of(transaction, given), given.now)
        case Operation.CAPTURE:
            return fence.record_capture(change, given.now)
        case Operation.VOID:
            return fence.record_void(change, given.now)
        case Operation.REFUND:
            return refund.record_refund(change, _refund_of(attempt, given), given.now)
        case _:
            assert_never(attempt.operation)


def _declined(change: Change, code: str, given: Circumstances) -> Change:
    match change.attempt.operation:
        case Operation.AUTHORIZE | Operation.SALE:
            return authorization.fail(change, code, given.now)
        case Operation.CAPTURE:
            return fence.record_lost_capture(change, code, given.now)
        case Operation.VOID:
            return fence.record_refused_void(change, code, given.now)
        case Operation.REFUND:
            return refund.record_refused_refund(change, code, given.now)
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


def _refund_of(attempt: Attempt, given: Circumstances) -> refund.Refund:
    assert attempt.refund_id is not None, "a refund attempt always names its refund"
    return given.refunds[attempt.refund_id]
