"""The sandbox's own routes, without authentication, that set and show what shall go wrong."""

from collections.abc import Set as AbstractSet
from enum import StrEnum

from fastapi import APIRouter

from caas_sandbox.clock import BusinessClock
from caas_sandbox.fault_script import FaultScript
from caas_sandbox.faults import FaultKind, FaultRequest
from caas_sandbox.problems import InvalidRequest


def faults_router(
    script: FaultScript, clock: BusinessClock, operations: type[StrEnum], kinds: AbstractSet[FaultKind]
) -> APIRouter:
    """`/sandbox/faults` of a partner that knows these operations and kinds of faults; and its `/health`."""
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, object]:
        return {"status": "ok"}

    @router.get("/sandbox/faults")
    async def show_faults() -> dict[str, object]:
        return {"faults": [fault.as_json() for fault in script.entries()]}

    @router.post("/sandbox/faults", status_code=201)
    async def add_fault(request: FaultRequest) -> dict[str, object]:
        if request.operation not in list(operations):
            raise InvalidRequest("invalid_request", f"operation is one of {', '.join(operations)}")
        if request.kind not in kinds:
            raise InvalidRequest("invalid_request", f"kind is one of {', '.join(sorted(kinds))}")
        fault = request.fault(clock.now())
        script.add(fault)
        return fault.as_json()

    @router.delete("/sandbox/faults")
    async def clear_faults() -> dict[str, object]:
        script.clear()
        return {"faults": []}

    return router
