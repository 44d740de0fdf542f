"""Laws of dunning, whatever payments, customers, outages and time do, and in whichever order (SUB-6, PAY-3, PAY-9)."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from caas_billing.domain import dunning
from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.domain.decline import is_hard
from caas_billing.domain.dunning import Case, CaseChange
from caas_billing.domain.receivable import UNDER_WAY, AskedBy, Attempt, ChargeOutcome, Receivable, ReceivableStatus
from caas_billing.domain.subscription import Standing, SubscriptionStatus, Terms
from caas_contracts.ota import DeactivateService
from caas_contracts.payments import ChargePayment, RefundPayment
from caas_contracts.subscriptions import (
    CollectionOpened,
    CollectionSettled,
    SubscriptionCancelledForNonpayment,
    SubscriptionPaid,
)
from services.billing.tests.builders import a_customer, euros

POLICY = BillingPolicy()
START = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)
REASONS = st.sampled_from(
    [
        "insufficient_funds",
        "card_declined",
        "lost_card",
        "closed_account",
        "authentication_expired",
        "authentication_required",
    ]
)
PICK = st.integers(0, 10**6)


class Dunning(RuleBasedStateMachine):
    """One subscription, its monthly invoices, and everything that may happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.months = 0
        self.methods = 0
        self.terms = Terms(
            subscription_id=uuid4(),
            customer=a_customer(),
            vehicle_id="VIN-0001",
            service_code="lane-keeping",
            service_name="Mantenimiento de carril",
            plan_code="per-km",
            plan_version=1,
            currency="EUR",
            vat_rate_bp=2100,
            activation_id=uuid4(),
            started_at=START - timedelta(days=28),
        )
        self.standing = Standing(
            subscription_id=self.terms.subscription_id,
            status=SubscriptionStatus.ACTIVE,
            next_period=date(2026, 10, 1),
            ended_at=None,
            payment_method="pm_0",
            method_refused=False,
            changed_at=START,
        )
        self.receivables: dict[UUID, Receivable] = {}
        self.attempts: dict[tuple[UUID, int], Attempt] = {}
        self.payments: dict[UUID, tuple[UUID, int]] = {}
        self.confirmed: dict[UUID, UUID] = {}
        self.refunded: Counter[UUID] = Counter()
        self.said: Counter[type] = Counter()
        self.steps: Counter[UUID] = Counter()
        self.close_a_month()

    @precondition(lambda self: self.months < 3 and not self.standing.has_ended)
    @rule()
    def close_a_month(self) -> None:
        """The cycle closes a month, as it does: through BILLING, charged unless the method is refused."""
        self.months += 1
        invoice_id, payment_id = uuid4(), uuid4()
        refused = self.standing.method_refused
        receivable = Receivable(
            invoice_id=invoice_id,
            invoice_number=f"M-2026-{self.months:06d}",
            subscription_id=self.terms.subscription_id,
            period=date(2026, 9 + self.months, 1),
            amount=euros(1485),
            due_on=date(2026, 11, 15),
            status=ReceivableStatus.RETRY if refused else ReceivableStatus.PROCESSING,
            attempts=1,
            failures=int(refused),
            first_failed_at=self.now if refused else None,
            next_attempt_at=POLICY.retry_at(self.now, 1, self.now) if refused else None,
            changed_at=self.now,
        )
        self.receivables[invoice_id] = receivable
        self.steps[invoice_id] = int(refused)
        self.attempts[invoice_id, 1] = Attempt(
            invoice_id=invoice_id,
            attempt=1,
            payment_id=None if refused else payment_id,
            payment_method=None if refused else self.standing.payment_method,
            asked_by=AskedBy.SCHEDULE,
            asked_at=self.now,
            outcomes=frozenset({ChargeOutcome.NOT_ASKED} if refused else ()),
        )
        if not refused:
            self.payments[payment_id] = (invoice_id, 1)
        billing = self.standing.to(SubscriptionStatus.BILLING, self.now)
        self.standing = billing.to(self.summed_up(), self.now)

    @rule(pick=PICK)
    def confirm(self, pick: int) -> None:
        """Money was taken of any payment that was ever asked for: of open ones, and late of others."""
        payment_id, attempt = self.any_payment(pick)
        self.confirmed[payment_id] = attempt.invoice_id
        case = self.case(attempt.invoice_id)
        self.apply(dunning.confirm(case, attempt, payment_id, case.receivable.amount, self.now))

    @rule(pick=PICK, reason=REASONS)
    def fail(self, pick: int, reason: str) -> None:
        _, attempt = self.any_payment(pick)
        case = self.case(attempt.invoice_id)
        is_open = attempt.is_open and case.receivable.status is not ReceivableStatus.PAID
        took_no_part = attempt.asked_by is AskedBy.SCHEDULE and case.receivable.status is ReceivableStatus.PROCESSING
        refused = self.standing.method_refused and attempt.payment_method == self.standing.payment_method
        asked = is_open and reason == "authentication_required" and took_no_part and not refused
        counts = is_open and not asked
        if counts and (attempt.asked_by is not AskedBy.CUSTOMER or self.steps[attempt.invoice_id] == 0):
            self.steps[attempt.invoice_id] += 1
        change = dunning.fail(case, attempt, reason, uuid4(), POLICY, self.now)
        charges = [message for message in change.messages if isinstance(message, ChargePayment)]
        assert [charge.customer_present for charge in charges] == [True] * asked
        if counts and is_hard(reason) and attempt.payment_method == self.standing.payment_method:
            assert change.case.standing.method_refused
        self.apply(change)

    @rule(pick=PICK)
    def abandon(self, pick: int) -> None:
        _, attempt = self.any_payment(pick)
        self.apply(dunning.abandon(self.case(attempt.invoice_id), attempt, "gateway_unreachable", POLICY, self.now))

    @rule(pick=PICK)
    def need_the_customer(self, pick: int) -> None:
        _, attempt = self.any_payment(pick)
        later = self.now + timedelta(hours=24)
        self.apply(
            dunning.wait_for_customer(self.case(attempt.invoice_id), attempt, "https://bank.example/1", later, self.now)
        )

    @rule(hours=st.integers(1, 100))
    def let_time_pass(self, hours: int) -> None:
        """The schedule charges what is due; a step without a method counts as failed."""
        self.now += timedelta(hours=hours)
        for invoice_id, one in list(self.receivables.items()):
            due = one.next_attempt_at is not None and one.next_attempt_at <= self.now
            self.steps[invoice_id] += int(due and self.standing.method_refused)
            change = dunning.charge_again(self.case(invoice_id), uuid4(), POLICY, self.now)
            assert (change.attempt is not None) == due
            self.apply(change)

    @rule(pick=PICK)
    def pay_as_a_customer(self, pick: int) -> None:
        """Only what is open or collected can be paid, by whatever method."""
        payable = [
            one for one in self.receivables.values() if one.status in (ReceivableStatus.RETRY, ReceivableStatus.UNPAID)
        ]
        if payable:
            chosen = payable[pick % len(payable)]
            self.apply(dunning.charge(self.case(chosen.invoice_id), uuid4(), "pm_once", AskedBy.CUSTOMER, self.now))

    @rule()
    def name_another_method(self) -> None:
        self.methods += 1
        method = f"pm_{self.methods}"
        self.standing = replace(self.standing, payment_method=method, method_refused=False)
        for one in list(self.receivables.values()):
            if one.status is ReceivableStatus.RETRY:
                self.apply(dunning.charge(self.case(one.invoice_id), uuid4(), method, AskedBy.CUSTOMER, self.now))

    @rule()
    def give_up(self) -> None:
        self.standing = self.standing.cancelled(self.now, self.now)

    @invariant()
    def an_invoice_is_paid_once_net_of_refunds(self) -> None:
        for invoice_id, one in self.receivables.items():
            taken = sum(invoice == invoice_id for invoice in self.confirmed.values())
            back = sum(self.confirmed[payment] == invoice_id for payment in self.refunded)
            assert taken - back == (one.status is ReceivableStatus.PAID)
        assert all(times == 1 for times in self.refunded.values())
        paid = sum(one.status is ReceivableStatus.PAID for one in self.receivables.values())
        assert self.said[SubscriptionPaid] == paid

    @invariant()
    def an_invoice_has_an_open_attempt_exactly_while_it_is_under_way(self) -> None:
        for invoice_id, one in self.receivables.items():
            still_open = sum(name == invoice_id and each.is_open for (name, _), each in self.attempts.items())
            if one.status is not ReceivableStatus.PAID:
                assert still_open == (one.status in UNDER_WAY)
            assert still_open <= 1

    @invariant()
    def steps_are_used_up_by_the_schedule_alone_and_the_last_one_ends_it(self) -> None:
        exhausted = 0
        for invoice_id, one in self.receivables.items():
            assert one.failures == self.steps[invoice_id] or one.is_collected
            assert one.is_collected == (one.failures > len(POLICY.retry_days))
            exhausted += one.is_collected
        assert self.said[CollectionOpened] == exhausted
        by_nonpayment = self.standing.status is SubscriptionStatus.CANCELLED_NONPAYMENT
        assert self.said[SubscriptionCancelledForNonpayment] == self.said[DeactivateService] == by_nonpayment
        assert not exhausted or self.standing.has_ended
        assert not by_nonpayment or exhausted
        settled = sum(one.is_collected and one.status is ReceivableStatus.PAID for one in self.receivables.values())
        assert self.said[CollectionSettled] == settled

    @invariant()
    def the_subscription_sums_up_its_invoices(self) -> None:
        if not self.standing.has_ended:
            assert self.standing.status is self.summed_up()

    def any_payment(self, pick: int) -> tuple[UUID, Attempt]:
        if not self.payments:
            self.name_another_method()
        names = list(self.payments)
        payment_id = names[pick % len(names)]
        return payment_id, self.attempts[self.payments[payment_id]]

    def summed_up(self) -> SubscriptionStatus:
        statuses = {one.status for one in self.receivables.values()}
        if statuses & UNDER_WAY:
            return SubscriptionStatus.PAYMENT_PROCESSING
        return SubscriptionStatus.RETRY if ReceivableStatus.RETRY in statuses else SubscriptionStatus.ACTIVE

    def case(self, invoice_id: UUID) -> Case:
        others = [one.status for name, one in self.receivables.items() if name != invoice_id]
        unpaid = [status for status in others if status is not ReceivableStatus.PAID]
        return Case(terms=self.terms, standing=self.standing, receivable=self.receivables[invoice_id], others=unpaid)

    def apply(self, change: CaseChange) -> None:
        self.receivables[change.case.receivable.invoice_id] = change.case.receivable
        self.standing = change.case.standing
        if change.attempt is not None:
            name = (change.attempt.invoice_id, change.attempt.attempt)
            assert name not in self.attempts
            self.attempts[name] = change.attempt
        if change.outcome is not None:
            name = (change.outcome.invoice_id, change.outcome.attempt)
            before = self.attempts[name]
            assert change.outcome.outcome not in before.outcomes
            self.attempts[name] = replace(before, outcomes=before.outcomes | {change.outcome.outcome})
        for message in change.messages:
            self.said[type(message)] += 1
            if isinstance(message, RefundPayment):
                self.refunded[message.payment_id] += 1
            if isinstance(message, ChargePayment):
                assert change.attempt is not None
                assert message.idempotency_key == f"invoice:{message.subject_id}:attempt:{change.attempt.attempt}"
                charged_alone = change.attempt.asked_by is AskedBy.SCHEDULE
                assert not (charged_alone and self.standing.method_refused)
                self.payments[message.payment_id] = (message.subject_id, change.attempt.attempt)


TestDunning = Dunning.TestCase
TestDunning.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
