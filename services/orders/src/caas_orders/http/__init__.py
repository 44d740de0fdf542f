"""The HTTP interface of orders: purchases, vehicle orders, stock, catalogues, registrations, purchase file."""

from typing import Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter

from caas_chassis.runtime import Runtime
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.http.browsing import catalogue_router
from caas_orders.http.filing import expediente_router
from caas_orders.http.inviting import invitations_router
from caas_orders.http.ordering import vehicle_orders_router
from caas_orders.http.purchasing import purchases_router
from caas_orders.http.registering import registrations_router
from caas_orders.http.stocking import stock_router
from caas_orders.http.theft import theft_router
from caas_orders.http.withdrawing import withdrawals_router

MADRID: Final = ZoneInfo("Europe/Madrid")
"""The zone of the billing calendar unless the settings name another one."""


def routers(runtime: Runtime, policy: SalesPolicy | None = None, zone: ZoneInfo = MADRID) -> list[APIRouter]:
    """All routes of this service. Days are counted in `zone` (DES-1)."""
    return [
        purchases_router(runtime),
        withdrawals_router(runtime, zone),
        theft_router(runtime),
        catalogue_router(runtime),
        registrations_router(runtime),
        expediente_router(runtime),
        vehicle_orders_router(runtime, policy or SalesPolicy()),
        stock_router(runtime),
        invitations_router(runtime),
    ]
