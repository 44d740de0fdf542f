"""What operators may ask of payments by hand (PAY-6): begin, capture, ask the gateway, record a settlement."""

from datetime import date
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from caas_chassis.auth import Principal
from caas_chassis.idempotency import MAX_KEY_LENGTH, Answer, IdempotencyKeyMissing
from caas_chassis.ids import new_id
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import Depends, cause_of, requires, respond
from caas_contracts import Money
from caas_contracts.message import Code, Token
from caas_contracts.payments import AuthorizePayment, ChargePayment, PaymentPurpose, RecordSettlement
from caas_payments.domain.authorization import Beginning
from caas_payments.domain.rules import Rules
from caas_payments.errors import CaptureRefused, IntentConflict, PaymentNotFound, SettlementRefused
from caas_payments.handlers.commands import ask_capture
from caas_payments.handlers.wishes import (
    begin_by_operator,
    fail_by_operator,
    limit_by_operator,
    look_up_by_operator,
    settle_by_operator,
)
from caas_payments.http.views import PaymentView, Reason
from caas_payments.store import payments

type Operator = Annotated[Principal, Depends(requires("operator"))]
type Name = Annotated[UUID, Field(strict=False)]


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


class PaymentRequest(_Request):
    """What is to be paid. A service needs its activation, vehicle and service code; nothing else has an activation."""

    purpose: Annotated[PaymentPurpose, Field(strict=False)]
    customer_id: Code
    subject_id: Name
    amount: Money
    payment_method: Token
    activation_id: Name | None = None
    vehicle_id: Code | None = None
    service_code: Code | None = None
    customer_present: bool | None = Field(default=None, description="unset: not for a subscription's bill (PAY-9)")

    @model_validator(mode="after")
    def _names_what_its_purpose_needs(self) -> Self:
        of_service = (self.activation_id, self.vehicle_id, self.service_code)
        if self.purpose is PaymentPurpose.SERVICE and None in of_service:
            raise ValueError("a service payment needs activation_id, vehicle_id and service_code")
        if self.purpose is not PaymentPurpose.SERVICE and self.activation_id is not None:
            raise ValueError("only a service payment has an activation_id")
        return self


class CaptureRequest(_Request):
    """How much of the hold to take: all of it unless said otherwise."""

    amount: Money | None = None
    reason: Reason


class CaptureLimit(_Request):
    """What a capture to come takes at most; the gateway releases the rest."""

    amount: Money
    reason: Reason


class SettlementRequest(_Request):
    """A settlement that is recorded by hand, under the line's id at the gateway or the bank."""

    settlement_line_id: Code
    gross: Money
    fee: Money
    settled_on: Annotated[date, Field(strict=False)]


class SettlementFailure(_Request):
    """Why the money will not come."""

    reason: Reason


def operating_router(runtime: Runtime, rules: Rules) -> APIRouter:
    """`/payments`: beginning, looking up and settling by hand."""
    router = APIRouter(prefix="/payments", tags=["payments"])

    @router.post("", status_code=202)
    async def begin_payment(
        wish: PaymentRequest,
        operator: Operator,
        request: Request,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Begin a payment. The key is the business intent's own: with the same content it is the same payment."""
        key = _required(idempotency_key)
        async with runtime.transaction(cause_of(request, operator)) as tx:
            payment = await begin_by_operator(_command(wish, key, tx), tx=tx, rules=rules)
        if payment is None:
            raise IntentConflict("this Idempotency-Key or activation has a payment with other content; compare them")
        headers = {"Location": f"/payments/{payment.id}"}
        return respond(Answer(202, PaymentView.of(payment).model_dump(mode="json"), headers))

    @router.post("/{payment_id}/look-up", status_code=202)
    async def look_up_payment(payment_id: UUID, operator: Operator, request: Request) -> PaymentView:
        """Ask the gateway for its record now; what it says is seen in the payment soon after."""
        async with runtime.transaction(cause_of(request, operator)) as tx:
            await _require(tx, payment_id)
            await look_up_by_operator(payment_id, tx=tx, rules=rules)
            return await _view(tx, payment_id)

    @router.post("/{payment_id}/settlements")
    async def record_settlement(
        payment_id: UUID, wish: SettlementRequest, operator: Operator, request: Request
    ) -> PaymentView:
        """Record that money of this payment reached the bank, once per line."""
        command = RecordSettlement(
            payment_id=payment_id,
            settlement_line_id=wish.settlement_line_id,
            gross=wish.gross,
            fee=wish.fee,
            settled_on=wish.settled_on.isoformat(),
        )
        async with runtime.transaction(cause_of(request, operator)) as tx:
            await _require(tx, payment_id)
            objection = await settle_by_operator(command, tx=tx, rules=rules)
            if objection is not None:
                raise SettlementRefused(f"line {wish.settlement_line_id} cannot be recorded: {objection}")
            return await _view(tx, payment_id)

    @router.post("/{payment_id}/settlement-failure")
    async def fail_settlement(
        payment_id: UUID, wish: SettlementFailure, operator: Operator, request: Request
    ) -> PaymentView:
        """Record that the money of this payment will not come: what was delivered is written off (SVC-8)."""
        async with runtime.transaction(cause_of(request, operator)) as tx:
            await _require(tx, payment_id)
            objection = await fail_by_operator(payment_id, wish.reason, tx=tx, rules=rules)
            if objection is not None:
                raise SettlementRefused(f"the settlement of payment {payment_id} cannot have failed: {objection}")
            return await _view(tx, payment_id)

    return router


def captures_router(runtime: Runtime, rules: Rules) -> APIRouter:
    """`/payments`: capturing by hand, and limiting the capture to come."""
    router = APIRouter(prefix="/payments", tags=["payments"])

    @router.post("/{payment_id}/capture", status_code=202)
    async def capture_payment(
        payment_id: UUID, wish: CaptureRequest, operator: Operator, request: Request
    ) -> PaymentView:
        """Take what is held, on the stored success of its activation alone (SVC-6). There is one capture a payment."""
        async with runtime.transaction(cause_of(request, operator)) as tx:
            await _require(tx, payment_id)
            objection = await ask_capture(payment_id, wish.amount, tx=tx, rules=rules)
        if objection is not None:
            raise CaptureRefused(f"payment {payment_id} cannot be captured: {objection}")
        async with runtime.reading() as tx:
            return await _view(tx, payment_id)

    @router.put("/{payment_id}/capture-limit")
    async def limit_capture(payment_id: UUID, wish: CaptureLimit, operator: Operator, request: Request) -> PaymentView:
        """Have the capture to come take only a part of the hold, as long as the activation is not decided."""
        async with runtime.transaction(cause_of(request, operator)) as tx:
            await _require(tx, payment_id)
            objection = await limit_by_operator(payment_id, wish.amount, wish.reason, tx=tx, rules=rules)
            if objection is not None:
                raise CaptureRefused(f"the capture of payment {payment_id} cannot be limited: {objection}")
            return await _view(tx, payment_id)

    return router


def _command(wish: PaymentRequest, key: str, tx: Tx) -> Beginning:
    fields = {
        "payment_id": new_id(),
        "idempotency_key": key,
        "requested_at": tx.now,
        **{name: getattr(wish, name) for name in PaymentRequest.model_fields if name != "customer_present"},
    }
    if wish.purpose is PaymentPurpose.SERVICE:
        return AuthorizePayment(**fields)
    is_bill = wish.purpose is PaymentPurpose.SUBSCRIPTION
    present = not is_bill if wish.customer_present is None else wish.customer_present
    return ChargePayment(**fields, customer_present=present)


def _required(key: str | None) -> str:
    if not key or len(key) > MAX_KEY_LENGTH or not key.isprintable():
        raise IdempotencyKeyMissing(f"send an Idempotency-Key header of 1 to {MAX_KEY_LENGTH} printable characters")
    return key


async def _require(tx: Tx, payment_id: UUID) -> None:
    if await payments.read_payment(tx, payment_id) is None:
        raise PaymentNotFound(f"there is no payment {payment_id}")


async def _view(tx: Tx, payment_id: UUID) -> PaymentView:
    payment = await payments.read_payment(tx, payment_id)
    assert payment is not None, "payments are never deleted"
    return PaymentView.of(payment)
