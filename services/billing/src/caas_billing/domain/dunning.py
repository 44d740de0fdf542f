"""What becomes of a monthly invoice's charges: paid, tried again on a schedule, or given to collections (SUB-6).

Invariants: a step of the schedule is used up by each failed charge that the schedule made and by nothing else; a
subscription is cancelled for non-payment exactly when an invoice's schedule is exhausted; no invoice is paid twice.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID, uuid5

from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.domain.decline import METHOD_REFUSED, is_hard, wants_customer
from caas_billing.domain.receivable import (
    UNDER_WAY,
    AskedBy,
    Attempt,
    ChargeOutcome,
    Receivable,
    ReceivableStatus,
)
from caas_billing.domain.subscription import Standing, SubscriptionStatus, Terms
from caas_contracts import Message, Money
from caas_contracts.operations import AlertKind
from caas_contracts.ota import DeactivateService
from caas_contracts.payments import ChargePayment, PaymentPurpose, RefundPayment
from caas_contracts.subscriptions import (
    CollectionOpened,
    CollectionSettled,
    SubscriptionCancelledForNonpayment,
    SubscriptionPaid,
    SubscriptionPaymentFailed,
    SubscriptionPaymentNeedsCustomer,
)

NONPAYMENT: Final = "nonpayment"
PAID_TWICE: Final = "invoice_paid_twice"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt, and why."""

    invoice_id: UUID
    attempt: int
    outcome: ChargeOutcome
    reason: str


@dataclass(frozen=True, slots=True)
class CustomerAction:
    """The link with which the customer answers the bank (PAY-9)."""

    invoice_id: UUID
    attempt: int
    action_url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An invoice's money with the subscription it is of; `others` are its other invoices that are not paid."""

    terms: Terms
    standing: Standing
    receivable: Receivable
    others: Collection[ReceivableStatus] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """A case as it becomes, and what has to be written and said for it."""

    case: Case
    attempt: Attempt | None = None
    outcome: Outcome | None = None
    action: CustomerAction | None = None
    opened: bool = False
    settled_by: UUID | None = None
    deactivation_id: UUID | None = None
    messages: tuple[Message, ...] = ()
    alerts: tuple[tuple[AlertKind, str], ...] = ()

    def telling(self, *messages: Message) -> Self:
        """With further messages to be published."""
        return replace(self, messages=self.messages + messages)


def charge_again(case: Case, payment_id: UUID, policy: BillingPolicy, now: datetime) -> CaseChange:
    """The schedule's next step (SUB-6), when it is due: a charge, or for want of a method only its failure."""
    receivable = case.receivable
    if receivable.next_attempt_at is None or receivable.next_attempt_at > now:
        return CaseChange(case=case)
    if not case.standing.method_refused:
        return charge(case, payment_id, case.standing.payment_method, AskedBy.SCHEDULE, now)
    attempt = _attempt(receivable, None, None, AskedBy.SCHEDULE, now)
    counted = replace(case, receivable=replace(receivable, attempts=attempt.attempt))
    change = _failed(counted, attempt, METHOD_REFUSED, ChargeOutcome.NOT_ASKED, policy, now)
    return replace(change, attempt=attempt)


def charge(case: Case, payment_id: UUID, payment_method: str, asked_by: AskedBy, now: datetime) -> CaseChange:
    """Ask for a new attempt, which is a payment of its own (PAY-3, PAY-7)."""
    attempt = _attempt(case.receivable, payment_id, payment_method, asked_by, now)
    processing = replace(case.receivable, attempts=attempt.attempt).to(ReceivableStatus.PROCESSING, now)
    change = CaseChange(case=_summed_up(replace(case, receivable=processing), now), attempt=attempt)
    return change.telling(
        ChargePayment(
            payment_id=payment_id,
            idempotency_key=f"invoice:{processing.invoice_id}:attempt:{attempt.attempt}",
            purpose=PaymentPurpose.SUBSCRIPTION,
            customer_id=case.terms.customer.customer_id,
            subject_id=processing.invoice_id,
            vehicle_id=case.terms.vehicle_id,
            service_code=case.terms.service_code,
            amount=processing.amount,
            payment_method=payment_method,
            customer_present=asked_by is not AskedBy.SCHEDULE,
            requested_at=now,
        )
    )


def confirm(case: Case, attempt: Attempt, payment_id: UUID, paid: Money, now: datetime) -> CaseChange:
    """The money was taken: the invoice is paid, also when the attempt had been given up or collections has it.

    When another attempt paid it already, this money goes back: nobody pays twice.
    """
    if attempt.outcomes & {ChargeOutcome.PAID, ChargeOutcome.SURPLUS}:
        return CaseChange(case=case)
    before = case.receivable
    if before.status is ReceivableStatus.PAID:
        return _give_back(case, attempt, payment_id, paid, now)
    receivable = before.to(ReceivableStatus.PAID, now)
    paid_case = replace(case, receivable=receivable, standing=_paid(case, now))
    change = CaseChange(
        case=paid_case,
        outcome=Outcome(receivable.invoice_id, attempt.attempt, ChargeOutcome.PAID, "paid"),
        settled_by=payment_id if before.is_collected else None,
    ).telling(
        SubscriptionPaid(
            **_invoice(paid_case, now), payment_id=payment_id, attempt=attempt.attempt, late=before.is_collected
        )
    )
    if before.collection_id is None:
        return change
    return change.telling(
        CollectionSettled(**_invoice(paid_case, now), collection_id=before.collection_id, payment_id=payment_id)
    )


def fail(
    case: Case, attempt: Attempt, reason: str, next_payment_id: UUID, policy: BillingPolicy, now: datetime
) -> CaseChange:
    """The charge was refused, or its link expired unused (PAY-9).

    What the schedule charged and the bank wants to hear the customer about is charged at once as `next_payment_id`,
    with the customer: that uses up no step, because nobody was asked yet.
    """
    if not attempt.is_open:
        return CaseChange(case=case)
    if case.receivable.status is ReceivableStatus.PAID:
        return CaseChange(case=case, outcome=_outcome(attempt, ChargeOutcome.FAILED, reason))
    if wants_customer(reason) and _may_ask_customer(case, attempt):
        assert attempt.payment_method is not None
        change = charge(case, next_payment_id, attempt.payment_method, AskedBy.BANK, now)
        return replace(change, outcome=_outcome(attempt, ChargeOutcome.FAILED, reason))
    standing = case.standing
    if is_hard(reason) and attempt.payment_method == standing.payment_method:
        case = replace(case, standing=replace(standing, method_refused=True, changed_at=now))
    return _failed(case, attempt, reason, ChargeOutcome.FAILED, policy, now)


def _may_ask_customer(case: Case, attempt: Attempt) -> bool:
    """Whether the customer had no part in this attempt, and its method may be charged again."""
    is_refused = case.standing.method_refused and attempt.payment_method == case.standing.payment_method
    took_no_part = attempt.asked_by is AskedBy.SCHEDULE and case.receivable.status is ReceivableStatus.PROCESSING
    return took_no_part and not is_refused


def abandon(case: Case, attempt: Attempt, reason: str, policy: BillingPolicy, now: datetime) -> CaseChange:
    """The gateway could not be reached, and took nothing: the same step again soon, whatever the schedule (FIN-5)."""
    if not attempt.is_open:
        return CaseChange(case=case)
    outcome = _outcome(attempt, ChargeOutcome.ABANDONED, reason)
    receivable = case.receivable
    if receivable.status is ReceivableStatus.PAID:
        return CaseChange(case=case, outcome=outcome)
    if receivable.is_collected:
        receivable = receivable.to(ReceivableStatus.UNPAID, now)
    else:
        due_at = now + policy.technical_retry
        if attempt.asked_by is AskedBy.CUSTOMER and receivable.first_failed_at is not None:
            due_at = policy.retry_at(receivable.first_failed_at, receivable.failures, now) or due_at
        receivable = receivable.to(ReceivableStatus.RETRY, now, due_at)
    return CaseChange(case=_summed_up(replace(case, receivable=receivable), now), outcome=outcome)


def wait_for_customer(case: Case, attempt: Attempt, action_url: str, expires_at: datetime, now: datetime) -> CaseChange:
    """The bank wants to hear from the customer (PAY-9): nothing is charged behind their back meanwhile."""
    if not attempt.is_open or case.receivable.status is not ReceivableStatus.PROCESSING:
        return CaseChange(case=case)
    assert attempt.payment_id is not None
    waiting = replace(case, receivable=case.receivable.to(ReceivableStatus.NEEDS_CUSTOMER, now))
    return CaseChange(
        case=waiting, action=CustomerAction(attempt.invoice_id, attempt.attempt, action_url, expires_at)
    ).telling(
        SubscriptionPaymentNeedsCustomer(
            **_invoice(waiting, now),
            payment_id=attempt.payment_id,
            attempt=attempt.attempt,
            action_url=action_url,
            expires_at=expires_at,
        )
    )


def _failed(
    case: Case, attempt: Attempt, reason: str, outcome: ChargeOutcome, policy: BillingPolicy, now: datetime
) -> CaseChange:
    receivable = case.receivable
    # What customers try in between is theirs: it uses up no step, unless it is the invoice's first failure.
    if attempt.asked_by is not AskedBy.CUSTOMER or receivable.failures == 0:
        first_failed_at = receivable.first_failed_at or now
        receivable = replace(receivable, failures=receivable.failures + 1, first_failed_at=first_failed_at)
    assert receivable.first_failed_at is not None
    next_at = None
    if not receivable.is_collected:
        next_at = policy.retry_at(receivable.first_failed_at, receivable.failures, now)
    failed = replace(case, receivable=receivable)
    change = CaseChange(case=failed, outcome=_outcome(attempt, outcome, reason)).telling(
        SubscriptionPaymentFailed(
            **_invoice(failed, now),
            payment_id=attempt.payment_id,
            attempt=attempt.attempt,
            reason=reason,
            new_method_needed=case.standing.method_refused,
            next_attempt_at=next_at,
        )
    )
    if next_at is not None:
        # An attempt that was not asked for leaves the receivable where it was, waiting for its next day.
        status = ReceivableStatus.RETRY
        waiting = (
            replace(receivable, next_attempt_at=next_at, changed_at=now)
            if receivable.status is status
            else receivable.to(status, now, next_at)
        )
        return replace(change, case=_summed_up(replace(failed, receivable=waiting), now))
    if receivable.is_collected:
        return replace(change, case=replace(failed, receivable=receivable.to(ReceivableStatus.UNPAID, now)))
    return _give_to_collections(change, now)


def _give_to_collections(change: CaseChange, now: datetime) -> CaseChange:
    """The last attempt failed (SUB-6): the debt goes to collections; what still runs is ended and switched off."""
    case = change.case
    collection_id = uuid5(case.receivable.invoice_id, "collection")
    receivable = replace(case.receivable.to(ReceivableStatus.UNPAID, now), collection_id=collection_id)
    owed = replace(case, receivable=receivable)
    change = replace(change, case=owed, opened=True).telling(
        CollectionOpened(
            **_invoice(owed, now),
            collection_id=collection_id,
            customer_name=case.terms.customer.name,
            customer_tax_id=case.terms.customer.tax_id,
            attempts=receivable.attempts,
            due_on=receivable.due_on.isoformat(),
        )
    )
    return change if case.standing.has_ended else _cancel_for_nonpayment(change, now)


def _cancel_for_nonpayment(change: CaseChange, now: datetime) -> CaseChange:
    case, terms = change.case, change.case.terms
    standing = replace(case.standing.to(SubscriptionStatus.CANCELLED_NONPAYMENT, now), ended_at=now)
    deactivation_id = uuid5(terms.subscription_id, NONPAYMENT)
    return replace(change, case=replace(case, standing=standing), deactivation_id=deactivation_id).telling(
        SubscriptionCancelledForNonpayment(
            subscription_id=terms.subscription_id,
            customer_id=terms.customer.customer_id,
            vehicle_id=terms.vehicle_id,
            service_code=terms.service_code,
            outstanding=case.receivable.amount,
            cancelled_at=now,
            occurred_at=now,
        ),
        DeactivateService(
            deactivation_id=deactivation_id,
            activation_id=terms.activation_id,
            vehicle_id=terms.vehicle_id,
            service_code=terms.service_code,
            reason=NONPAYMENT,
            requested_at=now,
        ),
    )


def _give_back(case: Case, attempt: Attempt, payment_id: UUID, paid: Money, now: datetime) -> CaseChange:
    number = case.receivable.invoice_number
    detail = (
        f"payment {payment_id} paid invoice {number} a second time: it is being refunded; look why it was asked for"
    )
    return CaseChange(
        case=case,
        outcome=_outcome(attempt, ChargeOutcome.SURPLUS, PAID_TWICE),
        alerts=((AlertKind.LATE_PAYMENT, detail),),
    ).telling(
        RefundPayment(
            payment_id=payment_id,
            refund_id=uuid5(payment_id, PAID_TWICE),
            amount=paid,
            reason=PAID_TWICE,
            requested_at=now,
        )
    )


def _paid(case: Case, now: datetime) -> Standing:
    """Through PAID to what its other invoices leave it in: ACTIVE, when none is open (SUB-6)."""
    if case.standing.has_ended:
        return case.standing
    return case.standing.to(SubscriptionStatus.PAID, now).to(_status_of(case.others), now)


def _summed_up(case: Case, now: datetime) -> Case:
    """The case with its subscription where its unpaid invoices say it is."""
    if case.standing.has_ended:
        return case
    status = _status_of([*case.others, case.receivable.status])
    return replace(case, standing=case.standing.to(status, now))


def _status_of(unpaid: Collection[ReceivableStatus]) -> SubscriptionStatus:
    if UNDER_WAY & set(unpaid):
        return SubscriptionStatus.PAYMENT_PROCESSING
    return SubscriptionStatus.RETRY if ReceivableStatus.RETRY in unpaid else SubscriptionStatus.ACTIVE


def _attempt(
    receivable: Receivable, payment_id: UUID | None, payment_method: str | None, asked_by: AskedBy, now: datetime
) -> Attempt:
    return Attempt(
        invoice_id=receivable.invoice_id,
        attempt=receivable.attempts + 1,
        payment_id=payment_id,
        payment_method=payment_method,
        asked_by=asked_by,
        asked_at=now,
    )


def _outcome(attempt: Attempt, outcome: ChargeOutcome, reason: str) -> Outcome:
    return Outcome(attempt.invoice_id, attempt.attempt, outcome, reason)


def _invoice(case: Case, now: datetime) -> dict[str, Any]:
    """What every fact about a monthly invoice says."""
    receivable, terms = case.receivable, case.terms
    return {
        "subscription_id": terms.subscription_id,
        "customer_id": terms.customer.customer_id,
        "vehicle_id": terms.vehicle_id,
        "service_code": terms.service_code,
        "invoice_id": receivable.invoice_id,
        "invoice_number": receivable.invoice_number,
        "period": receivable.period.strftime("%Y-%m"),
        "amount": receivable.amount,
        "occurred_at": now,
    }
