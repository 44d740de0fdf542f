"""Requests to Stripe's API and every way in which they can end.

Invariant: a request is sent once. What may have happened is `Unknown`, what certainly did not is `Unavailable`;
an `Objection` is Stripe's own refusal and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from caas_payments.domain.gateway_result import Unavailable, Unknown
from caas_payments.gateway.retry_after import retry_after_s

STRIPE_VERSION: Final = "2026-08-26.dahlia"
"""The version of the API that this adapter is written for and stripe-mock checks; raising it is a change of code."""

_log = structlog.get_logger(__name__)

_NOTHING_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

type Form = Mapping[str, str | int]


class StripeError(BaseModel):
    """`error` of a refused request; Stripe's words for people are not read."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    type: str = ""
    code: str = ""
    decline_code: str = ""
    param: str = ""
    payment_intent: dict[str, object] | None = None


class _ErrorBody(BaseModel):
    error: StripeError


@dataclass(frozen=True, slots=True)
class Content:
    """The body of a success."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Objection:
    """Stripe refused the request: nothing happened, and asking again would change nothing."""

    status: int
    error: StripeError


type Reply = Content | Objection | Unavailable | Unknown


class StripeApi:
    """Stripe over HTTP. The client brings base address, secret key and timeouts; nothing is retried here (GW-2)."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def post(self, path: str, form: Form, idempotency_key: str) -> Reply:
        """An operation, form-encoded; the key is the attempt's, equal on every retry (GW-3)."""
        headers = {"Idempotency-Key": idempotency_key, "Stripe-Version": STRIPE_VERSION}
        body = {name: str(value) for name, value in form.items()}
        return await self._send(self._http.build_request("POST", path, data=body, headers=headers))

    async def get(self, path: str, params: Form) -> Reply:
        """A question."""
        headers = {"Stripe-Version": STRIPE_VERSION}
        return await self._send(self._http.build_request("GET", path, params=dict(params), headers=headers))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(self, request: httpx.Request) -> Reply:
        try:
            response = await self._http.send(request)
        except _NOTHING_SENT as error:
            return Unavailable(type(error).__name__, outage=True)
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__, outage=True)
        return Content(response.content) if response.is_success else _failure(response)


def _failure(response: httpx.Response) -> Objection | Unavailable | Unknown:
    match response.status_code:
        case 401 | 403:
            # Our key is not accepted: nothing happened, and a person repairs it while retries go on.
            _log.error("gateway_refuses_our_key", status=response.status_code)
            return Unavailable("unauthorized")
        case 429:
            return Unavailable("too_many_requests", retry_after_s(response.headers))
        case status if 400 <= status < 500:
            return _objection(response)
        case status:
            return Unknown(f"http_{status}", outage=status >= httpx.codes.INTERNAL_SERVER_ERROR)


def _objection(response: httpx.Response) -> Objection | Unknown:
    try:
        error = _ErrorBody.model_validate_json(response.content).error
    except ValidationError:
        # Not Stripe's words: something between us and Stripe spoke, and the request may have passed it.
        return Unknown("unreadable_answer")
    if response.status_code in (408, 409) or error.type == "idempotency_error":
        # An earlier request under this key is still running, or was another one: the record decides.
        return Unknown((error.code or error.type or f"http_{response.status_code}")[:64])
    return Objection(response.status_code, error)
