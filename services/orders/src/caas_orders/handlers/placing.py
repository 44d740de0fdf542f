"""Placing purchases, from HTTP and from the broker (SVC-1, SVC-3)."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from caas_chassis.cause import Cause
from caas_chassis.errors import Refused
from caas_chassis.handling import Received
from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_contracts.orders import PlacePurchase
from caas_orders.domain.catalogue import current_catalogue
from caas_orders.domain.placing import Wish
from caas_orders.domain.placing import place as place_one
from caas_orders.domain.purchase import Change, Purchase
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.status import PurchaseStatus
from caas_orders.gateway import MaintenanceQuestion
from caas_orders.handlers.amending import Caused, announce
from caas_orders.store import purchases, registrations

MAINTENANCE_EFFECT: Final = "maintenance"


async def place_purchases(received: Sequence[Received[PlacePurchase]], *, tx: Tx) -> None:
    """Place what other systems sell for us. One that can never be placed is parked with its reason."""
    wishes = [_wish(one.message) for one in received]
    for outcome in await place(wishes, [one.cause for one in received], tx=tx):
        if isinstance(outcome, Refusal):
            raise Refused(outcome.code, outcome.detail)


async def place(wishes: Sequence[Wish], causes: Sequence[Cause], *, tx: Tx) -> list[Purchase | Refusal]:
    """Place each wish, or say why not; the same wish asked again is the purchase of the first time (PAY-7)."""
    buyers = await registrations.lock_buyers(sorted({wish.vehicle_id for wish in wishes}), tx=tx)
    catalogue = current_catalogue()
    outcomes = [place_one(wish, buyers.get(wish.vehicle_id), catalogue, tx.now) for wish in wishes]
    new = [
        Caused(outcome, cause) for outcome, cause in zip(outcomes, causes, strict=True) if isinstance(outcome, Change)
    ]
    inserted = await purchases.insert([caused.change.purchase for caused in new], tx=tx) if new else frozenset()
    placed = [caused for caused in new if caused.change.purchase.purchase_id in inserted]
    await _begin(placed, tx=tx)
    if len(placed) == len(wishes):
        return [caused.change.purchase for caused in placed]
    present = await purchases.read([wish.purchase_id for wish in wishes], tx=tx)
    return [_resolved(wish, outcome, present) for wish, outcome in zip(wishes, outcomes, strict=True)]


async def _begin(placed: Sequence[Caused], *, tx: Tx) -> None:
    for caused in placed:
        purchase = caused.change.purchase
        if purchase.status is PurchaseStatus.REQUESTED:  # SVC-2
            question = MaintenanceQuestion(purchase_id=purchase.purchase_id, vehicle_id=purchase.vehicle_id)
            tx.enqueue(MAINTENANCE_EFFECT, question, key=str(purchase.purchase_id), cause=caused.cause)
    await announce(placed, tx=tx)


def _resolved(wish: Wish, outcome: Change | Refusal, present: dict[UUID, Purchase]) -> Purchase | Refusal:
    """What became of a wish, after the insert: its purchase, new or from before, or the reason against it."""
    purchase = present.get(wish.purchase_id)
    if purchase is not None:
        if wish.asks_the_same_as(purchase):
            return purchase
        detail = f"purchase {wish.purchase_id} exists with other content: use a new id"
        return Refusal(RefusalCode.PURCHASE_ID_REUSED, detail)
    if isinstance(outcome, Refusal):
        return outcome
    return Refusal(
        RefusalCode.SERVICE_ALREADY_BOUGHT,
        f"{wish.service_code} is active in vehicle {wish.vehicle_id} or being bought for it",
    )


def _wish(message: PlacePurchase) -> Wish:
    return Wish(
        purchase_id=message.purchase_id,
        payment_id=new_id(),
        activation_id=new_id(),
        customer_id=message.customer_id,
        vehicle_id=message.vehicle_id,
        service_code=message.service_code,
        kind=message.kind,
        duration_days=message.duration_days,
        payment_method=message.payment_method,
        consent=message.immediate_performance_consent,
        requested_at=message.requested_at,
        awaited=False,
        starts_on=message.starts_on,
        time_zone=message.time_zone,
        period_months=message.period_months,
    )
