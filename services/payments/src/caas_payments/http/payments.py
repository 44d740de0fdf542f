"""Payments for operators, and each customer's own (PAY-6)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response

from caas_chassis.auth import Principal
from caas_chassis.idempotency import Answer, IdempotentRequest, answer_once
from caas_chassis.ids import new_id
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import Depends, cause_of, requires, respond
from caas_payments.domain import refund
from caas_payments.domain.payment import Payment
from caas_payments.domain.rules import Rules
from caas_payments.errors import PaymentNotFound, RefundRefused, VoidRefused
from caas_payments.handlers.commands import ask_refund
from caas_payments.handlers.wishes import void_by_operator
from caas_payments.http.views import (
    PaymentFile,
    PaymentList,
    PaymentView,
    RefundRequest,
    RefundView,
    VoidRequest,
)
from caas_payments.store import attempts, audit, calls, payments, refunds

type Operator = Annotated[Principal, Depends(requires("operator"))]
type Reader = Annotated[Principal, Depends(requires("operator", "customer"))]


def payments_router(runtime: Runtime, rules: Rules) -> APIRouter:
    """`/payments`: queries, voids and refunds."""
    router = APIRouter(prefix="/payments", tags=["payments"])

    @router.get("")
    async def list_payments(subject_id: UUID, _: Operator) -> PaymentList:
        """The payments of one purchase, order or invoice."""
        async with runtime.reading() as tx:
            found = await payments.read_payments_of(tx, subject_id)
        return PaymentList(payments=[PaymentView.of(payment) for payment in found])

    @router.get("/{payment_id}")
    async def show_payment(payment_id: UUID, reader: Reader) -> PaymentFile | PaymentView:
        """Operators see the whole file, customers their own payment without its inner history."""
        async with runtime.reading() as tx:
            payment = await _visible_payment(tx, payment_id, reader)
            return await _file(tx, payment) if reader.is_staff else PaymentView.of(payment)

    @router.post("/{payment_id}/void")
    async def void_payment(payment_id: UUID, wish: VoidRequest, operator: Operator, request: Request) -> PaymentFile:
        """Release the hold, as far as the charge fence allows."""
        async with runtime.transaction(cause_of(request, operator)) as tx:
            await _visible_payment(tx, payment_id, operator)
            objection = await void_by_operator(payment_id, wish.reason, tx=tx, rules=rules)
        if objection is not None:
            raise VoidRefused(f"payment {payment_id} cannot be voided: {objection}")
        async with runtime.reading() as tx:
            return await _file(tx, await _visible_payment(tx, payment_id, operator))

    @router.post("/{payment_id}/refunds", status_code=202)
    async def refund_payment(
        payment_id: UUID,
        wish: RefundRequest,
        operator: Operator,
        request: Request,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Give captured money back, once per Idempotency-Key."""
        asked = IdempotentRequest(
            idempotency_key, operator, f"POST /payments/{payment_id}/refunds", await request.body()
        )
        async with runtime.transaction(cause_of(request, operator)) as tx:
            await _visible_payment(tx, payment_id, operator)

            async def produce() -> Answer:
                return await _refund(tx, payment_id, wish, rules)

            return respond(await answer_once(tx, asked, produce))

    return router


async def _visible_payment(tx: Tx, payment_id: UUID, reader: Principal) -> Payment:
    """Another customer's payment is as good as none."""
    payment = await payments.read_payment(tx, payment_id)
    if payment is None or not (reader.is_staff or payment.intent.customer_id == reader.subject):
        raise PaymentNotFound(f"there is no payment {payment_id}")
    return payment


async def _file(tx: Tx, payment: Payment) -> PaymentFile:
    of_payment = await refunds.read_refunds_of(tx, {payment.id})
    return PaymentFile.assemble(
        payment,
        await attempts.read_attempts(tx, payment.id),
        await calls.read_calls(tx, payment.id),
        of_payment.get(payment.id, ()),
        await audit.read_audit_of(tx, payment.id),
    )


async def _refund(tx: Tx, payment_id: UUID, wish: RefundRequest, rules: Rules) -> Answer:
    asked = refund.Refund(
        id=new_id(),
        payment_id=payment_id,
        amount_minor=wish.amount.amount_minor,
        reason=wish.reason,
        requested_at=tx.now,
    )
    objection = await ask_refund(asked, wish.amount.currency, tx=tx, rules=rules)
    if objection is not None:
        raise RefundRefused(f"payment {payment_id} cannot be refunded: {objection}")
    return Answer(202, RefundView.model_validate(asked).model_dump(mode="json"))
