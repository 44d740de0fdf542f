"""How vehicle orders, vehicles in stock and the catalogue of vehicles look as JSON."""

from datetime import date
from typing import Any

from caas_orders.domain.decline_reason import words_for
from caas_orders.domain.order_status import PAID_IN_FULL
from caas_orders.domain.registration import Language
from caas_orders.domain.stock import Assignment, StockVehicle
from caas_orders.domain.terms import Terms
from caas_orders.domain.vehicle_catalogue import VehicleCatalogue
from caas_orders.domain.vehicle_order import VehicleOrder
from caas_orders.http.representing import instant_json, money_json


def order_json(order: VehicleOrder) -> dict[str, Any]:
    """A vehicle order. `amount_due` is the final payment (FIN-1); `problem` is what a partner refused."""
    return {
        "order_id": str(order.order_id),
        "status": order.status.value,
        "reason": order.reason,
        "problem": order.problem,
        "customer_id": order.customer_id,
        **_terms_json(order.terms),
        "amount_due": money_json(order.terms.due),
        "paid_in_full": order.status in PAID_IN_FULL,
        "reservation_payment_id": str(order.reservation_payment_id),
        "final_payment_id": None if order.final_payment_id is None else str(order.final_payment_id),
        "vehicle_id": order.vehicle_id,
        "factory_order_id": order.factory_order_id,
        "estimated_delivery_on": _day(order.estimated_delivery_on),
        "pay_before": instant_json(order.pay_before),
        "paid_at": instant_json(order.paid_at),
        "plates": order.plates,
        "booking_id": order.booking_id,
        "delivery_on": _day(order.delivery_on),
        "delivered_at": instant_json(order.delivered_at),
        "requested_at": instant_json(order.requested_at),
        "updated_at": instant_json(order.updated_at),
    }


def vehicle_json(vehicle: StockVehicle) -> dict[str, Any]:
    """A vehicle on sale; nothing about whom it was built for."""
    return {"vehicle_id": vehicle.vehicle_id, "status": vehicle.status.value, **_terms_json(vehicle.terms)}


def assignment_json(assignment: Assignment) -> dict[str, Any]:
    """From when on who had a vehicle, and why."""
    return {
        "status": assignment.status.value,
        "order_id": None if assignment.order_id is None else str(assignment.order_id),
        "customer_id": assignment.customer_id,
        "reason": assignment.reason,
        "since": instant_json(assignment.since),
    }


def vehicle_catalogue_json(catalogue: VehicleCatalogue) -> dict[str, Any]:
    """What can be ordered now; prices and reservations include VAT."""
    return {
        "version": catalogue.version,
        "vat_rate_bp": catalogue.vat_rate_bp,
        "models": [
            {
                "model": platform.code,
                "name": platform.name,
                "price": money_json(platform.price),
                "reservation": money_json(platform.reservation),
            }
            for platform in catalogue.platforms.values()
            if platform.on_sale
        ],
        "options": [
            {
                "option": option.code,
                "name": {language.value: name for language, name in option.names.items()},
                "models": sorted(option.models),
                "price": money_json(option.price),
            }
            for option in catalogue.options.values()
            if option.on_sale
        ],
        "dealerships": [{"dealership": code, "name": name} for code, name in catalogue.dealerships.items()],
    }


def words_json(reason: str) -> dict[str, str]:
    """A decline in words that a customer understands, by language."""
    return {language.value: words_for(reason, language) for language in Language}


def _terms_json(terms: Terms) -> dict[str, Any]:
    return {
        "model": terms.model,
        "options": list(terms.options),
        "dealership": terms.dealership,
        "total": money_json(terms.total),
        "reservation": money_json(terms.reservation),
        "vat_rate_bp": terms.vat_rate_bp,
        "catalogue_version": terms.catalogue_version,
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
