"""Placing, reading and cancelling purchases over HTTP (SVC-3, SVC-11, RES-1's way of waiting)."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from caas_chassis.auth import Principal
from caas_chassis.idempotency import Answer, IdempotentRequest, answer_once
from caas_chassis.ids import new_id
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import cause_of, problem_body, requires, respond
from caas_contracts.message import Code, Token
from caas_contracts.orders import PurchaseKind
from caas_orders.domain.placing import Wish
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.refusal import Refusal
from caas_orders.domain.status import PurchaseStatus
from caas_orders.errors import PurchaseNotFound
from caas_orders.handlers.amending import waiting_key
from caas_orders.handlers.placing import place
from caas_orders.handlers.purchasing import cancel
from caas_orders.http.preferring import wait_of
from caas_orders.http.refusing import problem_of, problem_of_end
from caas_orders.http.representing import purchase_json
from caas_orders.store import purchases

_ROUTE: Final = "POST /purchases"

_OUTCOMES: Final[dict[int | str, dict[str, Any]]] = {
    201: {"description": "active, when the caller waited"},
    202: {"description": "accepted; look at Location"},
    402: {"description": "payment declined; nothing charged"},
    404: {"description": "no such vehicle or service"},
    409: {"description": "bought already, blocked by maintenance, failed or cancelled; nothing charged"},
    422: {"description": "not offered for this vehicle, in this way; or the key was used for another request"},
}

_Customer = Annotated[Principal, Depends(requires("customer"))]
_CustomerOrOperator = Annotated[Principal, Depends(requires("customer", "operator"))]


class PurchaseRequest(BaseModel):
    """What a customer buys. The price is the catalogue's; `duration_days` only for temporary purchases."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    vehicle_id: Code
    service_code: Code
    kind: Literal["temporary", "permanent"]
    duration_days: Annotated[int, Field(ge=1, le=3660)] | None = None
    payment_method: Token = Field(description="the gateway's token, never a card number (GW-6)")
    immediate_performance_consent: bool = Field(description="DES-8")


def purchases_router(runtime: Runtime) -> APIRouter:
    """`/purchases`, for customers; operators may read and cancel."""
    router = APIRouter(tags=["purchases"])

    @router.post("/purchases", status_code=202, responses=_OUTCOMES)
    async def place_purchase(
        request: Request,
        body: PurchaseRequest,
        principal: _Customer,
        idempotency_key: Annotated[str | None, Header()] = None,
        prefer: Annotated[str | None, Header()] = None,
    ) -> Response:
        asked = IdempotentRequest(idempotency_key, principal, _ROUTE, body.model_dump_json().encode())
        async with runtime.transaction(cause_of(request, principal)) as tx:
            accepted = await answer_once(tx, asked, lambda: _accept(body, principal, tx))
        wait_s = wait_of(prefer)
        ended = await _ended(runtime, UUID(accepted.body["purchase_id"]), wait_s) if wait_s else None
        answer = accepted if ended is None else _outcome(ended)
        applied = {"Preference-Applied": f"wait={wait_s}"} if wait_s else {}
        return respond(Answer(answer.status, answer.body, {**answer.headers, **applied}))

    @router.get("/purchases/{purchase_id}")
    async def read_purchase(purchase_id: UUID, principal: _CustomerOrOperator) -> dict[str, Any]:
        async with runtime.reading() as tx:
            return purchase_json(await _visible(purchase_id, principal, tx))

    @router.get("/purchases")
    async def list_purchases(
        principal: _CustomerOrOperator,
        customer_id: Code | None = None,
        before: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        owner = customer_id if principal.is_staff and customer_id else principal.subject
        async with runtime.reading() as tx:
            found = await purchases.of_customer(owner, before=before, limit=limit, tx=tx)
        following = str(found[-1].purchase_id) if len(found) == limit else None
        return {"purchases": [purchase_json(purchase) for purchase in found], "before": following}

    @router.post("/purchases/{purchase_id}/cancellation", status_code=202)
    async def cancel_purchase(request: Request, purchase_id: UUID, principal: _CustomerOrOperator) -> Response:
        async with runtime.transaction(cause_of(request, principal)) as tx:
            owner = (await _visible(purchase_id, principal, tx)).customer_id
            outcome = await cancel(purchase_id, owner, tx=tx)
        if isinstance(outcome, Refusal):
            raise problem_of(outcome)
        return respond(Answer(200 if outcome.ended else 202, purchase_json(outcome), _location(outcome)))

    return router


async def _accept(body: PurchaseRequest, principal: Principal, tx: Tx) -> Answer:
    """Store the purchase; the answer is kept under the caller's Idempotency-Key."""
    wish = Wish(
        purchase_id=new_id(),
        payment_id=new_id(),
        activation_id=new_id(),
        customer_id=principal.subject,
        vehicle_id=body.vehicle_id,
        service_code=body.service_code,
        kind=PurchaseKind(body.kind),
        duration_days=body.duration_days,
        payment_method=body.payment_method,
        consent=body.immediate_performance_consent,
        requested_at=tx.now,
        awaited=True,
    )
    (outcome,) = await place([wish], [tx.cause], tx=tx)
    if isinstance(outcome, Refusal):
        raise problem_of(outcome)
    return Answer(202, purchase_json(outcome), _location(outcome))


async def _ended(runtime: Runtime, purchase_id: UUID, wait_s: int) -> Purchase | None:
    """The purchase as soon as its outcome is known, in whichever replica, or None when the time is over."""

    async def check() -> Purchase | None:
        async with runtime.reading() as tx:
            purchase = (await purchases.read([purchase_id], tx=tx))[purchase_id]
        return purchase if purchase.ended else None

    return await runtime.wait(waiting_key(purchase_id), check, wait_s)


def _outcome(purchase: Purchase) -> Answer:
    """201 with the active purchase; otherwise the problem that ended it, with the purchase beside it."""
    problem = problem_of_end(purchase)
    if problem is None:
        status = 201 if purchase.status is PurchaseStatus.ACTIVE else 200
        return Answer(status, purchase_json(purchase), _location(purchase))
    body = {**problem_body(problem), "reason": purchase.reason, "purchase": purchase_json(purchase)}
    return Answer(problem.status, body, _location(purchase))


async def _visible(purchase_id: UUID, principal: Principal, tx: Tx) -> Purchase:
    purchase = (await purchases.read([purchase_id], tx=tx)).get(purchase_id)
    if purchase is None or not (principal.is_staff or purchase.customer_id == principal.subject):
        raise PurchaseNotFound(f"there is no purchase {purchase_id}")
    return purchase


def _location(purchase: Purchase) -> Mapping[str, str]:
    return {"Location": f"/purchases/{purchase.purchase_id}"}
