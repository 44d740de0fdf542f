"""Subscriptions over HTTP: where they stand and what they owe, another payment method, and paying now (SUB-6)."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.domain.owed import SubscriptionView
from caas_billing.domain.receivable import ChargeOutcome, ReceivableStatus
from caas_billing.domain.subscription import SubscriptionStatus
from caas_billing.errors import PaymentDeclined, PaymentUnavailable, SubscriptionNotFound
from caas_billing.handlers.dunning import receivable_key
from caas_billing.handlers.paying import PayingWish, change_method, pay_invoice
from caas_billing.http.callers import Limit, Reader, visible_to
from caas_billing.store import owed
from caas_billing.store.owed import SubscriptionFilter
from caas_chassis.errors import Problem
from caas_chassis.idempotency import Answer, IdempotentRequest, answer_once
from caas_chassis.preferring import answer_when_known, wait_of
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import Principal, cause_of, problem_body, requires
from caas_contracts.message import Code, Token

_PAY: Final = "POST /invoices/{invoice_id}/payment"
_Customer = Annotated[Principal, Depends(requires("customer"))]
_Header = Annotated[str | None, Header()]
_Strict = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)
_OUTCOMES: Final[dict[int | str, dict[str, Any]]] = {
    201: {"description": "paid, when the caller waited"},
    202: {"description": "accepted, or the bank wants to hear from the customer (`action_url`)"},
    402: {"description": "declined, with the reason; nothing was taken"},
    404: {"description": "no such monthly invoice of the caller"},
    409: {"description": "paid already, being paid, or not possible for a technical reason"},
    422: {"description": "the payment method was refused for good; or the key was used for another request"},
}


class SubscriptionPage(BaseModel):
    """Subscriptions, newest first; `next_before` continues the list and is null at its end."""

    subscriptions: list[SubscriptionView]
    next_before: UUID | None


class NewMethod(BaseModel):
    """Another payment method: the gateway's token, never a card number (GW-6)."""

    model_config = _Strict

    payment_method: Token


class MethodChanged(BaseModel):
    """What is charged at once because there is another method now."""

    charged_invoices: list[UUID]


class InvoicePaymentRequest(BaseModel):
    """What an invoice is paid with: this token, or the subscription's method without one."""

    model_config = _Strict

    payment_method: Token | None = Field(default=None, description="the gateway's token, never a card number (GW-6)")


def subscriptions_router(runtime: Runtime, policy: BillingPolicy) -> APIRouter:
    """`/subscriptions`, for customers (their own) and operators (everyone's)."""
    router = APIRouter(tags=["subscriptions"])

    @router.get("/subscriptions")
    async def list_subscriptions(
        principal: Reader,
        customer_id: Code | None = None,
        status: SubscriptionStatus | None = None,
        before: UUID | None = None,
        limit: Limit = 50,
    ) -> SubscriptionPage:
        """The caller's subscriptions with what is unpaid; operators see all, or one customer's."""
        whose = visible_to(principal) or customer_id
        wanted = SubscriptionFilter(customer_id=whose, status=status, before=before, limit=limit)
        async with runtime.reading() as tx:
            found = await owed.list_subscriptions(tx, wanted, policy.time_zone)
        return SubscriptionPage(
            subscriptions=found, next_before=found[-1].subscription_id if len(found) == limit else None
        )

    @router.get("/subscriptions/{subscription_id}")
    async def read_subscription(subscription_id: UUID, principal: Reader) -> SubscriptionView:
        """One subscription with all its invoices and every attempt at them."""
        wanted = SubscriptionFilter(customer_id=visible_to(principal), subscription_id=subscription_id, limit=1)
        async with runtime.reading() as tx:
            found = await owed.list_subscriptions(tx, wanted, policy.time_zone, with_history=True)
        if not found:
            raise SubscriptionNotFound(f"no subscription {subscription_id} of yours: list them with GET /subscriptions")
        return found[0]

    @router.put("/subscriptions/{subscription_id}/payment-method")
    async def put_payment_method(
        request: Request, subscription_id: UUID, body: NewMethod, principal: _Customer
    ) -> MethodChanged:
        """Charge another method from now on; what waits for its next attempt is charged at once."""
        async with runtime.transaction(cause_of(request, principal)) as tx:
            charged = await change_method(subscription_id, principal.subject, body.payment_method, tx=tx)
        return MethodChanged(charged_invoices=list(charged))

    return router


def paying_router(runtime: Runtime) -> APIRouter:
    """Paying a monthly invoice now, by its customer."""
    router = APIRouter(tags=["subscriptions"])

    @router.post("/invoices/{invoice_id}/payment", status_code=202, responses=_OUTCOMES)
    async def pay(
        request: Request,
        invoice_id: UUID,
        body: InvoicePaymentRequest,
        principal: _Customer,
        idempotency_key: _Header = None,
        prefer: _Header = None,
    ) -> Response:
        """Pay an open invoice, or one that is in collections; `Prefer: wait=N` waits for the outcome."""
        route = _PAY.format(invoice_id=invoice_id)
        asked = IdempotentRequest(idempotency_key, principal, route, body.model_dump_json().encode())
        wish = PayingWish(invoice_id, principal.subject, body.payment_method)
        async with runtime.transaction(cause_of(request, principal)) as tx:
            accepted = await answer_once(tx, asked, lambda: _begin(wish, tx))
        payment_id = UUID(accepted.body["payment_id"])
        return await answer_when_known(
            runtime,
            accepted,
            receivable_key(invoice_id),
            lambda tx: _outcome(tx, invoice_id, payment_id),
            wait_of(prefer),
        )

    return router


async def _begin(wish: PayingWish, tx: Tx) -> Answer:
    payment_id = await pay_invoice(wish, tx=tx)
    return Answer(202, _body(wish.invoice_id, payment_id, ReceivableStatus.PROCESSING))


async def _outcome(tx: Tx, invoice_id: UUID, payment_id: UUID) -> Answer | None:
    """What became of this attempt; None while nothing is known."""
    known = await owed.find_outcome(tx, payment_id)
    if known is None:
        return None
    location = {"Location": f"/subscriptions/{known.subscription_id}"}
    body = _body(invoice_id, payment_id, known.status)
    match known.outcome:
        case None if known.action_url is not None:
            return Answer(202, {**body, "action_url": known.action_url}, location)
        case None:
            return None
        case ChargeOutcome.PAID | ChargeOutcome.SURPLUS:
            return Answer(201, body, location)
        case ChargeOutcome.ABANDONED:
            technical = "the payment could not be made for a technical reason: nothing was taken, you may try again"
            return _refused(PaymentUnavailable(technical), body, known.reason, location)
        case _:
            declined = PaymentDeclined(f"{known.reason}: nothing was taken, you may try another method")
            return _refused(declined, body, known.reason, location)


def _refused(problem: Problem, body: dict[str, str], reason: str | None, location: dict[str, str]) -> Answer:
    told = {"invoice_id": body["invoice_id"], "payment_id": body["payment_id"], "reason": reason}
    return Answer(problem.status, {**problem_body(problem), **told}, location)


def _body(invoice_id: UUID, payment_id: UUID, status: ReceivableStatus) -> dict[str, str]:
    return {"invoice_id": str(invoice_id), "payment_id": str(payment_id), "status": status.value}
