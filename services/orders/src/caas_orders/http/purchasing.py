"""Placing, reading and cancelling purchases over HTTP (SVC-3, SVC-11, RES-1's way of waiting)."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from caas_chassis.auth import Principal
from caas_chassis.idempotency import Answer, IdempotentRequest, answer_once
from caas_chassis.ids import new_id
from caas_chassis.preferring import answer_when_known, wait_of
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
from caas_orders.http.owning import owner_asked_for, visible_to
from caas_orders.http.refusing import problem_of, problem_of_end
from caas_orders.http.representing import purchase_json
from caas_orders.store import purchases, recurrences

_ROUTE: Final = "POST /purchases"

_OUTCOMES: Final[dict[int | str, dict[str, Any]]] = {
    201: {"description": "active, or paid and scheduled, when the caller waited"},
    202: {"description": "accepted; look at Location"},
    402: {"description": "payment declined; nothing charged"},
    404: {"description": "no such vehicle or service"},
    409: {"description": "bought already, blocked by maintenance, failed or cancelled; nothing charged"},
    422: {"description": "not offered for this vehicle, in this way; or the key was used for another request"},
}

_Customer = Annotated[Principal, Depends(requires("customer"))]
_CustomerOrOperator = Annotated[Principal, Depends(requires("customer", "operator"))]


class PurchaseRequest(BaseModel):
    """What a customer buys or subscribes. Prices and rates are the catalogue's; `duration_days` only for a time.

    `starts_on` is the local day of a planned purchase (PLN-1), `period_months` the period of what recurs (REC-1).
    """

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    vehicle_id: Code
    service_code: Code
    kind: Literal["temporary", "permanent", "planned", "recurring", "subscription"]
    duration_days: Annotated[int, Field(ge=1, le=3660)] | None = None
    starts_on: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    time_zone: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")] = "Europe/Madrid"
    period_months: Annotated[int, Field(ge=1, le=12)] | None = None
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
        purchase_id = UUID(accepted.body["purchase_id"])
        look = partial(_outcome, purchase_id)
        return await answer_when_known(runtime, accepted, waiting_key(purchase_id), look, wait_of(prefer))

    @router.get("/purchases/{purchase_id}")
    async def read_purchase(purchase_id: UUID, principal: _CustomerOrOperator) -> dict[str, Any]:
        async with runtime.reading() as tx:
            purchase = await _visible(purchase_id, principal, tx)
            return (await described([purchase], tx))[0]

    @router.get("/purchases")
    async def list_purchases(
        principal: _CustomerOrOperator,
        customer_id: Code | None = None,
        before: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        async with runtime.reading() as tx:
            owner = owner_asked_for(principal, customer_id)
            found = await purchases.of_customer(owner, before=before, limit=limit, tx=tx)
            page = await described(found, tx)
        return {"purchases": page, "before": page[-1]["purchase_id"] if len(page) == limit else None}

    @router.post("/purchases/{purchase_id}/cancellation", status_code=202)
    async def cancel_purchase(request: Request, purchase_id: UUID, principal: _CustomerOrOperator) -> Response:
        async with runtime.transaction(cause_of(request, principal)) as tx:
            owner = (await _visible(purchase_id, principal, tx)).customer_id
            outcome = await cancel(purchase_id, owner, tx=tx)
            if isinstance(outcome, Refusal):
                raise problem_of(outcome)
            (body,) = await described([outcome], tx)
        return respond(Answer(200 if outcome.ended else 202, body, _location(outcome)))

    return router


async def described(found: Sequence[Purchase], tx: Tx) -> list[dict[str, Any]]:
    """Purchases as JSON, with what those that recur will renew next."""
    recurring = [purchase.purchase_id for purchase in found if purchase.period_months is not None]
    known = await recurrences.read(recurring, tx=tx) if recurring else {}
    return [purchase_json(purchase, known.get(purchase.purchase_id)) for purchase in found]


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
        starts_on=body.starts_on,
        time_zone=body.time_zone,
        period_months=body.period_months,
    )
    (outcome,) = await place([wish], [tx.cause], tx=tx)
    if isinstance(outcome, Refusal):
        raise problem_of(outcome)
    return Answer(202, purchase_json(outcome), _location(outcome))


async def _outcome(purchase_id: UUID, tx: Tx) -> Answer | None:
    """201 with the active or scheduled purchase; the problem that ended it, with the purchase; None while unknown."""
    purchase = (await purchases.read([purchase_id], tx=tx))[purchase_id]
    if not purchase.answered:
        return None
    problem = problem_of_end(purchase)
    if problem is None:
        status = 201 if purchase.status in (PurchaseStatus.ACTIVE, PurchaseStatus.SCHEDULED) else 200
        return Answer(status, purchase_json(purchase), _location(purchase))
    body = {**problem_body(problem), "reason": purchase.reason, "purchase": purchase_json(purchase)}
    return Answer(problem.status, body, _location(purchase))


async def _visible(purchase_id: UUID, principal: Principal, tx: Tx) -> Purchase:
    purchase = (await purchases.read([purchase_id], tx=tx)).get(purchase_id)
    return visible_to(principal, purchase, PurchaseNotFound(f"there is no purchase {purchase_id}"))


def _location(purchase: Purchase) -> Mapping[str, str]:
    return {"Location": f"/purchases/{purchase.purchase_id}"}
