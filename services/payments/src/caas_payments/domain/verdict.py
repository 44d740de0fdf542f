"""Reads a gateway's answer for one attempt: what is known now about that operation.

Invariant: `Done`, `Declined` and `Waiting` are only read from an answer about this payment with its very
amount; everything else leaves the attempt open.
"""

from dataclasses import dataclass
from typing import Final, assert_never

from caas_payments.domain.attempt import Attempt, Operation, Step
from caas_payments.domain.gateway_result import (
    Answered,
    GatewayResult,
    NotFound,
    Refused,
    Transaction,
    TransactionStatus,
    Unavailable,
    Unknown,
)
from caas_payments.domain.payment import Payment

TOOK_MONEY: Final = frozenset(
    {TransactionStatus.CAPTURED, TransactionStatus.PARTIALLY_REFUNDED, TransactionStatus.REFUNDED}
)
"""What the gateway's record says after it took money."""
NO_RECORD: Final = "not_found"
"""Why an operation is absent of which the gateway has no transaction at all."""

LOOK_UPS_FOR_THE_REST: Final = 2
"""How often a partial capture is looked up while the rest of its hold is not released."""

_UNDECIDED: Final = frozenset({TransactionStatus.PENDING, TransactionStatus.REQUIRES_ACTION})
_RELEASED: Final = frozenset({TransactionStatus.VOIDED, TransactionStatus.EXPIRED})

RELEASES: Final = frozenset({"hold_voided", "hold_expired", "sale_voided", "sale_expired"})
"""Codes of what was given up before it was decided."""


@dataclass(frozen=True, slots=True)
class Done:
    """The operation happened. `transaction` is None when a refusal's code said so."""

    transaction: Transaction | None


@dataclass(frozen=True, slots=True)
class Declined:
    """The operation did not happen and never will."""

    code: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The gateway accepted the operation and decides later, perhaps when the customer has acted (PAY-9)."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class Absent:
    """As far as the gateway knows the operation did not happen; it may be asked for (again)."""

    reason: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Unclear:
    """Nothing is known: the operation may have happened (GW-4)."""

    reason: str


type Verdict = Done | Declined | Waiting | Absent | Unclear


def read_result(payment: Payment, attempt: Attempt, step: Step, result: GatewayResult) -> Verdict:
    """What `result` says about the open attempt."""
    match result:
        case Answered(transaction):
            return _read_answer(payment, attempt, step, transaction)
        case Refused(code):
            return _read_refusal(attempt, code) if step is Step.CALL else Unclear(code)
        case NotFound():
            return Absent(NO_RECORD) if step is not Step.CALL else Unclear(NO_RECORD)
        case Unavailable(reason, retry_after_s):
            return Absent(reason, retry_after_s) if step is Step.CALL else Unclear(reason)
        case Unknown(reason):
            return Unclear(reason)
        case _:
            assert_never(result)


def _read_answer(payment: Payment, attempt: Attempt, step: Step, transaction: Transaction) -> Verdict:
    if not _is_ours(payment, transaction):
        return Unclear("answer_for_another_payment")
    verdict = _read_transaction(payment, attempt, transaction)
    if step is Step.CALL and isinstance(verdict, Absent):
        # An operation answered with success that had no effect: the gateway's own record decides.
        return Unclear("answer_without_effect")
    return verdict


def _is_ours(payment: Payment, transaction: Transaction) -> bool:
    return (
        transaction.reference == str(payment.id)
        and transaction.amount_minor == payment.intent.amount.amount_minor
        and transaction.currency == payment.currency
    )


def _read_transaction(payment: Payment, attempt: Attempt, transaction: Transaction) -> Verdict:
    match attempt.operation:
        case Operation.AUTHORIZE:
            return _read_authorization(transaction)
        case Operation.SALE:
            return _read_sale(attempt, transaction)
        case Operation.CAPTURE:
            return _read_capture(attempt, transaction)
        case Operation.VOID:
            return _read_void(transaction)
        case Operation.REFUND:
            expected_minor = payment.refunded_minor + attempt.amount_minor
            return Done(transaction) if transaction.refunded_minor >= expected_minor else Absent("not_refunded")
        case _:
            assert_never(attempt.operation)


def _read_authorization(transaction: Transaction) -> Verdict:
    if transaction.status in _UNDECIDED:
        return Waiting(transaction)
    if transaction.status is TransactionStatus.DECLINED:
        return Declined(transaction.decline_code or "declined")
    if transaction.status in _RELEASED:
        return Declined(f"hold_{transaction.status}")
    if transaction.status is TransactionStatus.AUTHORIZED and transaction.capture_before is not None:
        return Done(transaction)
    # Captured without our asking, or a word that we do not know: a person has to look.
    return Unclear(f"unexpected_status_{transaction.status}")


def _read_sale(attempt: Attempt, transaction: Transaction) -> Verdict:
    if transaction.status in TOOK_MONEY:
        exact = transaction.captured_minor == attempt.amount_minor
        return Done(transaction) if exact else Unclear("captured_another_amount")
    if transaction.status in _UNDECIDED:
        return Waiting(transaction)
    if transaction.status is TransactionStatus.DECLINED:
        return Declined(transaction.decline_code or "declined")
    if transaction.status in _RELEASED:
        return Declined(f"sale_{transaction.status}")
    # Held and not taken, or a word that we do not know: a person has to look.
    return Unclear(f"unexpected_status_{transaction.status}")


def _read_capture(attempt: Attempt, transaction: Transaction) -> Verdict:
    if transaction.status in TOOK_MONEY:
        if transaction.captured_minor != attempt.amount_minor:
            return Unclear("captured_another_amount")
        waits = transaction.held_minor > 0 and attempt.silences < LOOK_UPS_FOR_THE_REST
        return Unclear("rest_is_still_held") if waits else Done(transaction)
    if transaction.status is TransactionStatus.EXPIRED:
        return Declined("hold_expired")
    if transaction.status is TransactionStatus.VOIDED:
        return Declined("already_voided")
    if transaction.capture_failure:
        return Declined(transaction.capture_failure)
    return Absent("not_captured")


def _read_void(transaction: Transaction) -> Verdict:
    if transaction.status in _RELEASED or transaction.status is TransactionStatus.DECLINED:
        return Done(transaction)
    if transaction.status in TOOK_MONEY:
        return Declined("already_captured")
    return Absent("not_voided")


def _read_refusal(attempt: Attempt, code: str) -> Verdict:
    """What a refused operation means; a hold that expired is as good as voided."""
    match attempt.operation, code:
        case Operation.VOID, "already_voided" | "hold_expired":
            return Done(None)
        case Operation.CAPTURE, "already_captured":
            # Perhaps by our own earlier call: the gateway's record tells the amount.
            return Unclear(code)
        case _:
            return Declined(code)
