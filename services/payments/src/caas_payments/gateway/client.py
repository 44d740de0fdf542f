"""The adapter for the API of GW-1 over HTTP.

Invariant: every operation carries the attempt's idempotency key and our reference, and every way in which a
call can end is a value: nothing here decides what a silence means for the payment.
"""

from collections.abc import Sequence
from typing import Final

import httpx
import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from caas_payments.domain.gateway_result import (
    Answered,
    GatewayResult,
    NotFound,
    Refused,
    Transaction,
    TransactionStatus,
    Unavailable,
    Unknown,
)
from caas_payments.gateway.hosted_page import hosted_page
from caas_payments.gateway.port import GatewayTask
from caas_payments.gateway.retry_after import retry_after_s

_log = structlog.get_logger(__name__)

_NOTHING_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NEVER_TO_BE: Final = frozenset(
    {"already_captured", "already_voided", "hold_expired", "not_authorized", "not_captured", "amount_too_large"}
)
"""Refusals (409) that are about the transaction. Any other, as about an expired key, says nothing of the outcome."""

_LIVE: Final = frozenset(TransactionStatus) - {TransactionStatus.DECLINED, TransactionStatus.UNKNOWN}


class _TransactionBody(BaseModel):
    """A transaction as the gateway writes it; unknown members are ignored, unknown states are kept apart."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    id: str
    reference: str
    status: str
    amount_minor: int
    currency: str
    captured_minor: int = 0
    held_minor: int = 0
    refunded_minor: int = 0
    action_url: str | None = None
    decline_code: str | None = None
    capture_failure: str | None = None
    authorized_at: AwareDatetime | None = None
    capture_before: AwareDatetime | None = None

    def read(self) -> Transaction:
        known = self.status in frozenset(TransactionStatus)
        status = TransactionStatus(self.status) if known else TransactionStatus.UNKNOWN
        return Transaction(**(self.model_dump() | {"status": status, "action_url": hosted_page(self.action_url)}))


class _TransactionsBody(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    transactions: list[_TransactionBody]


class _ProblemBody(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    code: str


class GatewayClient:
    """The adapter for the API of GW-1 over HTTP. The HTTP client brings base address, key and timeouts."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def authorize(self, task: GatewayTask) -> GatewayResult:
        """Hold the amount; a decline is an answer."""
        return await self._begin(task, capture=False)

    async def sale(self, task: GatewayTask) -> GatewayResult:
        """Take the amount at once; a decline is an answer."""
        return await self._begin(task, capture=True)

    async def capture(self, task: GatewayTask) -> GatewayResult:
        """Take the held amount."""
        path = f"/transactions/{task.transaction_id}/capture"
        return await self._post(path, {"amount_minor": task.amount_minor}, task.idempotency_key)

    async def void(self, task: GatewayTask) -> GatewayResult:
        """Release the hold."""
        return await self._post(f"/transactions/{task.transaction_id}/void", {}, task.idempotency_key)

    async def refund(self, task: GatewayTask) -> GatewayResult:
        """Give captured money back, under the refund's own reference."""
        body = {"amount_minor": task.amount_minor, "reference": str(task.refund_id)}
        return await self._post(f"/transactions/{task.transaction_id}/refund", body, task.idempotency_key)

    async def look_up(self, reference: str, _transaction_id: str = "", /) -> GatewayResult:
        """The gateway's own record of what it did under our reference (GW-4)."""
        try:
            response = await self._http.get("/transactions", params={"reference": reference})
        except _NOTHING_SENT as error:
            return Unavailable(type(error).__name__, outage=True)
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__, outage=True)
        if response.status_code != httpx.codes.OK:
            return _failure(response)
        try:
            found = _TransactionsBody.model_validate_json(response.content).transactions
        except ValidationError:
            return Unknown("unreadable_answer")
        return _chosen([body.read() for body in found])

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _begin(self, task: GatewayTask, *, capture: bool) -> GatewayResult:
        body = {
            "reference": task.reference,
            "amount_minor": task.amount_minor,
            "currency": task.currency,
            "payment_method": task.payment_method,
            "capture": capture,
            "merchant_initiated": task.merchant_initiated,
        }
        return await self._post("/transactions", body, task.idempotency_key)

    async def _post(self, path: str, body: dict[str, object], idempotency_key: str) -> GatewayResult:
        try:
            response = await self._http.post(path, json=body, headers={"Idempotency-Key": idempotency_key})
        except _NOTHING_SENT as error:
            return Unavailable(type(error).__name__, outage=True)
        except httpx.HTTPError as error:
            return Unknown(type(error).__name__, outage=True)
        if response.is_success or response.status_code == httpx.codes.PAYMENT_REQUIRED:
            return _answer(response)
        return _failure(response)


def _answer(response: httpx.Response) -> GatewayResult:
    """A transaction, or the refusal that a 402 can also be; anything else may have happened."""
    try:
        return Answered(_TransactionBody.model_validate_json(response.content).read())
    except ValidationError:
        code = _problem_code(response)
    return Refused(code) if code and not response.is_success else Unknown("unreadable_answer")


def _failure(response: httpx.Response) -> GatewayResult:
    """What an answer that is no success means for the operation."""
    code = _problem_code(response)
    match response.status_code:
        case 400:
            return Refused(code or "http_400")
        case 409 if code in _NEVER_TO_BE:
            return Refused(code)
        case 401 | 403:
            # Our key is not accepted: nothing happened, and a person repairs it while retries go on.
            _log.error("gateway_refuses_our_key", status=response.status_code)
            return Unavailable("unauthorized")
        case 404:
            return NotFound()
        case 429:
            return Unavailable("too_many_requests", retry_after_s(response.headers))
        case status:
            return Unknown(code or f"http_{status}", outage=status >= httpx.codes.INTERNAL_SERVER_ERROR)


def _problem_code(response: httpx.Response) -> str | None:
    try:
        return _ProblemBody.model_validate_json(response.content).code[:64]
    except ValidationError:
        return None


def _chosen(found: Sequence[Transaction]) -> GatewayResult:
    """The transaction that counts: one that moved money before one that was declined."""
    live = [transaction for transaction in found if transaction.status in _LIVE]
    if len(live) > 1:
        _log.error("gateway_has_several_transactions", reference=live[0].reference, count=len(live))
        return Unknown("several_transactions")
    chosen = live or list(found)
    return Answered(chosen[-1]) if chosen else NotFound()
