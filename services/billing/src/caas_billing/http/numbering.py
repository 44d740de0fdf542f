"""Series of numbers, for operators: how far each has come, and that none has gaps (INV-2)."""

from fastapi import APIRouter
from pydantic import BaseModel

from caas_billing.domain.issued import SeriesState
from caas_billing.http.callers import Operator
from caas_billing.store import reading
from caas_chassis.runtime import Runtime


class SeriesList(BaseModel):
    """Every series of numbers and year."""

    series: list[SeriesState]


def series_router(runtime: Runtime) -> APIRouter:
    """What operators check of numbers."""
    router = APIRouter(tags=["operators"])

    @router.get("/series")
    async def list_series(_: Operator) -> SeriesList:
        """How far every series has come, with the proof that no number is missing (INV-2)."""
        async with runtime.reading() as tx:
            return SeriesList(series=await reading.list_series(tx))

    return router
