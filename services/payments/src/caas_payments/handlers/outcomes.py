"""The gateway as an effect: the call outside any transaction, the record of what it answered inside one.

When the process dies between the two, the task is run again: the operation under the same idempotency key,
so the gateway does it once (GW-3), and the record finds the attempt still open.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import assert_never
from uuid import UUID

from caas_chassis.effects import Done, Effect
from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_payments.domain import refund
from caas_payments.domain.attempt import Operation, Step
from caas_payments.domain.gateway_result import GatewayResult, Unavailable, describe
from caas_payments.domain.outcome import Circumstances, Report, apply_report
from caas_payments.domain.payment import Change
from caas_payments.domain.rules import Rules
from caas_payments.gateway import GatewayTask, PaymentGateway
from caas_payments.handlers.batch import GATEWAY_EFFECT, Batch
from caas_payments.store import refunds


def gateway_effect(
    gateway: PaymentGateway, rules: Rules, concurrency: int, now: Callable[[], datetime]
) -> Effect[GatewayTask, GatewayResult]:
    """The effect that puts payments' questions to the gateway; `now` is business time."""

    async def call(task: GatewayTask) -> GatewayResult:
        if _is_too_late(task, rules, now()):
            return Unavailable("key_too_old")
        return await ask_gateway(gateway, task)

    async def record(done: Sequence[Done[GatewayTask, GatewayResult]], /, *, tx: Tx) -> None:
        await record_outcomes(done, tx=tx, rules=rules)

    return Effect(GATEWAY_EFFECT, GatewayTask, call, record, concurrency=concurrency)


async def ask_gateway(gateway: PaymentGateway, task: GatewayTask) -> GatewayResult:
    """Call the operation that the task names, or look up what became of it."""
    if task.step is Step.CANCEL:
        return await gateway.void(task)
    if task.step is not Step.CALL:
        return await gateway.look_up(task.reference, task.transaction_id)
    match task.operation:
        case Operation.AUTHORIZE:
            return await gateway.authorize(task)
        case Operation.SALE:
            return await gateway.sale(task)
        case Operation.CAPTURE:
            return await gateway.capture(task)
        case Operation.VOID:
            return await gateway.void(task)
        case Operation.REFUND:
            return await gateway.refund(task)
        case None:
            raise ValueError(f"a call for payment {task.payment_id} names no operation")
        case _:
            assert_never(task.operation)


def _is_too_late(task: GatewayTask, rules: Rules, now: datetime) -> bool:
    """Whether the gateway may have forgotten the key, however long this task has waited (GW-4)."""
    return task.step is Step.CALL and task.opened_at is not None and now >= rules.terms.retries.ends_at(task.opened_at)


async def record_outcomes(done: Sequence[Done[GatewayTask, GatewayResult]], /, *, tx: Tx, rules: Rules) -> None:
    """Move the payments to where the gateway's answers lead, and ask on where it has not answered."""
    payment_ids = {one.payload.payment_id for one in done}
    batch = await Batch.lock(tx, payment_ids, rules.jitter)
    refunding = any(payment.refunding_minor for name in payment_ids if (payment := batch.find(name)) is not None)
    known = await refunds.read_refunds_of(tx, payment_ids) if refunding else {}
    by_id = {one.id: one for of_payment in known.values() for one in of_payment}
    for one in done:
        payment = batch.find(one.payload.payment_id)
        assert payment is not None, "payments are never deleted"
        given = Circumstances(rules.terms, tx.now, new_id(), by_id, new_secret())
        change = apply_report(payment, _report(one), given)
        batch.apply(with_next_refund(change, one.payload.refund_id, known, tx), one.cause)
        number = one.payload.number or (payment.attempt.number if payment.attempt else 0)
        batch.remember(payment.id, number, one.payload.step, describe(one.result))
    await batch.write()


def new_secret() -> str:
    """The secret of a customer's link: 256 bits that nobody can guess (PAY-9)."""
    return secrets.token_urlsafe(32)


def _report(done: Done[GatewayTask, GatewayResult]) -> Report:
    task = done.payload
    return Report(
        payment_id=task.payment_id, number=task.number, step=task.step, result=done.result, repeated=done.runs > 1
    )


def with_next_refund(
    change: Change, ended: UUID | None, known: Mapping[UUID, Sequence[refund.Refund]], tx: Tx
) -> Change:
    """When an operation has ended, the oldest refund that waits for it is asked for."""
    if not change.facts or not change.payment.refunding_minor:
        return change
    waiting = [one for one in known.get(change.payment.id, ()) if one.id != ended]
    return refund.continue_refunds(change, waiting, tx.now)
