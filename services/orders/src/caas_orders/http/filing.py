"""The *expediente de compra*: everything one customer bought, subscribed, was told and was invoiced (NOT-1, INV-4)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from caas_chassis.auth import Principal
from caas_chassis.runtime import Runtime
from caas_chassis.web import requires
from caas_contracts.message import Code
from caas_contracts.orders import PurchaseKind
from caas_orders.http.owning import owner_asked_for
from caas_orders.http.purchasing import described
from caas_orders.http.representing import document_json, notification_json, subscription_json
from caas_orders.http.representing_orders import order_json
from caas_orders.store import documents, notifications, purchases, vehicle_orders

_Reader = Annotated[Principal, Depends(requires("customer", "operator"))]


def expediente_router(runtime: Runtime) -> APIRouter:
    """`/expediente`: a customer's own; operators name the customer."""
    router = APIRouter(tags=["expediente"])

    @router.get("/expediente")
    async def read_expediente(
        principal: _Reader,
        customer_id: Code | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 100,
    ) -> dict[str, Any]:
        owner = owner_asked_for(principal, customer_id)
        async with runtime.reading() as tx:
            bought = await purchases.of_customer(owner, before=None, limit=limit, tx=tx)
            ordered = await vehicle_orders.of_customer(owner, before=None, limit=limit, tx=tx)
            told = await notifications.of_customer(owner, limit=limit, tx=tx)
            issued = await documents.of_customer(owner, limit=limit, tx=tx)
            subscribed = await purchases.of_customer(
                owner, before=None, limit=limit, kind=PurchaseKind.SUBSCRIPTION, tx=tx
            )
            listed = await described(bought, tx)
            billed = await documents.of_subjects([one.purchase_id for one in subscribed], limit=limit, tx=tx)
        return {
            "customer_id": owner,
            "purchases": listed,
            "subscriptions": [subscription_json(one, billed.get(one.purchase_id, [])) for one in subscribed],
            "vehicle_orders": [order_json(order) for order in ordered],
            "notifications": [notification_json(notification) for notification in told],
            "documents": [document_json(document) for document in issued],
        }

    return router
