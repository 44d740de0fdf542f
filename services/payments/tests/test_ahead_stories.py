"""The fence of money taken ahead as a law (SVC-6, PLN-1): whatever comes in whatever order, as often as it likes.

Every story ends with the money earned and kept, given back once, or never taken. Handlers are called directly, without
the deduplication of the chassis: the fence must not need it.
"""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from caas_chassis.cause import Cause
from caas_chassis.errors import Refused as RefusedMessage
from caas_chassis.handling import Received
from caas_chassis.testing.harness import Harness
from caas_contracts import Message
from caas_contracts.payments import (
    OrphanSaleFound,
    PaymentAuthorized,
    PaymentConfirmed,
    PaymentFailed,
    PaymentRefunded,
    PaymentVoided,
    VoidGround,
)
from caas_contracts.purchase_life import ChargePlannedService, RefundDelayed
from caas_payments.domain.gateway_result import GatewayResult, NotFound, Refused, TransactionStatus, Unavailable
from caas_payments.domain.payment import ProofKind
from caas_payments.domain.rules import Rules
from caas_payments.domain.status import NEVER_HELD, TRANSITIONS, PaymentStatus
from caas_payments.gateway.standard_webhooks import StandardWebhooks
from caas_payments.handlers.table import handlers_under
from caas_payments.store.audit import verify_audit_log
from services.payments.tests.builders import (
    a_cancellation,
    a_chargeback,
    a_failure,
    a_planned_charge,
    a_refund,
    a_settlement,
    a_success,
)
from services.payments.tests.in_process_gateway import TIMEOUT, InProcessGateway
from services.payments.tests.reading import journey_of, payment_of, rows_of
from services.payments.tests.test_sale_stories import a_webhook
from services.payments.tests.working import run_rounds, settle

HANDLERS = handlers_under(Rules(jitter=0.0), StandardWebhooks(()))

FAULTS: dict[str, tuple[GatewayResult, bool]] = {
    "timeout before": (TIMEOUT, False),
    "timeout after": (TIMEOUT, True),
    "nothing sent": (Unavailable("ConnectError"), False),
    "refused": (Refused("account_blocked"), False),
}
MESSAGES = {
    "charge": 3, "cancel": 3, "success": 4, "late success": 1, "success of another": 1, "rejection": 3,
    "deadline report": 1, "settlement": 2, "refund": 2, "chargeback": 1, "webhook": 2,
}  # fmt: skip
HAPPENINGS = {
    "work": 6, "wait": 3, "decide": 2, "look-up fails": 1, "look-up misses": 3,
    **{f"sale {fault}": 1 for fault in FAULTS if fault != "refused"}, **{f"refund {fault}": 1 for fault in FAULTS},
}  # fmt: skip
STEPS = [step for step, weight in (MESSAGES | HAPPENINGS).items() for _ in range(weight)]
_ENDS = ("cancel", "rejection", "deadline report")
stories = st.tuples(
    st.sampled_from([[], ["charge"], ["charge", "work"]]), st.lists(st.sampled_from(STEPS), min_size=4, max_size=14)
).map(lambda parts: parts[0] + parts[1])


@dataclass
class Story:
    """One payment, what is sent about it, and the partner it meets."""

    payments: Harness
    gateway: InProcessGateway
    command: ChargePlannedService
    known: dict[str, Message] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)

    async def tell(self, step: str) -> None:
        """Let one step happen; a message that was sent before is sent again, unchanged and twice.

        `heard` are the messages about a payment that existed by then: the others are parked, and change nothing.
        """
        if step in MESSAGES:
            message = self.known.setdefault(step, self._message(step))
            if await self._handle([message] if step in ("refund", "late success") else [message, message]):
                self.heard.append(step)
        elif step in ("work", "wait"):
            await (self.payments.run_effects() if step == "work" else run_rounds(self.payments, 2))
        else:
            self._let_partner(step)

    async def _handle(self, messages: list[Message]) -> bool:
        received = [Received(message, Cause.of_person("somebody")) for message in messages]
        try:
            async with self.payments.transaction() as tx:
                await HANDLERS[type(messages[0])](received, tx=tx)
        except RefusedMessage as refusal:
            if refusal.code != "unknown_payment":
                raise
            return False
        return True

    def _message(self, step: str) -> Message:
        command = self.command
        made: dict[str, Message] = {
            "charge": command,
            "cancel": a_cancellation(command),
            "success": a_success(command),
            "late success": a_success(command, late=True),
            "success of another": a_success(command, activation_id=a_planned_charge().activation_id),
            "rejection": a_failure(command),
            "deadline report": a_failure(command, ground=VoidGround.DEADLINE_PASSED),
            "settlement": a_settlement(command),
            "refund": a_refund(command, 700),
            "chargeback": a_chargeback(command, 1500, name=f"cb_{command.payment_id.hex}"),
            "webhook": a_webhook(command),
        }
        return made[step]

    def _let_partner(self, step: str) -> None:
        reference = str(self.command.payment_id)
        booked = self.gateway.books.get(reference)
        operation, _, fault = step.partition(" ")
        if step == "decide":
            if booked and booked.status is TransactionStatus.PENDING:
                self.gateway.decide_pending(reference, approved=True)
        elif operation == "look-up":
            self.gateway.script("look_up", TIMEOUT if fault == "fails" else NotFound())
        else:
            result, booked_all_the_same = FAULTS[fault]
            self.gateway.script(operation, result, booked=booked_all_the_same)

    async def finish(self) -> None:
        """The partner decides, its webhook comes, and a purchase of which nothing is known is cancelled (SVC-11)."""
        await self.tell("charge")
        await run_rounds(self.payments, 10)
        await self.tell("decide")
        await settle(self.payments)
        self.gateway.forget_script()
        await self.tell("webhook")
        if self.first_verdict() is None:
            await self.tell("cancel")
        await settle(self.payments)

    def first_verdict(self) -> str | None:
        """What decided first whether the money is earned; a late success earns nothing, whenever it comes."""
        return next((step for step in self.heard if step in ("success", *_ENDS)), None)


async def assert_fence_held(story: Story) -> None:
    """What must be true at every instant of every story."""
    payment_id = story.command.payment_id
    booked = story.gateway.books.get(str(payment_id))
    proofs = await rows_of(story.payments, "delivery_proofs", payment_id)
    refunds = await rows_of(story.payments, "refunds", payment_id)
    assert len(proofs) <= 1
    if booked and booked.refunded_minor:
        assert proofs, "given back while the car may still get it"
    on_ground = [row for row in refunds if row["proof_kind"] != ProofKind.SUCCESS]
    assert len(on_ground) <= 1
    assert all(row["proof_id"] == proofs[0]["id"] for row in refunds)
    assert not on_ground or proofs[0]["kind"] != ProofKind.SUCCESS, "earned, and given back for a failure"


async def assert_well_ended(story: Story) -> None:
    payments, payment_id = story.payments, story.command.payment_id
    payment = await payment_of(payments, payment_id)
    booked = story.gateway.books.get(str(payment_id))
    taken_minor = booked.captured_minor if booked else 0
    refunds = await rows_of(payments, "refunds", payment_id)
    assert (payment.attempt, payment.refunding_minor) == (None, 0)
    assert payment.captured_minor == taken_minor
    assert payment.refunded_minor == (booked.refunded_minor if booked else 0)
    if not taken_minor:
        assert refunds == [], "never taken, and given back"
    elif payment.status in NEVER_HELD:
        assert payment.refunded_minor == taken_minor, "nobody bought it, and it was kept"
    elif story.first_verdict() == "success":
        assert payment.delivered, "delivered, and not earned"
        assert all(row["reason"] == "withdrawal" for row in refunds), "earned, and given back"
    else:
        assert not payment.delivered, "earned after it was given up"
        assert payment.refunded_minor + payment.charged_back_minor >= taken_minor, "neither earned nor given back"
        assert len([row for row in refunds if row["state"] == "succeeded"]) <= 1, "given back twice"
    journey = [step.split(">") for step in await journey_of(payments, payment_id) if ">" in step]
    assert all(after in TRANSITIONS[PaymentStatus(before)] for before, after in journey)
    assert all(first[1] == second[0] for first, second in pairwise(journey))


async def assert_told_once(story: Story) -> None:
    payments, payment_id = story.payments, story.command.payment_id

    async def told[E: Message](event: type[E]) -> list[E]:
        return [one for one in await payments.published(event) if getattr(one, "payment_id", None) == payment_id]

    payment = await payment_of(payments, payment_id)
    confirmed, orphans = await told(PaymentConfirmed), await told(OrphanSaleFound)
    assert len(confirmed) + len(orphans) == (1 if payment.captured_minor else 0)
    assert len(await told(PaymentFailed)) <= 1
    assert await told(PaymentAuthorized) == []
    assert await told(PaymentVoided) == []
    back = [one.refund_id for one in await told(PaymentRefunded)]
    delayed = [one.refund_id for one in await told(RefundDelayed)]
    assert len(set(back)) == len(back)
    assert len(set(delayed)) == len(delayed)


@settings(max_examples=60, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=stories, token=st.sampled_from(["tok_approved", "tok_approved", "tok_pending", "tok_declined"]))
@example(steps=["cancel", "charge", "success", "work", "rejection"], token="tok_approved")
@example(steps=["charge", "rejection", "work", "refund refused", "late success", "wait"], token="tok_pending")
async def test_every_story_ends_earned_or_given_back_once_or_never_taken(
    payments: Harness, gateway: InProcessGateway, steps: list[str], token: str
) -> None:
    gateway.forget_script()
    story = Story(payments, gateway, a_planned_charge(payment_method=token))
    for step in steps:
        await story.tell(step)
        if "charge" in story.known:
            await assert_fence_held(story)
    await story.finish()
    await assert_fence_held(story)
    await assert_well_ended(story)
    await assert_told_once(story)
    async with payments.transaction() as tx:
        assert (await verify_audit_log(tx)).broken == []
