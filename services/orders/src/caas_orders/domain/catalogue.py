"""The catalogue (SVC-1): which services exist, for which cars, at which prices and rates. Prices include VAT.

The data is versioned in `catalogue.toml`. A service that was ever sold stays in the file (`on_sale = false`
takes it off the shelf), because running purchases look their configuration up by its code.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any, Final

from caas_contracts.money import Money
from caas_contracts.orders import PurchaseKind
from caas_contracts.ota import ConfigurationValue
from caas_contracts.subscriptions import RatePlan
from caas_orders.domain.rate_plans import PlanHistory, plan_from
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.registration import Language, Vehicle

_DURATIONS: Final[Mapping[PurchaseKind, frozenset[str]]] = {
    PurchaseKind.TEMPORARY: frozenset({"duration_days"}),
    PurchaseKind.PERMANENT: frozenset(),
    PurchaseKind.PLANNED: frozenset({"duration_days", "period_months"}),
    PurchaseKind.RECURRING: frozenset({"period_months"}),
    PurchaseKind.SUBSCRIPTION: frozenset(),
}
"""What may be said about how long a purchase of this kind lasts."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One service on sale.

    `models` are the car models it fits; `equipment` is what the car must have built in, all of it.
    `temporary` gives the price per duration in days, `recurring` per period in months (REC-1); `permanent` the price
    for ever, None when not offered. What is planned costs the same (PLN-1).
    `plan` says what its use costs when it is subscribed (SUB-3), None when it is not offered so.
    `activation_window` is how long, in business time, the car may take to apply it.
    """

    code: str
    names: Mapping[Language, str]
    models: frozenset[str]
    equipment: frozenset[str]
    temporary: Mapping[int, Money]
    recurring: Mapping[int, Money]
    permanent: Money | None
    plan: PlanHistory | None
    currency: str
    vat_rate_bp: int
    maintenance_required: bool
    activation_window: timedelta
    configuration: Mapping[str, ConfigurationValue]
    on_sale: bool

    def fits(self, vehicle: Vehicle) -> bool:
        """Whether this car's model and equipment allow the service (SVC-1)."""
        return vehicle.model in self.models and self.equipment <= vehicle.equipment

    def price(
        self, kind: PurchaseKind, duration_days: int | None, now: datetime, *, period_months: int | None = None
    ) -> Money | Refusal:
        """The price including VAT, or why there is none; that of a period if it recurs. Subscribing is free (SUB-1)."""
        allowed = _DURATIONS[kind]
        if duration_days is not None and "duration_days" not in allowed:
            return Refusal(RefusalCode.DURATION_NOT_ALLOWED, f"a {kind} purchase has no duration_days: leave it out")
        if period_months is not None and ("period_months" not in allowed or duration_days is not None):
            what = f"a {kind} purchase" if "period_months" not in allowed else "a purchase with duration_days"
            return Refusal(RefusalCode.PERIOD_NOT_ALLOWED, f"{what} has no period_months: leave it out")
        if kind is PurchaseKind.SUBSCRIPTION:
            return self._not_offered(kind) if self.plan_in_force(now) is None else _money(0, self.currency)
        if kind is PurchaseKind.RECURRING or period_months is not None:
            return self._recurring(period_months)
        if kind is PurchaseKind.TEMPORARY or duration_days is not None:
            return self._temporary(duration_days)
        return self.permanent or self._not_offered(kind)

    def plan_in_force(self, now: datetime) -> RatePlan | None:
        """The version of its plan that is agreed to by subscribing now; None when it cannot be subscribed."""
        return None if self.plan is None else self.plan.in_force_at(now)

    def _temporary(self, duration_days: int | None) -> Money | Refusal:
        price = self.temporary.get(duration_days) if duration_days is not None else None
        offered = ", ".join(str(days) for days in sorted(self.temporary)) or "none"
        detail = f"{self.code} is not offered for {duration_days} days; offered durations in days: {offered}"
        return price or Refusal(RefusalCode.DURATION_NOT_OFFERED, detail)

    def _recurring(self, period_months: int | None) -> Money | Refusal:
        price = self.recurring.get(period_months) if period_months is not None else None
        offered = ", ".join(str(months) for months in sorted(self.recurring)) or "none"
        detail = f"{self.code} is not offered every {period_months} months; offered periods in months: {offered}"
        return price or Refusal(RefusalCode.PERIOD_NOT_OFFERED, detail)

    def _not_offered(self, kind: PurchaseKind) -> Refusal:
        return Refusal(RefusalCode.KIND_NOT_OFFERED, f"{self.code} is not offered as a {kind} purchase")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All offers by service code, all rate plans by plan code, and the version of the data."""

    version: int
    offers: Mapping[str, Offer]
    plans: Mapping[str, PlanHistory]

    def offers_for(self, vehicle: Vehicle) -> list[Offer]:
        """What may be sold for this car now, by code."""
        fitting = (offer for offer in self.offers.values() if offer.on_sale and offer.fits(vehicle))
        return sorted(fitting, key=lambda offer: offer.code)

    def offer_for(self, service_code: str, vehicle: Vehicle) -> Offer | Refusal:
        """The offer of one service for one car, or why it cannot be bought."""
        offer = self.offers.get(service_code)
        if offer is None or not offer.on_sale:
            return Refusal(RefusalCode.SERVICE_UNKNOWN, f"the catalogue has no service {service_code}")
        if not offer.fits(vehicle):
            return Refusal(
                RefusalCode.SERVICE_NOT_ALLOWED,
                f"{service_code} does not fit the model or equipment of vehicle {vehicle.vehicle_id}",
            )
        return offer


@cache
def current_catalogue() -> Catalogue:
    """The catalogue packaged with this release, read at the first use."""
    text = resources.files("caas_orders").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return catalogue_from(tomllib.loads(text))


def catalogue_from(data: Mapping[str, Any]) -> Catalogue:
    """The catalogue from its data; a missing field or plan raises KeyError, a wrong price or rate ValueError."""
    plans = {plan.plan_code: plan for plan in [plan_from(one, data["currency"]) for one in data.get("plans", ())]}
    offers = [_offer(service, plans, data["currency"], data["vat_rate_bp"]) for service in data["services"]]
    by_code = {offer.code: offer for offer in offers}
    if len(by_code) != len(offers):
        raise ValueError("the catalogue names a service code twice: every code is one service")
    if len(plans) != len(data.get("plans", ())):
        raise ValueError("the catalogue names a plan code twice: every code is one plan")
    return Catalogue(data["version"], by_code, plans)


def _offer(service: Mapping[str, Any], plans: Mapping[str, PlanHistory], currency: str, vat_rate_bp: int) -> Offer:
    prices = service["price_minor"]
    permanent = prices.get("permanent")
    temporary = {int(days): _money(minor, currency) for days, minor in prices.items() if days != "permanent"}
    return Offer(
        code=service["code"],
        names={language: service["name"][language.value] for language in Language},
        models=frozenset(service["models"]),
        equipment=frozenset(service["equipment"]),
        temporary=temporary,
        recurring={
            int(months): _money(minor, currency) for months, minor in service.get("recurring_minor", {}).items()
        },
        permanent=None if permanent is None else _money(permanent, currency),
        plan=plans[service["plan"]] if "plan" in service else None,
        currency=currency,
        vat_rate_bp=service.get("vat_rate_bp", vat_rate_bp),
        maintenance_required=service["maintenance_required"],
        activation_window=timedelta(minutes=service.get("activation_window_minutes", 30)),
        configuration=service["configuration"],
        on_sale=service.get("on_sale", True),
    )


def _money(minor: int, currency: str) -> Money:
    return Money(amount_minor=minor, currency=currency)
