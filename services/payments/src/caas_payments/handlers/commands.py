"""What payments may be asked (PAY-6): authorize or charge, give up, record a settlement, refund."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from caas_chassis.handling import Received
from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_contracts import Money
from caas_contracts.operations import AlertKind
from caas_contracts.payments import (
    CancelPayment,
    CapturePayment,
    FailSettlement,
    QueryPaymentStatus,
    RecordSettlement,
    RefundPayment,
)
from caas_payments.domain import authorization, events, fence, refund, settlement
from caas_payments.domain.authorization import Beginning
from caas_payments.domain.payment import Change, Intent, Payment
from caas_payments.domain.risk import CustomerHistory, Question, decide_delivery
from caas_payments.domain.rules import Rules
from caas_payments.handlers.batch import Batch
from caas_payments.store import payments, proofs, refunds, settlements
from caas_payments.store.proofs import Delivered
from caas_payments.store.risk import RiskInputs


async def begin_payments(received: Sequence[Received[Beginning]], /, *, tx: Tx, rules: Rules) -> None:
    """Decide on the risk (RSK-2), then ask for hold or sale; the same intent twice is one payment (PAY-7).

    A renewal needs the stored success of the activation that it renews (REC-1, SVC-6).
    """
    batch = await Batch.lock(tx, (), rules.jitter)
    commands = [one.message for one in received]
    known = _Known(
        await payments.read_similar(
            tx,
            [command.payment_id for command in commands],
            [command.idempotency_key for command in commands],
            [one for one in map(authorization.activation_of, commands) if one is not None],
        )
    )
    delivered = await _read_delivered(commands, tx)
    histories = dict(await payments.read_histories(tx, {command.customer_id for command in commands}))
    for one in received:
        command = one.message
        existing = known.like(command)
        if existing is not None:
            _answer_repetition(batch, existing, one, tx.now)
            continue
        history = histories.get(command.customer_id, CustomerHistory())
        intent = _decide(command, history, rules)
        renewed = authorization.renewed_by(command)
        not_activated = renewed is not None and delivered.get(renewed) != Delivered.of(intent)
        change = authorization.initiate(intent, tx.now, not_activated=not_activated)
        batch.create(change, RiskInputs(intent.payment_id, authorization.risk_wish_of(command), history), one.cause)
        known.add(change.payment)
        histories[command.customer_id] = history.with_another(change.payment.at_risk_minor)
    await batch.write()


async def _read_delivered(commands: Sequence[Beginning], tx: Tx) -> Mapping[UUID, Delivered]:
    renewed = {name for name in map(authorization.renewed_by, commands) if name is not None}
    return await proofs.read_delivered(tx, renewed) if renewed else {}


async def cancel_payments(received: Sequence[Received[CancelPayment]], /, *, tx: Tx, rules: Rules) -> None:
    """Release what is held, or will be, and give back what was taken ahead: no activation was requested (SVC-11)."""
    batch = await Batch.lock(tx, {one.message.payment_id for one in received}, rules.jitter)
    for one in received:
        command = one.message
        payment = batch.require(command.payment_id)
        change = fence.cancel(payment, command.activation_id, command.reason, new_id(), tx.now)
        batch.apply(change, one.cause)
    await batch.write()


async def record_settlements(received: Sequence[Received[RecordSettlement]], /, *, tx: Tx, rules: Rules) -> None:
    """Money reached the bank (RCN-2); a line that was recorded before changes nothing."""
    batch = await Batch.lock(tx, {one.message.payment_id for one in received}, rules.jitter)
    lines = {one.message.settlement_line_id: (line_of(one.message), one.cause) for one in received}
    for line, _ in lines.values():
        batch.require(line.payment_id)
    new = await settlements.insert_lines(tx, [line for line, _ in lines.values()])
    for name in sorted(new):
        line, cause = lines[name]
        batch.apply(settlement.record_line(batch.require(line.payment_id), line, tx.now), cause)
    await batch.write()


async def fail_settlements(received: Sequence[Received[FailSettlement]], /, *, tx: Tx, rules: Rules) -> None:
    """Money will not come (SVC-8): written off when it was delivered for, else it waits for what is delivered."""
    batch = await Batch.lock(tx, {one.message.payment_id for one in received}, rules.jitter)
    for one in received:
        payment = batch.require(one.message.payment_id)
        batch.apply(settlement.fail_settlement(payment, one.message.reason, tx.now), one.cause)
    await batch.write()


async def report_statuses(received: Sequence[Received[QueryPaymentStatus]], /, *, tx: Tx, rules: Rules) -> None:
    """Answer where payments stand, behind every change that is under way (PAY-6)."""
    batch = await Batch.lock(tx, {one.message.payment_id for one in received}, rules.jitter)
    for one in received:
        payment = batch.require(one.message.payment_id)
        tx.publish(events.status_reported(payment, one.message.query_id, tx.now), cause=one.cause)


async def capture_payment(command: CapturePayment, *, tx: Tx, rules: Rules) -> None:
    """Take what is held, on its stored proof alone (SVC-6); a refusal is audited and told to operations."""
    objection = await ask_capture(command.payment_id, command.amount, tx=tx, rules=rules)
    if objection is not None:
        tx.alert(AlertKind.CAPTURE_FAILED, str(command.payment_id), f"CapturePayment was refused: {objection}")


async def ask_capture(payment_id: UUID, amount: Money | None, *, tx: Tx, rules: Rules) -> str | None:
    """Start a capture, unless it was made or is under way; or say why the fence forbids it, which is audited.

    Raises caas_chassis.errors.Refused for a payment that does not exist.
    """
    batch = await Batch.lock(tx, {payment_id}, rules.jitter)
    payment = batch.require(payment_id)
    wanted = amount or payment.money(payment.due_minor)
    other_currency = "it is in another currency" if wanted.currency != payment.currency else None
    objection = other_currency or fence.capture_objection(payment, wanted.amount_minor)
    if objection is None:
        batch.apply(fence.capture_by_wish(payment, wanted.amount_minor, tx.now), tx.cause)
    else:
        batch.apply(Change(payment).rejecting("capture", "fence_forbids"), tx.cause)
    await batch.write()
    return objection


async def refund_payment(command: RefundPayment, *, tx: Tx, rules: Rules) -> None:
    """Give money back, at most what was captured (PAY-8); a refusal is audited and told to operations."""
    asked = refund.Refund(
        id=command.refund_id,
        payment_id=command.payment_id,
        amount_minor=command.amount.amount_minor,
        reason=command.reason,
        requested_at=tx.now,
    )
    objection = await ask_refund(asked, command.amount.currency, tx=tx, rules=rules)
    if objection is None:
        return
    batch = await Batch.lock(tx, {command.payment_id}, rules.jitter)
    change = Change(batch.require(command.payment_id)).rejecting("refund", objection)
    detail = f"refund {command.refund_id} was refused: {objection}; nothing was given back"
    batch.apply(change.alerting(AlertKind.RETRIES_EXHAUSTED, detail), tx.cause)
    await batch.write()


async def ask_refund(asked: refund.Refund, currency: str, *, tx: Tx, rules: Rules) -> str | None:
    """Start a refund, unless it was asked for before; or say why it cannot be made.

    Raises caas_chassis.errors.Refused for a payment that does not exist.
    """
    batch = await Batch.lock(tx, {asked.payment_id}, rules.jitter)
    payment = batch.require(asked.payment_id)
    known = await refunds.read_refund(tx, asked.id)
    if known is not None:
        same = (known.payment_id, known.amount_minor) == (asked.payment_id, asked.amount_minor)
        return None if same else "refund_id_reused"
    objection = refund.refund_objection(payment, asked.amount_minor, currency)
    if objection is not None:
        return objection
    verdict = payment.proof if payment.intent.taken_ahead else None
    await refunds.insert_refund(tx, replace(asked, proof=verdict))
    batch.apply(refund.request_refund(payment, asked, tx.now), tx.cause)
    await batch.write()
    return None


class _Known:
    """Payments by everything that must be unique: id, idempotency key and activation."""

    def __init__(self, similar: Sequence[Payment]) -> None:
        self._by_name: dict[object, Payment] = {}
        for payment in similar:
            self.add(payment)

    def add(self, payment: Payment) -> None:
        intent = payment.intent
        for name in _names(intent.payment_id, intent.idempotency_key, intent.activation_id):
            self._by_name.setdefault(name, payment)

    def like(self, command: Beginning) -> Payment | None:
        """The payment that already has the command's id, else its key, else its activation."""
        names = _names(command.payment_id, command.idempotency_key, authorization.activation_of(command))
        return next((self._by_name[name] for name in names if name in self._by_name), None)


def _names(payment_id: UUID, idempotency_key: str, activation_id: UUID | None) -> list[object]:
    names: list[object] = [payment_id, idempotency_key]
    return names if activation_id is None else [*names, ("activation", activation_id)]


def _answer_repetition(batch: Batch, existing: Payment, one: Received[Beginning], now: datetime) -> None:
    """The same intent is the same payment; anything else is a conflict: refused, audited, told (PAY-7)."""
    command = one.message
    if authorization.same_intent(existing.intent, command):
        return
    change = Change(existing).rejecting(authorization.wish_of(command), "idempotency_conflict")
    if command.payment_id != existing.id:
        refused = authorization.intent_of(command, existing.intent.delivery)
        change = change.telling(events.failed(refused, "idempotency_conflict", now, customer_may_retry=False))
    detail = (
        f"{type(command).__name__} {command.payment_id} contradicts this payment and was refused: ask its sender why"
    )
    batch.apply(change.alerting(AlertKind.MESSAGE_PARKED, detail), one.cause)


def _decide(command: Beginning, history: CustomerHistory, rules: Rules) -> Intent:
    wish = authorization.risk_wish_of(command)
    question = Question(command.purpose, wish, command.amount, command.service_code)
    return authorization.intent_of(command, decide_delivery(rules.policy, question, history))


def line_of(command: RecordSettlement) -> settlement.SettlementLine:
    """The line that the command speaks of."""
    return settlement.SettlementLine(
        id=command.settlement_line_id,
        payment_id=command.payment_id,
        gross=command.gross,
        fee=command.fee,
        settled_on=command.settled_on,
    )
