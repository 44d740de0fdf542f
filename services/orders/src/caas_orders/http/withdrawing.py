"""The withdrawal function of Directive (EU) 2023/2673 over HTTP: see, declare, confirm (DES-7).

It asks for nothing but the purchase and the declaration's own id: no more data than needed.
"""

from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request, Response

from caas_chassis.auth import Principal
from caas_chassis.idempotency import Answer
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx
from caas_chassis.web import cause_of, requires, respond
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.refusal import Refusal
from caas_orders.domain.withdrawing import WithdrawalStatus
from caas_orders.errors import PurchaseNotFound
from caas_orders.handlers.withdrawing import Standing, confirm, declare, standing_of
from caas_orders.http.owning import visible_to
from caas_orders.http.refusing import problem_of
from caas_orders.http.representing import instant_json, money_json
from caas_orders.store import purchases

_CustomerOrOperator = Annotated[Principal, Depends(requires("customer", "operator"))]


def withdrawals_router(runtime: Runtime, zone: ZoneInfo) -> APIRouter:
    """`/purchases/{id}/withdrawal`, for customers and, on their behalf, operators. `zone` counts the days (DES-1)."""
    router = APIRouter(prefix="/purchases/{purchase_id}/withdrawal", tags=["withdrawal"])

    @router.get("")
    async def read_withdrawal(purchase_id: UUID, principal: _CustomerOrOperator) -> dict[str, Any]:
        async with runtime.reading() as tx:
            purchase = await _visible(purchase_id, principal, tx)
            return _standing_json(await standing_of(purchase, zone, tx=tx), zone)

    @router.post("", status_code=201)
    async def declare_withdrawal(request: Request, purchase_id: UUID, principal: _CustomerOrOperator) -> Response:
        """The first step. Asked again, the same declaration."""
        async with runtime.transaction(cause_of(request, principal)) as tx:
            await _visible(purchase_id, principal, tx)
            outcome = await declare(purchase_id, zone, tx=tx)
        return _answer(outcome, 201, zone)

    @router.post("/{withdrawal_id}/confirmation", status_code=202)
    async def confirm_withdrawal(
        request: Request, purchase_id: UUID, withdrawal_id: UUID, principal: _CustomerOrOperator
    ) -> Response:
        """The second step. Asked again, where the withdrawal stands; it is begun once (DES-6)."""
        async with runtime.transaction(cause_of(request, principal)) as tx:
            await _visible(purchase_id, principal, tx)
            outcome = await confirm(purchase_id, withdrawal_id, zone, tx=tx)
        return _answer(outcome, 202, zone)

    return router


async def _visible(purchase_id: UUID, principal: Principal, tx: Tx) -> Purchase:
    purchase = (await purchases.read([purchase_id], tx=tx)).get(purchase_id)
    return visible_to(principal, purchase, PurchaseNotFound(f"there is no purchase {purchase_id}"))


def _answer(outcome: Standing | Refusal, status: int, zone: ZoneInfo) -> Response:
    """Raises the problem of a refusal (DES-5), after what the customer is told about it was committed."""
    if isinstance(outcome, Refusal):
        raise problem_of(outcome)
    body = _standing_json(outcome, zone)
    is_done = body["withdrawal"]["status"] == WithdrawalStatus.DONE
    location = {"Location": f"/purchases/{outcome.purchase.purchase_id}/withdrawal"}
    return respond(Answer(200 if is_done else status, body, location))


def _standing_json(standing: Standing, zone: ZoneInfo) -> dict[str, Any]:
    """`until` is the first instant at which it is too late, `last_day` the last local day with a moment for it."""
    purchase, right = standing.purchase, standing.right
    return {
        "purchase_id": str(purchase.purchase_id),
        "status": purchase.status.value,
        "withdrawable": right.objection is None,
        "reason": None if right.objection is None else right.objection.code.value,
        "detail": None if right.objection is None else right.objection.detail,
        "until": instant_json(right.until),
        "until_local": right.until.astimezone(zone).isoformat(),
        "last_day": right.last_day(zone).isoformat(),
        "time_zone": zone.key,
        "refund": money_json(right.refund),
        "consent_at": instant_json(purchase.consent_at),
        "withdrawal": _withdrawal_json(standing),
    }


def _withdrawal_json(standing: Standing) -> dict[str, Any] | None:
    """A declared withdrawal and how far its money and its car have come; null without one."""
    withdrawal = standing.withdrawal
    if withdrawal is None:
        return None
    return {
        "withdrawal_id": str(withdrawal.withdrawal_id),
        "status": withdrawal.status_of(standing.purchase).value,
        "declared_at": instant_json(withdrawal.declared_at),
        "confirmed_at": instant_json(withdrawal.confirmed_at),
        "refund_due": money_json(withdrawal.refund_due),
        "refund_id": None if withdrawal.refund_id is None else str(withdrawal.refund_id),
        "refund_delayed_at": instant_json(withdrawal.refund_delayed_at),
        "refunded_at": instant_json(withdrawal.refunded_at),
        "deactivated_at": instant_json(standing.purchase.deactivated_at),
        "completed_at": instant_json(withdrawal.completed_at),
    }
