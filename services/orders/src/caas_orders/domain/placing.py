"""Placing a purchase: what is asked, whether it may be bought, and the purchase that comes of it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from caas_contracts.money import Money
from caas_contracts.orders import PurchaseKind, PurchasePlaced
from caas_orders.domain.catalogue import Catalogue, Offer
from caas_orders.domain.civil_time import day_named, midnight_of, zone_named
from caas_orders.domain.purchase import Change, Purchase
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.registration import Customer, Vehicle
from caas_orders.domain.status import PurchaseStatus
from caas_orders.domain.subscribing import begin_subscription

FURTHEST_START: Final = timedelta(days=366)
"""PLN-1: a year ahead. What is paid earlier than that may have to go back to a card that has expired meanwhile."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A request to buy, from HTTP (`awaited`: somebody may wait for the outcome) or from the broker.

    The ids of the payment and the activation are given with it, so that one intent has one of each (PAY-7).
    """

    purchase_id: UUID
    payment_id: UUID
    activation_id: UUID
    customer_id: str
    vehicle_id: str
    service_code: str
    kind: PurchaseKind
    duration_days: int | None
    payment_method: str
    consent: bool
    requested_at: datetime
    awaited: bool
    starts_on: str | None = None
    time_zone: str = "Europe/Madrid"
    period_months: int | None = None

    def asks_the_same_as(self, purchase: Purchase) -> bool:
        """Whether a stored purchase is this very request, asked before."""
        return (
            self.purchase_id == purchase.purchase_id
            and self.customer_id == purchase.customer_id
            and self.vehicle_id == purchase.vehicle_id
            and self.service_code == purchase.service_code
            and self.kind == purchase.kind
            and self.duration_days == purchase.duration_days
            and self.payment_method == purchase.payment_method
            and self.time_zone == purchase.time_zone
            and self.period_months == purchase.period_months
            and self._starts_at() == purchase.starts_at
        )

    def start(self, now: datetime) -> datetime | Refusal | None:
        """PLN-1: the first instant of the day on which a planned purchase starts; None for all that start now."""
        zone = zone_named(self.time_zone)
        if zone is None:
            return Refusal(RefusalCode.TIME_ZONE_UNKNOWN, f"{self.time_zone} is no IANA time zone, like Europe/Madrid")
        if (self.kind is PurchaseKind.PLANNED) != (self.starts_on is not None):
            detail = "a planned purchase has starts_on, a day to come; others start at once and have none"
            return Refusal(RefusalCode.START_NOT_ALLOWED, detail)
        starts_at = self._starts_at()
        if self.starts_on is not None and (starts_at is None or not now < starts_at <= now + FURTHEST_START):
            detail = f"{self.starts_on} is not a day to come within {FURTHEST_START.days} days in {self.time_zone}"
            return Refusal(RefusalCode.START_NOT_ALLOWED, detail)
        return starts_at

    def _starts_at(self) -> datetime | None:
        zone, day = zone_named(self.time_zone), day_named(self.starts_on or "")
        return None if zone is None or day is None else midnight_of(day, zone)


@dataclass(frozen=True, slots=True)
class Buyer:
    """A vehicle with its owner, as registered."""

    vehicle: Vehicle
    customer: Customer


def place(wish: Wish, buyer: Buyer | None, catalogue: Catalogue, now: datetime) -> Change | Refusal:
    """A new purchase with its first requests, or why it may not be bought (SVC-1, DES-8).

    Somebody else's vehicle is unknown, like one that does not exist.
    """
    if buyer is None or buyer.vehicle.customer_id != wish.customer_id:
        return Refusal(RefusalCode.VEHICLE_NOT_FOUND, f"customer {wish.customer_id} has no vehicle {wish.vehicle_id}")
    offer = _offer(wish, buyer.vehicle, catalogue)
    if isinstance(offer, Refusal):
        return offer
    price = offer.price(wish.kind, wish.duration_days, now, period_months=wish.period_months)
    if isinstance(price, Refusal):
        return price
    starts_at = wish.start(now)
    if isinstance(starts_at, Refusal):
        return starts_at
    if not wish.consent:
        return Refusal(  # DES-8: the service starts at once, which needs the customer's consent.
            RefusalCode.CONSENT_MISSING,
            "the service starts at once: ask the customer and send immediate_performance_consent true",
        )
    purchase = replace(_purchase(wish, offer, price, catalogue.version, now), starts_at=starts_at)
    placed = Change(purchase, (_placed(purchase, offer, buyer.customer, now),))
    if offer.maintenance_required:
        return placed  # SVC-2: the gate decides before any payment and any activation.
    if wish.kind is PurchaseKind.SUBSCRIPTION:
        return placed.then(begin_subscription(purchase, offer, now))  # SUB-1
    return placed.then(purchase.maintenance_current(now))


def _offer(wish: Wish, vehicle: Vehicle, catalogue: Catalogue) -> Offer | Refusal:
    if vehicle.stolen_at is not None:  # THF
        detail = f"vehicle {vehicle.vehicle_id} was reported stolen: nothing is sold for it"
        return Refusal(RefusalCode.VEHICLE_REPORTED_STOLEN, detail)
    return catalogue.offer_for(wish.service_code, vehicle)


def _purchase(wish: Wish, offer: Offer, price: Money, catalogue_version: int, now: datetime) -> Purchase:
    plan = offer.plan_in_force(now) if wish.kind is PurchaseKind.SUBSCRIPTION else None
    return Purchase(
        purchase_id=wish.purchase_id,
        customer_id=wish.customer_id,
        vehicle_id=wish.vehicle_id,
        service_code=wish.service_code,
        kind=wish.kind,
        duration_days=wish.duration_days,
        price=price,
        vat_rate_bp=offer.vat_rate_bp,
        catalogue_version=catalogue_version,
        payment_method=wish.payment_method,
        consent_at=wish.requested_at,
        awaited=wish.awaited,
        payment_id=None if plan else wish.payment_id,
        activation_id=wish.activation_id,
        status=PurchaseStatus.REQUESTED,
        requested_at=wish.requested_at,
        updated_at=now,
        plan_code=plan.plan_code if plan else None,
        plan_version=plan.version if plan else None,
        time_zone=wish.time_zone,
        period_months=wish.period_months,
    )


def _placed(purchase: Purchase, offer: Offer, customer: Customer, now: datetime) -> PurchasePlaced:
    return PurchasePlaced(
        purchase_id=purchase.purchase_id,
        customer_id=purchase.customer_id,
        vehicle_id=purchase.vehicle_id,
        service_code=purchase.service_code,
        price=purchase.price,
        occurred_at=now,
        kind=purchase.kind,
        duration_days=purchase.duration_days,
        starts_at=purchase.starts_at,
        period_months=purchase.period_months,
        vat_rate_bp=purchase.vat_rate_bp,
        service_name=offer.names[customer.language],
        customer_name=customer.name,
        customer_email=customer.email,
        customer_tax_id=customer.tax_id,
        customer_language=customer.language,
        payment_id=purchase.payment_id,
        activation_id=purchase.activation_id,
    )
