"""Partners that are asked once, under our reference, and then act for days: factory, administration, transport.

Invariant: the partner is looked up by our reference before it is asked, and asked under a key that is our
reference, so that no crash, lost answer or repetition makes it act twice.
"""

import asyncio
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final

import httpx
import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from caas_contracts.message import Code
from caas_contracts.vehicle_orders import Plates, Vin
from caas_orders.gateway.supply import Refused, Unanswered

_REASON: Final = r"^[a-z0-9_]{1,64}$"
# Another request cannot mend these; all else that is no success may pass by itself, or when we are configured right.
_FINAL: Final = frozenset({400, 404, 409, 410, 422})
_KEY_IN_USE: Final = "idempotency_conflict"

_log = structlog.get_logger(__name__)


class Commission(BaseModel):
    """What a partner tells of what we asked for: what it knows by now, whichever partner it is."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    id: Code
    reference: Annotated[str, Field(min_length=1, max_length=200)]
    status: Code
    changed_at: AwareDatetime
    vin: Vin | None = None
    estimated_delivery: date | None = None
    plates: Plates | None = None
    reason: Annotated[str, Field(pattern=_REASON)] | None = None
    delivery_on: date | None = None
    delivered_at: AwareDatetime | None = None


class _Refusal(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    code: Annotated[str, Field(pattern=_REASON)]


class Nonsense(Exception):
    """A partner's answer lacks what it must say; the message names it."""


class CommissionClient:
    """One partner over HTTP. The client brings the base address and the key; `deadline_s` bounds a whole call."""

    def __init__(self, http: httpx.AsyncClient, collection: str, deadline_s: float) -> None:
        self._http = http
        self._collection = collection
        self._deadline_s = deadline_s

    async def place(self, reference: str, body: Mapping[str, object]) -> Commission | Refused | Unanswered:
        """Have it done, or learn how it stands. Never raises for a partner's failure.

        If the process dies, or the answer is lost, after the partner has acted, the same call finds what it did.
        """
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._find(reference) or await self._ask(reference, body)
        except (httpx.HTTPError, TimeoutError) as error:
            return self._unanswered(reference, "unreachable", type(error).__name__)
        except (ValidationError, Nonsense) as error:
            return self._unanswered(reference, "invalid_answer", type(error).__name__)

    async def _find(self, reference: str) -> Commission | Unanswered | None:
        response = await self._http.get(f"/{self._collection}", params={"reference": reference})
        if response.status_code != httpx.codes.OK:
            return self._unanswered(reference, f"http_{response.status_code}", "look-up")
        found = _read_list(response, self._collection)
        if len(found) > 1:
            _log.error("partner_did_it_twice", collection=self._collection, reference=reference, times=len(found))
        return _of(reference, found[0]) if found else None

    async def _ask(self, reference: str, body: Mapping[str, object]) -> Commission | Refused | Unanswered:
        response = await self._http.post(
            f"/{self._collection}", json={"reference": reference, **body}, headers={"Idempotency-Key": reference}
        )
        if response.is_success:
            return _of(reference, Commission.model_validate_json(response.content))
        code = _code(response)
        if response.status_code in _FINAL and code != _KEY_IN_USE:
            _log.warning("partner_refuses", collection=self._collection, reference=reference, code=code)
            return Refused(code)
        return self._unanswered(reference, code, "request")

    def _unanswered(self, reference: str, reason: str, detail: str) -> Unanswered:
        _log.warning(
            "partner_unanswered", collection=self._collection, reference=reference, reason=reason, detail=detail
        )
        return Unanswered(reason)


def _read_list(response: httpx.Response, collection: str) -> list[Commission]:
    try:
        content = response.json()
    except ValueError:
        raise Nonsense("JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get(collection), list):
        raise Nonsense(collection)
    return [Commission.model_validate(one) for one in content[collection]]


def _of(reference: str, commission: Commission) -> Commission:
    """Raises Nonsense for an answer about something else."""
    if commission.reference != reference:
        raise Nonsense("reference")
    return commission


def _code(response: httpx.Response) -> str:
    try:
        return _Refusal.model_validate_json(response.content).code
    except ValidationError:
        return f"http_{response.status_code}"


def needed[T](value: T | None, name: str) -> T:
    """What an answer must say; raises Nonsense when it does not."""
    if value is None:
        raise Nonsense(name)
    return value
