"""Registering customers and vehicles, by dealers and operators."""

import base64
import binascii
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from caas_chassis.auth import Principal
from caas_chassis.runtime import Runtime
from caas_chassis.web import cause_of, requires
from caas_contracts.message import Code
from caas_orders.domain.registration import Customer, Language, Vehicle
from caas_orders.errors import CustomerNotFound
from caas_orders.store import registrations

_Staff = Annotated[Principal, Depends(requires("dealer", "operator"))]


def _printable(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("must be printable text")
    return text.strip()


def _ed25519_key(text: str) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("must be base64") from None
    if len(raw) != 32:
        raise ValueError("must be the 32 bytes of an Ed25519 key")
    return text


# As HTML forms check it: no spaces, controls or brackets that could reach a mail header.
_EMAIL: Final = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}$"
_Strict = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


class CustomerData(BaseModel):
    """A customer. Mails go to `email`, in `language`."""

    model_config = _Strict

    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
    email: Annotated[str, Field(max_length=320, pattern=_EMAIL)]
    language: Literal["es", "en"] = "es"
    tax_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{3,20}$")] | None = None


class VehicleData(BaseModel):
    """A vehicle: its owner, what is built in, and the public key of its acknowledgements."""

    model_config = _Strict

    customer_id: Code
    model: Code
    equipment: Annotated[list[Code], Field(max_length=100)]
    public_key: Annotated[str, Field(min_length=40, max_length=60), AfterValidator(_ed25519_key)]


def registrations_router(runtime: Runtime) -> APIRouter:
    """`PUT /customers/{id}` and `PUT /vehicles/{id}`: the same request again changes nothing."""
    router = APIRouter(tags=["registrations"])

    @router.put("/customers/{customer_id}")
    async def put_customer(request: Request, customer_id: Code, body: CustomerData, principal: _Staff) -> Response:
        customer = Customer(customer_id, body.name, body.email, Language(body.language), body.tax_id)
        async with runtime.transaction(cause_of(request, principal)) as tx:
            created = await registrations.put_customer(customer, tx=tx)
        return JSONResponse({"customer_id": customer_id, **body.model_dump()}, 201 if created else 200)

    @router.put("/vehicles/{vehicle_id}")
    async def put_vehicle(request: Request, vehicle_id: Code, body: VehicleData, principal: _Staff) -> dict[str, Any]:
        vehicle = Vehicle(vehicle_id, body.customer_id, body.model, frozenset(body.equipment), body.public_key)
        async with runtime.transaction(cause_of(request, principal)) as tx:
            if not await registrations.customers([body.customer_id], tx=tx):
                raise CustomerNotFound(f"register customer {body.customer_id} first")
            if await registrations.put_vehicle(vehicle, tx=tx):
                tx.publish(vehicle.registered(tx.now))
        return {"vehicle_id": vehicle_id, **body.model_dump()}

    return router
