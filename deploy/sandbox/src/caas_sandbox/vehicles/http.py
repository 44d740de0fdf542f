"""The control port of the vehicles: registers them, sets how they behave, shows their books."""

from typing import Annotated, Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

from caas_sandbox.vehicles.fleet import Fleet
from caas_sandbox.vehicles.link import Link
from caas_sandbox.vehicles.vehicle import Behaviour

# Vehicle ids become a topic level, so they may hold neither separators nor wildcards.
VehicleId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]


class VehicleRequest(BaseModel):
    """A vehicle to add or change; `delay_ms` passes between receiving a command and its result."""

    vehicle_id: VehicleId
    behaviour: Behaviour = Behaviour.OBEY
    delay_ms: int = Field(default=0, ge=0, le=3_600_000)


class RegisteredVehicle(BaseModel):
    """The vehicle's raw Ed25519 public key, in base64."""

    vehicle_id: str
    public_key: str


def build_app(fleet: Fleet, link: Link) -> FastAPI:
    """The control application."""
    app = FastAPI(title="CaaS sandbox: vehicles")

    def register(request: VehicleRequest) -> RegisteredVehicle:
        key = fleet.register(request.vehicle_id, request.behaviour, request.delay_ms)
        return RegisteredVehicle(vehicle_id=request.vehicle_id, public_key=key)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        if not link.connected.is_set():
            raise HTTPException(503, "the vehicles have no connection to the MQTT broker")
        return {
            "status": "ok",
            "malformed_commands": fleet.malformed_commands,
            "commands_to_unknown_vehicles": fleet.commands_to_unknown_vehicles,
        }

    @app.post("/vehicles")
    async def post_vehicle(request: VehicleRequest) -> RegisteredVehicle:
        registered = register(request)
        link.wake()
        return registered

    @app.post("/vehicles/batch")
    async def post_vehicles(requests: list[VehicleRequest]) -> list[RegisteredVehicle]:
        registered = [register(request) for request in requests]
        link.wake()
        return registered

    @app.get("/vehicles/{vehicle_id}")
    async def get_vehicle(vehicle_id: str) -> dict[str, Any]:
        return _vehicle_view(fleet, vehicle_id)

    @app.get("/sandbox/books")
    async def get_books() -> dict[str, Any]:
        return dict(fleet.books.totals()) | {"by_vehicle": fleet.books.active_by_vehicle()}

    @app.get("/sandbox/books/activations")
    async def get_activations() -> dict[str, Any]:
        return {"activations": [dict(row) for row in fleet.books.activation_rows()]}

    return app


def _vehicle_view(fleet: Fleet, vehicle_id: str) -> dict[str, Any]:
    vehicle = fleet.books.vehicle(vehicle_id)
    if vehicle is None:
        raise HTTPException(404, f"no vehicle {vehicle_id!r} is registered")
    rows = fleet.books.activation_rows(vehicle_id)
    shown = ("activation_id", "service_code", "applied_at", "deactivated_at")
    return {
        "vehicle_id": vehicle_id,
        "public_key": fleet.books.public_key(vehicle_id),
        "behaviour": vehicle.behaviour,
        "delay_ms": vehicle.delay_ms,
        "configuration": fleet.configuration(vehicle_id),
        "applied": [{name: row[name] for name in shown} for row in rows if row["applied_at"]],
        "commands": vehicle.commands,
        "vehicle_time_ms": {row["activation_id"]: row["vehicle_time_ms"] for row in rows},
    }
