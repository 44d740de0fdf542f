"""The catalogue as one vehicle may use it (SVC-1)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from caas_chassis.auth import Principal
from caas_chassis.runtime import Runtime
from caas_chassis.web import requires
from caas_contracts.message import Code
from caas_orders.domain.catalogue import current_catalogue
from caas_orders.errors import VehicleNotFound
from caas_orders.http.representing import instant_json, offer_json
from caas_orders.store import purchases, registrations

_Reader = Annotated[Principal, Depends(requires("customer", "dealer", "operator"))]


def catalogue_router(runtime: Runtime) -> APIRouter:
    """`/catalogue`: customers for their own vehicles, dealers and operators for any."""
    router = APIRouter(tags=["catalogue"])

    @router.get("/catalogue")
    async def read_catalogue(vehicle_id: Code, principal: _Reader) -> dict[str, Any]:
        async with runtime.reading() as tx:
            buyer = (await registrations.buyers([vehicle_id], tx=tx)).get(vehicle_id)
            occupied = await purchases.occupied_services(vehicle_id, tx=tx)
            now = tx.now
        staff = principal.roles & {"dealer", "operator"}
        if buyer is None or not (staff or buyer.customer.customer_id == principal.subject):
            raise VehicleNotFound(f"there is no vehicle {vehicle_id}")
        catalogue = current_catalogue()
        offers = catalogue.offers_for(buyer.vehicle)
        return {
            "vehicle_id": vehicle_id,
            "version": catalogue.version,
            "stolen_at": instant_json(buyer.vehicle.stolen_at),
            "services": [offer_json(offer, occupied.get(offer.code), now) for offer in offers],
        }

    return router
