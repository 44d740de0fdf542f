"""What follows while the outcome of an operation is not known: call again, look up, start anew or freeze (GW-4).

Invariant: an operation is called under its key only while the gateway surely remembers it; absence is believed when
two look-ups in a row found nothing and, before anything that cannot be taken back, long enough after the last call.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from caas_contracts.operations import AlertKind
from caas_payments.domain import authorization, refund
from caas_payments.domain.attempt import GIVEN_UP_IN_THE_END, Attempt, AttemptState, Operation, RetryPolicy, Step
from caas_payments.domain.payment import Change, Froze, Thawed
from caas_payments.domain.verdict import NO_RECORD

LOOK_UPS_THAT_PROVE_ABSENCE = 2
"""Two look-ups, a retry's pause apart, must find nothing before an operation is asked for again."""


def call_failed(change: Change, reason: str, retry_after: timedelta, now: datetime, retries: RetryPolicy) -> Change:
    """This call certainly had no effect: another one after its pause, as long as GW-2 and the key allow it."""
    attempt = change.attempt
    if _may_call(attempt, now, retries):
        return _call(change, reason, retries.before_retry(attempt.calls, retry_after), now, retries)
    if attempt.uncertain:
        # An earlier call may have had its effect after all.
        return change.asking(Step.LOOK_UP)
    return believe_absence(change, reason, now)


def call_unclear(change: Change, reason: str) -> Change:
    """The call may have had its effect: look it up at once."""
    unknown = replace(change.attempt, misses=0, silences=0, uncertain=True, last_result=reason)
    return authorization.suspend(change.working(unknown), reason).asking(Step.LOOK_UP)


def found_nothing(change: Change, reason: str, now: datetime, retries: RetryPolicy) -> Change:
    """A look-up says that the operation has not happened: believed only when repeated, and late where it matters."""
    attempt = replace(change.attempt, misses=change.attempt.misses + 1, silences=0, last_result=reason)
    change = change.working(attempt)
    if attempt.misses < LOOK_UPS_THAT_PROVE_ABSENCE:
        return change.asking(Step.LOOK_UP, retries.before_retry(attempt.calls))
    if _may_call(attempt, now, retries):
        return _call(change, reason, timedelta(0), now, retries)
    waiting = retries.until_belief(attempt, now)
    if waiting > timedelta(0):
        return change.asking(Step.LOOK_UP, waiting)
    if reason == NO_RECORD and attempt.operation not in GIVEN_UP_IN_THE_END:
        # We know the transaction that the gateway denies: that is no evidence about the operation.
        return freeze(change, reason, now, retries)
    return believe_absence(change, reason, now)


def found_no_answer(change: Change, reason: str, now: datetime, retries: RetryPolicy) -> Change:
    """The gateway does not say what became of the operation: ask at growing intervals, then freeze."""
    silent = replace(change.attempt, misses=0, silences=change.attempt.silences + 1, last_result=reason)
    change = change.working(silent)
    if now >= retries.ends_at(silent.opened_at):
        return freeze(change, reason, now, retries)
    if silent.silences >= retries.silences_before_alert:
        detail = f"the outcome of {silent.operation} is not known: {reason}; it is looked up until it is"
        change = alert_once(_hold_up(change, reason, now), AlertKind.OUTCOME_UNKNOWN, detail)
    return change.asking(Step.LOOK_UP, retries.before_look_up(silent.silences))


def believe_absence(change: Change, reason: str, now: datetime) -> Change:
    """It is established that the operation never happened: give it up, or make it under a new key."""
    attempt = change.attempt
    if attempt.operation in GIVEN_UP_IN_THE_END:
        return authorization.abandon(change, reason, now)
    return change.closing(AttemptState.ABANDONED, reason, now).opening(
        attempt.operation,
        attempt.amount_minor,
        now,
        proof_id=attempt.proof_id,
        refund_id=attempt.refund_id,
        alerted=attempt.alerted and attempt.operation is Operation.REFUND,
    )


def freeze(change: Change, reason: str, now: datetime, retries: RetryPolicy) -> Change:
    """Nothing is guessed: a person gets a case, nothing else starts, look-ups go on at long intervals."""
    if change.attempt.frozen_at is None:
        change = _hold_up(change, reason, now)
        attempt = replace(change.attempt, frozen_at=now, alerted=True)
        detail = f"the outcome of {attempt.operation} is not known ({reason}): the payment is frozen, see its case"
        change = change.working(attempt).adding(Froze(attempt.number, reason))
        change = change.alerting(AlertKind.OUTCOME_UNKNOWN, detail)
    return change.asking(Step.LOOK_UP, retries.while_frozen)


def thaw(change: Change, found: str) -> Change:
    """The gateway does know the operation: its case is closed by itself."""
    attempt = change.attempt
    if attempt.frozen_at is None:
        return change
    return change.working(replace(attempt, frozen_at=None)).adding(Thawed(attempt.number, found))


def _may_call(attempt: Attempt, now: datetime, retries: RetryPolicy) -> bool:
    """Whether the same call may be made once more under the same key."""
    if attempt.frozen_at is not None or now >= retries.ends_at(attempt.opened_at):
        return False
    return attempt.operation not in GIVEN_UP_IN_THE_END or not retries.exhausted(attempt)


def _call(change: Change, reason: str, pause: timedelta, now: datetime, retries: RetryPolicy) -> Change:
    if retries.exhausted(change.attempt):
        detail = f"{change.attempt.operation} still fails: {reason}"
        change = alert_once(_hold_up(change, reason, now), AlertKind.RETRIES_EXHAUSTED, detail)
    return change.asking(Step.CALL, pause)


def _hold_up(change: Change, reason: str, now: datetime) -> Change:
    """Whoever waits for a refund hears, once, that it takes longer (DES-4)."""
    attempt = change.attempt
    if attempt.refund_id is None or attempt.alerted:
        return change
    return refund.delay(change, attempt.refund_id, "gateway_silent", reason, now)


def alert_once(change: Change, kind: AlertKind, detail: str) -> Change:
    """Operations hear of an open attempt once, however often it goes wrong."""
    if change.attempt.alerted:
        return change
    return change.working(replace(change.attempt, alerted=True)).alerting(kind, detail)
