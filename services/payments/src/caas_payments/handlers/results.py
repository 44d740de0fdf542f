"""The results of activations: payments itself captures or voids, on what it has stored (SVC-6)."""

from collections.abc import Sequence
from uuid import UUID

from caas_chassis.handling import Received
from caas_chassis.ids import new_id
from caas_chassis.timers import DueTimer
from caas_chassis.transaction import Tx
from caas_contracts.ota import ActivationEvent, ActivationFailed, ServiceActivated
from caas_payments.domain import fence
from caas_payments.domain.rules import Rules
from caas_payments.handlers.batch import Batch


async def accept_successes(received: Sequence[Received[ServiceActivated]], /, *, tx: Tx, rules: Rules) -> None:
    """A service was applied: store the proof, then capture (SVC-4)."""
    paid = _with_payment(received)
    if not paid:
        return
    batch = await Batch.lock(tx, {payment_id for payment_id, _ in paid}, rules.jitter)
    for payment_id, one in paid:
        payment = batch.require(payment_id)
        batch.apply(fence.accept_success(payment, _success(one.message), new_id(), tx.now), one.cause)
    await batch.write()


async def accept_failures(received: Sequence[Received[ActivationFailed]], /, *, tx: Tx, rules: Rules) -> None:
    """A service is not applied and never will be: store the ground, then void (SVC-5)."""
    paid = _with_payment(received)
    if not paid:
        return
    batch = await Batch.lock(tx, {payment_id for payment_id, _ in paid}, rules.jitter)
    for payment_id, one in paid:
        failed = one.message
        payment = batch.require(payment_id)
        change = fence.accept_failure(payment, failed.activation_id, failed.ground, failed.reason, new_id(), tx.now)
        batch.apply(change, one.cause)
    await batch.write()


async def pass_deadlines(due: Sequence[DueTimer], /, *, tx: Tx, rules: Rules) -> None:
    """Holds whose activation has no verdict after its last instant and the clock margin are voided (SVC-10)."""
    causes = {UUID(timer.key): timer.cause for timer in due}
    batch = await Batch.lock(tx, causes, rules.jitter)
    for payment_id, cause in causes.items():
        payment = batch.find(payment_id)
        if payment is not None:
            batch.apply(fence.pass_deadline(payment, rules.terms, new_id(), tx.now), cause)
    await batch.write()


def _with_payment[Result: ActivationEvent](
    received: Sequence[Received[Result]],
) -> list[tuple[UUID, Received[Result]]]:
    """Results of subscriptions concern no payment: their use is billed later (SUB-1)."""
    return [(payment_id, one) for one in received if (payment_id := one.message.payment_id) is not None]


def _success(message: ServiceActivated) -> fence.Success:
    return fence.Success(
        activation_id=message.activation_id,
        applied_at=message.evidence.applied_at,
        not_after=message.not_after,
        late=message.late,
        evidence=message.evidence.model_dump_json(),
    )
