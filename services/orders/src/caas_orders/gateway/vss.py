"""The maintenance system (VSS) over HTTP (SVC-2). Whatever is not a clear yes keeps the gate closed."""

import asyncio
from typing import Final

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from caas_orders.gateway import Current, MaintenanceAnswer, MaintenanceQuestion, NotAnswering, NotCurrent

UNAVAILABLE: Final = "maintenance_unavailable"
UNKNOWN_VEHICLE: Final = "maintenance_unknown_vehicle"

_log = structlog.get_logger(__name__)


class _Maintenance(BaseModel):
    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    vehicle_id: str
    current: bool


class VssClient:
    """Asks the VSS. The HTTP client brings the base address and the key; `deadline_s` bounds a whole question."""

    def __init__(self, http: httpx.AsyncClient, deadline_s: float) -> None:
        self._http = http
        self._deadline_s = deadline_s

    async def ask(self, question: MaintenanceQuestion) -> MaintenanceAnswer:
        """One request; a failure of the VSS is an answer too, and blocks the purchase."""
        try:
            async with asyncio.timeout(self._deadline_s):
                response = await self._http.get(f"/vehicles/{question.vehicle_id}/maintenance")
        except (httpx.HTTPError, TimeoutError) as error:
            _log.warning("vss_unreachable", vehicle_id=question.vehicle_id, error=type(error).__name__)
            return NotAnswering(UNAVAILABLE)
        if response.status_code == httpx.codes.NOT_FOUND:
            return NotAnswering(UNKNOWN_VEHICLE)
        if response.status_code != httpx.codes.OK:
            _log.warning("vss_failed", vehicle_id=question.vehicle_id, status=response.status_code)
            return NotAnswering(UNAVAILABLE)
        return _answer(response, question.vehicle_id)


def _answer(response: httpx.Response, vehicle_id: str) -> MaintenanceAnswer:
    try:
        maintenance = _Maintenance.model_validate_json(response.content)
    except ValidationError:
        _log.warning("vss_answer_invalid", vehicle_id=vehicle_id)
        return NotAnswering(UNAVAILABLE)
    if maintenance.vehicle_id != vehicle_id:
        _log.warning("vss_answered_for_another_vehicle", vehicle_id=vehicle_id)
        return NotAnswering(UNAVAILABLE)
    return Current() if maintenance.current else NotCurrent()
