"""Reserving a vehicle, paying the rest, and reading orders over HTTP (RES-1, FIN-2: bounded, honest answers)."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from caas_chassis.auth import Principal
from caas_chassis.idempotency import Answer, IdempotentRequest, answer_once
from caas_chassis.ids import new_id
from caas_chassis.preferring import answer_when_known, wait_of
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import cause_of, requires
from caas_contracts.message import Code, Token
from caas_contracts.money import Money
from caas_orders.domain.refusal import Refusal
from caas_orders.domain.registration import Customer, Language
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.domain.vehicle_order import VehicleOrder
from caas_orders.errors import OrderNotFound
from caas_orders.handlers.order_amending import order_waiting_key
from caas_orders.handlers.order_paying import RestWish, pay_rest
from caas_orders.handlers.reserving import Configuration, ReservationWish, reserve
from caas_orders.handlers.supplying import resubmit_order
from caas_orders.http.order_outcomes import location, payment_outcome, reservation_outcome
from caas_orders.http.owning import owner_asked_for, visible_to
from caas_orders.http.refusing import problem_of
from caas_orders.http.registering import CustomerData
from caas_orders.http.representing_orders import order_json
from caas_orders.store import vehicle_orders

_RESERVE: Final = "POST /vehicle-orders"
_PAY: Final = "POST /vehicle-orders/{order_id}/final-payment"

_OUTCOMES: Final[dict[int | str, dict[str, Any]]] = {
    201: {"description": "paid, when the caller waited; the order"},
    202: {"description": "accepted; Location tells the outcome"},
    402: {"description": "declined, with the reason"},
    404: {"description": "no such order or vehicle"},
    409: {"description": "not possible now, or somebody was faster; nothing charged"},
    422: {"description": "not offered like this; or the key was used for another request"},
}

_Customer = Annotated[Principal, Depends(requires("customer"))]
_CustomerOrOperator = Annotated[Principal, Depends(requires("customer", "operator"))]
_Operator = Annotated[Principal, Depends(requires("operator"))]
_Key = Annotated[str | None, Header()]
_Strict = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


class VehicleOrderRequest(BaseModel):
    """A vehicle to be built (`model`, `options`, `dealership`) or one from stock (`vehicle_id`), and its reservation.

    The price is the catalogue's. `customer` is needed from who is not registered yet.
    """

    model_config = _Strict

    model: Code | None = None
    options: Annotated[list[Code], Field(max_length=50)] = []
    dealership: Code | None = None
    vehicle_id: Code | None = None
    customer: CustomerData | None = None
    payment_method: Token = Field(description="the gateway's token, never a card number (GW-6)")

    @model_validator(mode="after")
    def _one_vehicle(self) -> Self:
        to_build = self.model is not None and self.dealership is not None
        from_stock = self.model is None and self.dealership is None and not self.options
        if (self.vehicle_id is None and not to_build) or (self.vehicle_id is not None and not from_stock):
            raise ValueError("send either model and dealership, or vehicle_id")
        return self

    def vehicle(self) -> Configuration | str:
        """What is to be reserved."""
        if self.vehicle_id is not None:
            return self.vehicle_id
        return Configuration(self.model or "", tuple(self.options), self.dealership or "")


class FinalPaymentRequest(BaseModel):
    """The final payment. The amount is ours (FIN-1); whoever sends one has it checked."""

    model_config = _Strict

    payment_method: Token = Field(description="the gateway's token, never a card number (GW-6)")
    amount: Money | None = None


def vehicle_orders_router(runtime: Runtime, policy: SalesPolicy) -> APIRouter:
    """`/vehicle-orders`, for customers; operators may read, and send again what a partner refused."""
    router = APIRouter(tags=["vehicle orders"])

    @router.post("/vehicle-orders", status_code=202, responses=_OUTCOMES)
    async def reserve_vehicle(
        request: Request,
        body: VehicleOrderRequest,
        principal: _Customer,
        idempotency_key: _Key = None,
        prefer: _Key = None,
    ) -> Response:
        asked = IdempotentRequest(idempotency_key, principal, _RESERVE, body.model_dump_json().encode())
        async with runtime.transaction(cause_of(request, principal)) as tx:
            accepted = await answer_once(tx, asked, lambda: _reserve(body, principal, policy, tx))
        order_id = UUID(accepted.body["order_id"])
        look = partial(_outcome, order_id, reservation_outcome)
        return await answer_when_known(runtime, accepted, order_waiting_key(order_id), look, wait_of(prefer))

    @router.post("/vehicle-orders/{order_id}/final-payment", status_code=202, responses=_OUTCOMES)
    async def pay(
        request: Request,
        order_id: UUID,
        body: FinalPaymentRequest,
        principal: _Customer,
        idempotency_key: _Key = None,
        prefer: _Key = None,
    ) -> Response:
        route = _PAY.format(order_id=order_id)
        asked = IdempotentRequest(idempotency_key, principal, route, body.model_dump_json().encode())
        async with runtime.transaction(cause_of(request, principal)) as tx:
            accepted = await answer_once(tx, asked, lambda: _pay(order_id, body, principal, policy, tx))
        outcome = partial(payment_outcome, payment_id=UUID(accepted.body["final_payment_id"]))
        look = partial(_outcome, order_id, outcome)
        return await answer_when_known(runtime, accepted, order_waiting_key(order_id), look, wait_of(prefer))

    @router.get("/vehicle-orders/{order_id}")
    async def read_order(order_id: UUID, principal: _CustomerOrOperator) -> dict[str, Any]:
        async with runtime.reading() as tx:
            order = (await vehicle_orders.read([order_id], tx=tx)).get(order_id)
        return order_json(visible_to(principal, order, OrderNotFound(f"there is no vehicle order {order_id}")))

    @router.get("/vehicle-orders")
    async def list_orders(
        principal: _CustomerOrOperator,
        customer_id: Code | None = None,
        before: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        async with runtime.reading() as tx:
            owner = owner_asked_for(principal, customer_id)
            found = await vehicle_orders.of_customer(owner, before=before, limit=limit, tx=tx)
        orders = [order_json(order) for order in found]
        return {"vehicle_orders": orders, "before": orders[-1]["order_id"] if len(orders) == limit else None}

    @router.post("/vehicle-orders/{order_id}/resubmission", status_code=202)
    async def resubmit(request: Request, order_id: UUID, principal: _Operator) -> dict[str, Any]:
        async with runtime.transaction(cause_of(request, principal)) as tx:
            outcome = await resubmit_order(order_id, policy, tx=tx)
        if isinstance(outcome, Refusal):
            raise problem_of(outcome)
        return order_json(outcome)

    return router


async def _outcome(order_id: UUID, outcome: Callable[[VehicleOrder], Answer | None], tx: Tx) -> Answer | None:
    return outcome((await vehicle_orders.read([order_id], tx=tx))[order_id])


async def _reserve(body: VehicleOrderRequest, principal: Principal, policy: SalesPolicy, tx: Tx) -> Answer:
    """Store the order; the answer is kept under the caller's Idempotency-Key."""
    wish = ReservationWish(
        order_id=new_id(),
        payment_id=new_id(),
        customer_id=principal.subject,
        customer=None if body.customer is None else _customer(body.customer, principal),
        vehicle=body.vehicle(),
        payment_method=body.payment_method,
    )
    outcome = await reserve(wish, policy, tx=tx)
    if isinstance(outcome, Refusal):
        raise problem_of(outcome)
    return Answer(202, order_json(outcome), location(outcome))


async def _pay(order_id: UUID, body: FinalPaymentRequest, principal: Principal, policy: SalesPolicy, tx: Tx) -> Answer:
    """Begin the final payment; the answer is kept under the caller's Idempotency-Key."""
    wish = RestWish(
        order_id=order_id,
        payment_id=new_id(),
        customer_id=principal.subject,
        offered=body.amount,
        payment_method=body.payment_method,
    )
    outcome = await pay_rest(wish, policy, tx=tx)
    if isinstance(outcome, Refusal):
        raise problem_of(outcome)
    return Answer(202, order_json(outcome), location(outcome))


def _customer(data: CustomerData, principal: Principal) -> Customer:
    return Customer(principal.subject, data.name, data.email, Language(data.language), data.tax_id)
