"""The catalogue of vehicles, the vehicles in stock, and who had them (RES-6, FIN-4)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from caas_chassis.auth import Principal
from caas_chassis.runtime import Runtime
from caas_chassis.web import requires
from caas_contracts.message import Code
from caas_orders.domain.vehicle_catalogue import current_vehicle_catalogue
from caas_orders.errors import VehicleNotFound
from caas_orders.http.representing_orders import assignment_json, vehicle_catalogue_json, vehicle_json
from caas_orders.store import stock

_Reader = Annotated[Principal, Depends(requires("customer", "dealer", "operator"))]
_Staff = Annotated[Principal, Depends(requires("dealer", "operator"))]


def stock_router(runtime: Runtime) -> APIRouter:
    """`/vehicle-catalogue` and `/stock` for everybody; a vehicle's assignments for dealers and operators."""
    router = APIRouter(tags=["stock"])

    @router.get("/vehicle-catalogue")
    async def read_vehicle_catalogue(_: _Reader) -> dict[str, Any]:
        return vehicle_catalogue_json(current_vehicle_catalogue())

    @router.get("/stock")
    async def list_stock(
        _: _Reader,
        model: Code | None = None,
        after: Code | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> dict[str, Any]:
        async with runtime.reading() as tx:
            found = await stock.on_sale(model=model, after=after, limit=limit, tx=tx)
        following = found[-1].vehicle_id if len(found) == limit else None
        return {"vehicles": [vehicle_json(vehicle) for vehicle in found], "after": following}

    @router.get("/stock/{vehicle_id}/assignments")
    async def list_assignments(vehicle_id: Code, _: _Staff) -> dict[str, Any]:
        async with runtime.reading() as tx:
            found = await stock.assignments(vehicle_id, tx=tx)
        if not found:
            raise VehicleNotFound(f"there is no vehicle {vehicle_id} that was built for an order")
        return {"vehicle_id": vehicle_id, "assignments": [assignment_json(assignment) for assignment in found]}

    return router
