"""The charge fence as a law (SVC-6): whatever comes in whatever order, as often as it likes, on a real database.

Handlers are called directly, without the deduplication of the chassis: the fence must not need it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caas_chassis.cause import Cause
from caas_chassis.errors import Refused
from caas_chassis.handling import Received
from caas_chassis.testing.harness import Harness
from caas_contracts import Message
from caas_contracts.payments import (
    AuthorizePayment,
    PaymentCaptured,
    PaymentVoided,
    VoidGround,
)
from caas_payments.domain.gateway_result import GatewayResult, NotFound, TransactionStatus, Unavailable
from caas_payments.domain.rules import Rules
from caas_payments.domain.status import TRANSITIONS, PaymentStatus
from caas_payments.gateway.standard_webhooks import StandardWebhooks
from caas_payments.handlers.table import handlers_under
from caas_payments.handlers.wishes import limit_by_operator
from caas_payments.store.audit import verify_audit_log
from services.payments.tests.builders import (
    a_cancellation,
    a_capture_by_hand,
    a_chargeback,
    a_failure,
    a_refund,
    a_settlement,
    a_success,
    an_authorization,
)
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import journey_of, payment_of, rows_of
from services.payments.tests.working import run_rounds, settle

HANDLERS = handlers_under(Rules(jitter=0.0), StandardWebhooks(()))

FAULTS: dict[str, tuple[GatewayResult, bool]] = {
    "timeout before": (TIMEOUT, False),
    "timeout after": (TIMEOUT, True),
    "nothing sent": (Unavailable("ConnectError"), False),
}
TOKENS = ("tok_approved", "tok_pending", "tok_declined", "tok_capture_fails")

MESSAGES = {
    "authorize": 4, "conflict": 1, "cancel": 2, "success": 4, "late success": 1, "success of another": 1,
    "rejection": 3, "cancellation": 1, "deadline report": 1, "settlement": 1, "refund": 2, "chargeback": 1,
    "capture by hand": 1, "part by hand": 1,
}  # fmt: skip
"""What may be sent about a payment, and how often beside the others."""

HAPPENINGS = {
    "limit": 1, "work": 8, "wait": 4, "decide": 2, "deadline": 1,
    "hold expires": 1, "look-up fails": 1, "look-up misses": 1,
    **{f"{operation} {fault}": 2 for operation in ("authorize", "capture", "void", "refund") for fault in FAULTS},
}  # fmt: skip
"""What may happen around it."""

STEPS = [step for step, weight in (MESSAGES | HAPPENINGS).items() for _ in range(weight)]

stories = st.tuples(
    st.sampled_from([[], ["authorize"], ["authorize", "work"]]),
    st.lists(st.sampled_from(STEPS), min_size=6, max_size=16),
).map(lambda parts: parts[0] + parts[1])
"""Some begin as they should, the others anyhow."""


@dataclass
class Story:
    """One payment, what is sent about it, and the partner it meets."""

    payments: Harness
    gateway: InProcessGateway
    command: AuthorizePayment
    known: dict[str, Message] = field(default_factory=dict)

    async def tell(self, step: str) -> None:
        """Let one step happen; a message that was sent before is sent again, unchanged."""
        if step in MESSAGES:
            message = self.known.setdefault(step, self._message(step))
            await self._handle([message, message] if step != "refund" else [message])
        elif step in ("work", "wait"):
            await (self.payments.run_effects() if step == "work" else run_rounds(self.payments, 2))
        elif step == "limit":
            await self._limit()
        elif step == "deadline":
            await self.payments.move_clock(timedelta(days=8, hours=2))
            self.payments.clock.move(-timedelta(days=8, hours=2))
        else:
            self._let_partner(step)

    async def _limit(self) -> None:
        """An operator lowers what a capture to come takes; refused where the fence says so."""
        try:
            async with self.payments.transaction() as tx:
                part = self.command.amount.model_copy(update={"amount_minor": 1500})
                await limit_by_operator(self.command.payment_id, part, "goodwill", tx=tx, rules=Rules(jitter=0.0))
        except Refused as refusal:
            if refusal.code != "unknown_payment":
                raise

    async def _handle(self, messages: Sequence[Message]) -> None:
        cause = Cause.of_person("somebody")
        received = [Received(message, cause) for message in messages]
        try:
            async with self.payments.transaction() as tx:
                await HANDLERS[type(messages[0])](received, tx=tx)
        except Refused as refusal:
            if refusal.code != "unknown_payment":
                raise

    def _message(self, step: str) -> Message:
        command = self.command
        other = an_authorization()
        grounds = {
            "rejection": VoidGround.VERIFIED_REJECTION,
            "cancellation": VoidGround.VERIFIED_CANCELLATION,
            "deadline report": VoidGround.DEADLINE_PASSED,
        }
        if step in grounds:
            return a_failure(command, ground=grounds[step])
        made: dict[str, Message] = {
            "authorize": command,
            "conflict": command.model_copy(update={"amount": other.amount.model_copy(update={"amount_minor": 1})}),
            "cancel": a_cancellation(command),
            "success": a_success(command),
            "late success": a_success(command, late=True),
            "success of another": a_success(command, activation_id=other.activation_id),
            "settlement": a_settlement(command),
            "refund": a_refund(command, 700),
            "chargeback": a_chargeback(command, 1500, name=f"cb_{command.payment_id.hex}"),
            "capture by hand": a_capture_by_hand(command),
            "part by hand": a_capture_by_hand(command, 1500),
        }
        return made[step]

    def _let_partner(self, step: str) -> None:
        reference = str(self.command.payment_id)
        held = self.gateway.books.get(reference)
        if step == "decide" and held and held.status is TransactionStatus.PENDING:
            self.gateway.decide_pending(reference, approved=True)
        elif step == "hold expires" and held and held.status is TransactionStatus.AUTHORIZED:
            self.gateway.expire(reference)
        elif step in ("look-up fails", "look-up misses"):
            self.gateway.script("look_up", TIMEOUT if step == "look-up fails" else NotFound())
        else:
            operation, _, fault = step.partition(" ")
            if fault in FAULTS:
                result, booked = FAULTS[fault]
                self.gateway.script(operation, result, booked=booked)


async def finish(story: Story) -> None:
    """Let the partner decide what is pending and everything that was begun come to its end."""
    await run_rounds(story.payments, 25)
    await story.tell("decide")
    await settle(story.payments)


async def told_about(payments: Harness, command: AuthorizePayment) -> Counter[str]:
    """How often each type of event was published about the payment."""
    async with payments.transaction() as tx:
        rows = await tx.fetch("SELECT type FROM chassis.outbox WHERE aggregateid = $1", str(command.payment_id))
    return Counter(row["type"] for row in rows)


async def assert_fence_held(story: Story) -> None:
    """What must be true at every instant of every story."""
    payments, command = story.payments, story.command
    booked = story.gateway.books.get(str(command.payment_id))
    proofs = [row["kind"] for row in await rows_of(payments, "delivery_proofs", command.payment_id)]
    charged = booked.captured_minor if booked else 0
    stored = await payment_of(payments, command.payment_id)
    assert charged in (0, stored.due_minor)
    assert not charged or proofs == ["success"], "charged without a stored success"
    assert len(proofs) <= 1
    told = await told_about(payments, command)
    assert all(count == 1 for count in told.values()), f"told twice: {told}"
    assert not (told[PaymentCaptured.TYPE] and told[PaymentVoided.TYPE])


async def assert_well_ended(story: Story) -> None:
    """What must be true when nothing is under way any more."""
    payment_id = story.command.payment_id
    payment = await payment_of(story.payments, payment_id)
    booked = story.gateway.books.get(str(payment_id))
    assert payment.attempt is None
    assert payment.captured_minor == (booked.captured_minor if booked else 0), "our books differ from theirs"
    assert payment.refunded_minor == (booked.refunded_minor if booked else 0)
    if payment.delivered and payment.hold:
        assert payment.captured_minor or payment.status is PaymentStatus.SETTLEMENT_FAILED
    elif payment.proof and payment.hold:
        assert booked
        assert booked.status in (TransactionStatus.VOIDED, TransactionStatus.EXPIRED)
    journey = [step.split(">") for step in await journey_of(story.payments, payment_id) if ">" in step]
    assert all(after in TRANSITIONS[PaymentStatus(before)] for before, after in journey)
    assert all(first[1] == second[0] for first, second in pairwise(journey))
    assert (journey[0][0], journey[-1][1]) == ("INITIATED", payment.status)


@settings(max_examples=60, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=stories, token=st.sampled_from(TOKENS))
async def test_no_story_charges_without_a_stored_success(
    payments: Harness, gateway: InProcessGateway, steps: list[str], token: str
) -> None:
    gateway.forget_script()
    story = Story(payments, gateway, an_authorization(payment_method=token))
    for step in [*steps, "authorize"]:
        await story.tell(step)
        if {"authorize", "conflict"} & story.known.keys():
            await assert_fence_held(story)
    await finish(story)
    await assert_fence_held(story)
    await assert_well_ended(story)
    async with payments.transaction() as tx:
        assert (await verify_audit_log(tx)).broken == []
