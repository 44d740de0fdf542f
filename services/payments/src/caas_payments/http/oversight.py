"""What operations watch over: exposure and losses (RSK-3, SVC-8), refunds that wait, the audit log (PAY-4)."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from caas_chassis.auth import Principal
from caas_chassis.runtime import Runtime
from caas_chassis.web import Depends, requires
from caas_payments.domain.risk import CustomerHistory
from caas_payments.http.views import (
    AuditReport,
    BrokenView,
    CustomerExposureReport,
    CustomerExposureView,
    DelayedRefunds,
    DelayedRefundView,
    ExposureReport,
    ExposureView,
    WrittenOffView,
)
from caas_payments.store import audit, exposure, payments, refunds

type CustomerId = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
type Operator = Annotated[Principal, Depends(requires("operator"))]


def oversight_router(runtime: Runtime) -> APIRouter:
    """`/exposure`, `/refunds` and `/audit/verify`."""
    router = APIRouter(tags=["oversight"])

    @router.get("/exposure")
    async def show_exposure(_: Operator, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> ExposureReport:
        """Delivered and not yet settled: total, by age, and the customers with the most of it."""
        async with runtime.reading() as tx:
            totals = await exposure.read_exposure(tx)
            customers = await exposure.read_customer_exposures(tx, limit)
            lost = await exposure.read_written_off(tx)
        return ExposureReport(
            totals=[ExposureView.model_validate(total) for total in totals],
            customers=[CustomerExposureView.model_validate(customer) for customer in customers],
            written_off=[WrittenOffView.model_validate(one) for one in lost],
        )

    @router.get("/exposure/customers/{customer_id}")
    async def show_exposure_of(_: Operator, customer_id: CustomerId) -> CustomerExposureReport:
        """What one customer owes for what is delivered, and what the risk limits count (RSK-1)."""
        async with runtime.reading() as tx:
            delivered = await exposure.read_exposure_of(tx, customer_id)
            lost = await exposure.read_written_off(tx, customer_id)
            history = (await payments.read_histories(tx, [customer_id])).get(customer_id, CustomerHistory())
        return CustomerExposureReport(
            customer_id=customer_id,
            delivered=[CustomerExposureView.model_validate(one) for one in delivered],
            at_risk_minor=history.at_risk_minor,
            write_offs=history.write_offs,
            written_off=[WrittenOffView.model_validate(one) for one in lost],
        )

    @router.get("/refunds")
    async def list_delayed_refunds(_: Operator, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> DelayedRefunds:
        """Refunds that the gateway refuses or does not answer; each is pursued until it is made (DES-4)."""
        async with runtime.reading() as tx:
            delayed = await refunds.read_delayed(tx, limit)
        return DelayedRefunds(refunds=[DelayedRefundView.model_validate(one) for one in delayed])

    @router.get("/audit/verify")
    async def verify_audit(_: Operator) -> AuditReport:
        """Recompute the whole chain and name every entry that does not hold."""
        async with runtime.reading() as tx:
            broken = (await audit.verify_audit_log(tx)).broken
        return AuditReport(intact=not broken, broken=[BrokenView.model_validate(one) for one in broken])

    return router
