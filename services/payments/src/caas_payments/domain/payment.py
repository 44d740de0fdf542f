"""The payment: what was asked, where it stands, and the one way in which it changes.

Invariant: a payment moves only along TRANSITIONS, and every change carries the facts that the store, the
broker and the gateway have to be told in the same transaction.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from caas_contracts import Message, Money
from caas_contracts.operations import AlertKind
from caas_contracts.payments import Delivery, PaymentPurpose, VoidGround
from caas_payments.domain.attempt import Attempt, AttemptState, Operation, RetryPolicy, Step
from caas_payments.domain.status import TRANSITIONS, IllegalTransition, PaymentStatus

_NOTHING_TO_COME: Final = frozenset(
    {PaymentStatus.FAILED, PaymentStatus.ABANDONED, PaymentStatus.VOIDED, PaymentStatus.SETTLEMENT_FAILED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is to be paid: fixed when the payment is created, the delivery decision included (RSK-2).

    A service has a vehicle, a service code and either the activation that has to earn its money or, for its next
    period, the one that it renews (REC-1); nothing else has an activation. `taken_ahead`: the price of a service is
    sold before its activation (PLN-1). `customer_present` is False for what the merchant initiates (PAY-9).
    """

    payment_id: UUID
    idempotency_key: str
    purpose: PaymentPurpose
    customer_id: str
    subject_id: UUID
    activation_id: UUID | None
    vehicle_id: str | None
    service_code: str | None
    amount: Money
    payment_method: str
    delivery: Delivery
    customer_present: bool = True
    taken_ahead: bool = False
    renewed_activation_id: UUID | None = None

    @property
    def sold(self) -> bool:
        """Whether the money is taken at once: everything but the hold of a service (SVC-6)."""
        is_hold = self.activation_id is not None and not self.taken_ahead
        return not (self.purpose is PaymentPurpose.SERVICE and is_hold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The gateway's promise of the amount until `capture_before`; later activations are not paid (SVC-10)."""

    transaction_id: str
    authorized_at: datetime
    capture_before: datetime
    activate_not_after: datetime


@dataclass(frozen=True, slots=True)
class Sale:
    """Money that the gateway took at once, and when it says that it did."""

    transaction_id: str
    sold_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerAction:
    """What the gateway wants of the customer before it decides (PAY-9): on its page, by our link, until `expires_at`.

    `cancelling_at`: since when the gateway is asked to give the payment up, because that time is over.
    """

    transaction_id: str
    page_url: str
    expires_at: datetime
    cancelling_at: datetime | None = None


class ProofKind(StrEnum):
    """What is known about the one activation of a payment (charge fence)."""

    SUCCESS = "success"
    REJECTION = "rejection"
    CANCELLATION = "cancellation"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The verdict on the activation: a success allows the capture, any other kind the void. There is one.

    `ground` is None for a success; `evidence` is the vehicle's signature; `applied_at` the vehicle's instant.
    """

    id: UUID
    payment_id: UUID
    activation_id: UUID
    kind: ProofKind
    ground: VoidGround | None
    reason: str
    recorded_at: datetime
    applied_at: datetime | None = None
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """The configured terms: retries, how long before the hold's end an activation must be applied, and how
    long after that the void waits (the clock margin of the fence). `hold_life` is the shortest that a hold lasts
    (SVC-10), for one that only a person has seen. A customer's link is under `public_url` and works for
    `action_life` (PAY-9)."""

    retries: RetryPolicy = field(default_factory=RetryPolicy)
    activation_margin: timedelta = timedelta(hours=24)
    void_margin: timedelta = timedelta(hours=1)
    hold_life: timedelta = timedelta(days=7)
    action_life: timedelta = timedelta(hours=72)
    public_url: str = "http://127.0.0.1:8101"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One movement of money. `attempts` counts those ever opened; `attempt` is the open one.

    `cancel_reason` remembers a CancelPayment that came before the gateway's answer. Amounts in minor units
    of the intent's currency: `capture_limit_minor` is what a person said to take at most, `capturing_minor` what the
    open capture takes, `refunding_minor` what is asked for and not yet given back, `charged_back_minor` what the
    customer's bank took.
    """

    intent: Intent
    status: PaymentStatus
    version: int = 0
    hold: Hold | None = None
    sale: Sale | None = None
    proof: Proof | None = None
    action: CustomerAction | None = None
    attempt: Attempt | None = None
    attempts: int = 0
    cancel_reason: str | None = None
    capture_limit_minor: int | None = None
    capturing_minor: int = 0
    captured_minor: int = 0
    charged_back_minor: int = 0
    settled_minor: int = 0
    refunded_minor: int = 0
    refunding_minor: int = 0

    @property
    def id(self) -> UUID:
        return self.intent.payment_id

    @property
    def currency(self) -> str:
        return self.intent.amount.currency

    @property
    def frozen(self) -> bool:
        """What became of its open attempt is not known any more: nothing starts until it is (GW-4)."""
        return self.attempt is not None and self.attempt.frozen_at is not None

    @property
    def transaction_id(self) -> str | None:
        """The gateway's name of what it holds or took."""
        taken = self.hold or self.sale
        return taken.transaction_id if taken else None

    @property
    def delivered(self) -> bool:
        """A success of its very activation is stored (SVC-6)."""
        return self.proof is not None and self.proof.kind is ProofKind.SUCCESS

    @property
    def being_confirmed(self) -> bool:
        """The gateway has not said what became of an operation: nobody guesses it meanwhile (GW-4)."""
        return self.attempt is not None

    @property
    def at_risk_minor(self) -> int:
        """What may still be lost: under way or delivered, and not at the bank (RSK-3).

        What was given back is not owed any more. What a bank took back is lost or disputed, a case of
        reconciliation's (RCN-3), and nothing that a settlement is still expected of.
        """
        if self.status in _NOTHING_TO_COME:
            return 0
        gone_minor = self.settled_minor + self.refunded_minor + self.charged_back_minor
        return max(0, (self.captured_minor or self.due_minor) - gone_minor)

    @property
    def due_minor(self) -> int:
        """What a capture takes: the whole hold, or the part that a person said."""
        return self.capture_limit_minor or self.intent.amount.amount_minor

    @property
    def refundable_minor(self) -> int:
        """What was captured, or is just being, and is neither given back, nor on its way, nor charged back (PAY-8)."""
        taken_minor = self.captured_minor + self.capturing_minor
        return taken_minor - self.refunded_minor - self.refunding_minor - self.charged_back_minor

    @property
    def overpaid_minor(self) -> int:
        """What refunds and chargebacks together gave the customer beyond what was captured, or is just being."""
        taken_minor = self.captured_minor + self.capturing_minor
        return max(0, self.refunded_minor + self.charged_back_minor - taken_minor) if taken_minor else 0

    def money(self, amount_minor: int) -> Money:
        """An amount in this payment's currency."""
        return Money(amount_minor=amount_minor, currency=self.currency)


@dataclass(frozen=True, slots=True)
class Moved:
    """A transition, for the audit log (PAY-4)."""

    source: PaymentStatus
    target: PaymentStatus
    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event asked for what the state or the fence forbids: it is audited and changes nothing (PAY-2)."""

    status: PaymentStatus
    wanted: str
    reason: str


@dataclass(frozen=True, slots=True)
class Told:
    """A message to publish."""

    message: Message


@dataclass(frozen=True, slots=True)
class Proved:
    """A verdict to store."""

    proof: Proof


@dataclass(frozen=True, slots=True)
class Worked:
    """An attempt in its newest state; `opened` when it is new."""

    attempt: Attempt
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Captured:
    """Money was taken, on this proof."""

    proof_id: UUID
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Froze:
    """Nobody knows what became of this attempt: a case for a person."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Thawed:
    """What became of a frozen attempt was found; its case is closed."""

    number: int
    found: str


@dataclass(frozen=True, slots=True)
class ActionAsked:
    """The customer has to act; of the link's secret only the hash is kept (PAY-9)."""

    action: CustomerAction
    secret_hash: bytes


@dataclass(frozen=True, slots=True)
class Cancelling:
    """From now on the gateway is asked to give up what its customer has not confirmed."""

    since: datetime


@dataclass(frozen=True, slots=True)
class Ruled:
    """A person said what became of a frozen attempt, or asked again; audited with their note."""

    status: PaymentStatus
    outcome: str
    note: str


@dataclass(frozen=True, slots=True)
class Owed:
    """A refund that nobody asked for: money that must not have been taken, or was not earned, goes back.

    `proof` is the verdict on which money goes back that was taken ahead (SVC-6).
    """

    refund_id: UUID
    amount_minor: int
    reason: str
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A refund that waited for its turn and has lost its ground: the gateway is not asked for it."""

    refund_id: UUID


@dataclass(frozen=True, slots=True)
class HeldUp:
    """A refund does not go by itself, since now if not before; `refused` when the gateway has said no once more."""

    refund_id: UUID
    reason: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to the gateway, to be put after the commit and `delay` of real time."""

    step: Step
    delay: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Deadline:
    """From this business instant on an unproven hold is voided (SVC-10)."""

    due_at: datetime


@dataclass(frozen=True, slots=True)
class ActionDeadline:
    """From this business instant on the customer's link works no more (PAY-9)."""

    due_at: datetime


@dataclass(frozen=True, slots=True)
class Alerted:
    """Operations have to look at it (NOT-2)."""

    kind: AlertKind
    detail: str


type Record = (
    Moved
    | Rejected
    | Ruled
    | Proved
    | Worked
    | Froze
    | Thawed
    | Captured
    | Owed
    | Dropped
    | HeldUp
    | ActionAsked
    | Cancelling
)
"""Facts that become rows."""

type Word = Told | Asked | Deadline | ActionDeadline | Alerted
"""Facts that somebody has to be told."""

type Fact = Record | Word


@dataclass(frozen=True, slots=True)
class Change:
    """A payment after something happened, and the facts that go with it, in order."""

    payment: Payment
    facts: tuple[Fact, ...] = ()

    @property
    def attempt(self) -> Attempt:
        """The open attempt; only asked for by verbs that work on one."""
        assert self.payment.attempt is not None, "this verb needs an open attempt"
        return self.payment.attempt

    def adding(self, *facts: Fact) -> "Change":
        """The same payment with more facts."""
        return Change(self.payment, self.facts + facts)

    def setting(self, payment: Payment) -> "Change":
        """The payment with other values than its status."""
        return Change(payment, self.facts)

    def moving(self, target: PaymentStatus, reason: str = "") -> "Change":
        """The payment in another state; raises IllegalTransition when PAY-2 does not have it."""
        source = self.payment.status
        if target not in TRANSITIONS[source]:
            raise IllegalTransition(source, target)
        return Change(replace(self.payment, status=target), (*self.facts, Moved(source, target, reason)))

    def rejecting(self, wanted: str, reason: str) -> "Change":
        """Nothing changes; the audit log says what was asked and why not."""
        return self.adding(Rejected(self.payment.status, wanted, reason))

    def telling(self, *messages: Message) -> "Change":
        """With messages to publish."""
        return self.adding(*(Told(message) for message in messages))

    def alerting(self, kind: AlertKind, detail: str) -> "Change":
        """With an alert to operations."""
        return self.adding(Alerted(kind, detail))

    def asking(self, step: Step, delay: timedelta = timedelta(0)) -> "Change":
        """With a question to the gateway about the open attempt."""
        return self.adding(Asked(step, delay))

    def proving(self, proof: Proof) -> "Change":
        """With the verdict on the activation."""
        return self.setting(replace(self.payment, proof=proof)).adding(Proved(proof))

    def opening(
        self,
        operation: Operation,
        amount_minor: int,
        now: datetime,
        *,
        proof_id: UUID | None = None,
        refund_id: UUID | None = None,
        alerted: bool = False,
        delay: timedelta = timedelta(0),
    ) -> "Change":
        """With a new attempt, and the call that makes it; `alerted` when operations know of it from one before."""
        number = self.payment.attempts + 1
        attempt = Attempt(
            payment_id=self.payment.id,
            number=number,
            operation=operation,
            amount_minor=amount_minor,
            state=AttemptState.OPEN,
            opened_at=now,
            proof_id=proof_id,
            refund_id=refund_id,
            alerted=alerted,
        )
        opened = self.setting(replace(self.payment, attempt=attempt, attempts=number))
        return opened.adding(Worked(attempt, opened=True), Asked(Step.CALL, delay))

    def working(self, attempt: Attempt) -> "Change":
        """With the open attempt in a newer state."""
        return self.setting(replace(self.payment, attempt=attempt)).adding(Worked(attempt))

    def closing(self, state: AttemptState, result: str, now: datetime) -> "Change":
        """With the open attempt closed."""
        closed = self.attempt.close(state, result, now)
        change = self.setting(replace(self.payment, attempt=None)).adding(Worked(closed))
        return change.adding(Thawed(closed.number, result)) if closed.frozen_at else change
