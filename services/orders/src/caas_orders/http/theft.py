"""Reporting a vehicle stolen over HTTP, by its owner or by an operator (THF)."""

from datetime import UTC
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from caas_chassis.auth import Principal
from caas_chassis.idempotency import Answer
from caas_chassis.runtime import Runtime
from caas_chassis.web import cause_of, requires, respond
from caas_contracts.message import Code
from caas_orders.errors import VehicleNotFound
from caas_orders.handlers.theft import Report, Stolen, report_stolen
from caas_orders.http.owning import visible_to
from caas_orders.http.representing import instant_json
from caas_orders.store import registrations

_CustomerOrOperator = Annotated[Principal, Depends(requires("customer", "operator"))]


class TheftReport(BaseModel):
    """A report. The same `report_id` again is the same report; a vehicle is stolen once."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    report_id: UUID
    reported_at: AwareDatetime = Field(description="when it was reported to whoever tells us")


def theft_router(runtime: Runtime) -> APIRouter:
    """`POST /vehicles/{id}/theft`: 201 for the report that counts, 200 with that one for every other."""
    router = APIRouter(tags=["theft"])

    @router.post("/vehicles/{vehicle_id}/theft", status_code=201)
    async def report_theft(
        request: Request, vehicle_id: Code, body: TheftReport, principal: _CustomerOrOperator
    ) -> Response:
        async with runtime.transaction(cause_of(request, principal)) as tx:
            buyer = (await registrations.buyers([vehicle_id], tx=tx)).get(vehicle_id)
            vehicle = None if buyer is None else buyer.vehicle
            visible_to(principal, vehicle, VehicleNotFound(f"there is no vehicle {vehicle_id}"))
            stolen = await report_stolen(Report(vehicle_id, body.report_id, body.reported_at.astimezone(UTC)), tx=tx)
        return respond(Answer(201 if stolen.is_new else 200, _stolen_json(stolen)))

    return router


def _stolen_json(stolen: Stolen) -> dict[str, Any]:
    """The theft on record, and what has become of the purchases that were running or delivered."""
    return {
        "vehicle_id": stolen.theft.vehicle_id,
        "report_id": str(stolen.theft.report_id),
        "reported_at": instant_json(stolen.theft.reported_at),
        "recorded_at": instant_json(stolen.theft.recorded_at),
        "purchases": [
            {
                "purchase_id": str(purchase.purchase_id),
                "service_code": purchase.service_code,
                "kind": purchase.kind.value,
                "status": purchase.status.value,
                "cancelled_at": instant_json(purchase.cancelled_at),
                "ends_at": instant_json(purchase.ends_at),
            }
            for purchase in stolen.purchases
        ],
    }
