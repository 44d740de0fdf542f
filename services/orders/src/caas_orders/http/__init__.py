"""The HTTP interface of orders: purchases, catalogue, registrations and the customer's purchase file."""

from fastapi import APIRouter

from caas_chassis.runtime import Runtime
from caas_orders.http.browsing import catalogue_router
from caas_orders.http.filing import expediente_router
from caas_orders.http.purchasing import purchases_router
from caas_orders.http.registering import registrations_router


def routers(runtime: Runtime) -> list[APIRouter]:
    """All routes of this service."""
    return [
        purchases_router(runtime),
        catalogue_router(runtime),
        registrations_router(runtime),
        expediente_router(runtime),
    ]
