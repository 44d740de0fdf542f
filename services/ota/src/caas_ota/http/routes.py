"""The routes: configurations for their owners, the rest for operators."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from caas_chassis.auth import Principal
from caas_chassis.runtime import Runtime
from caas_chassis.web import requires
from caas_ota.errors import NotFound
from caas_ota.http.models import (
    ActivationDetail,
    DeactivationDetail,
    Deactivations,
    SupportCaseDetail,
    SupportCases,
    VehicleConfiguration,
)
from caas_ota.store import views

VehicleId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
VehicleFilter = Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
PageSize = Annotated[int, Query(ge=1, le=200)]
Anyone = Annotated[Principal, Depends(requires("customer", "dealer", "operator"))]
Operator = Annotated[Principal, Depends(requires("operator"))]


def router_of(runtime: Runtime) -> APIRouter:
    """All routes of ota."""
    router = APIRouter(tags=["ota"])
    _add_configuration(router, runtime)
    _add_activation(router, runtime)
    _add_lists(router, runtime)
    return router


def _add_configuration(router: APIRouter, runtime: Runtime) -> None:
    @router.get("/vehicles/{vehicle_id}/configuration")
    async def read_configuration(vehicle_id: VehicleId, principal: Anyone) -> VehicleConfiguration:
        """OTA-5. Customers see their own vehicles."""
        async with runtime.reading() as tx:
            view = await views.configuration_of(tx, vehicle_id)
        if view is None or not _may_see(principal, view["customer_id"]):
            raise NotFound(f"there is no vehicle {vehicle_id}")
        return VehicleConfiguration.model_validate(view)


def _add_activation(router: APIRouter, runtime: Runtime) -> None:
    @router.get("/activations/{activation_id}")
    async def read_activation(activation_id: UUID, principal: Anyone) -> ActivationDetail:
        """One activation with every command and acknowledgement. Customers see their own vehicles'."""
        async with runtime.reading() as tx:
            view = await views.activation_view(tx, activation_id)
        if view is None or not _may_see(principal, view["customer_id"]):
            raise NotFound(f"there is no activation {activation_id}")
        return ActivationDetail.model_validate(view)


def _add_lists(router: APIRouter, runtime: Runtime) -> None:
    @router.get("/support-cases")
    async def list_support_cases(
        _: Operator, vehicle_id: VehicleFilter = None, before: UUID | None = None, limit: PageSize = 50
    ) -> SupportCases:
        """SVC-5: failed activations with their attempts and the vehicle's status."""
        async with runtime.reading() as tx:
            rows = await views.support_cases(tx, vehicle_id=vehicle_id, before=before, limit=limit)
        cases = [SupportCaseDetail.model_validate(row) for row in rows]
        return SupportCases(support_cases=cases, next=cases[-1].support_case_id if len(cases) == limit else None)

    @router.get("/deactivations")
    async def list_deactivations(
        _: Operator,
        is_open: Annotated[bool | None, Query(alias="open")] = None,
        before: UUID | None = None,
        limit: PageSize = 50,
    ) -> Deactivations:
        """OTA-4: with `open=true` the work list."""
        async with runtime.reading() as tx:
            rows = await views.deactivations(tx, is_open=is_open, before=before, limit=limit)
        found = [DeactivationDetail.model_validate(row) for row in rows]
        return Deactivations(deactivations=found, next=found[-1].deactivation_id if len(found) == limit else None)


def _may_see(principal: Principal, customer_id: str | None) -> bool:
    return bool(principal.roles & {"operator", "dealer"}) or principal.subject == customer_id
