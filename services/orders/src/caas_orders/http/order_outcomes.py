"""What an HTTP caller who waits for a payment of a vehicle order is told, once the outcome is known (RES-1, FIN-2)."""

from collections.abc import Mapping
from uuid import UUID

from caas_chassis.errors import Problem
from caas_chassis.idempotency import Answer
from caas_chassis.web import problem_body
from caas_orders.domain.final_payment import DEADLINE_MISSED
from caas_orders.domain.order_status import PAID_IN_FULL, VehicleOrderStatus
from caas_orders.domain.purchase import GATEWAY_UNREACHABLE
from caas_orders.domain.vehicle_order import VehicleOrder
from caas_orders.errors import PaymentDeclined, PaymentUnavailable
from caas_orders.http.representing_orders import order_json, words_json

_TECHNICAL = "the payment could not be made for a technical reason; nothing was charged, you may try again"


def reservation_outcome(order: VehicleOrder) -> Answer | None:
    """RES-1: 201 with the order, whatever has become of it since; 402 or 409 when there is none; None if unknown."""
    if order.status is VehicleOrderStatus.RESERVING:
        return None
    if order.status is not VehicleOrderStatus.DECLINED:
        return Answer(201, order_json(order), location(order))
    if order.reason == GATEWAY_UNREACHABLE:
        return _refused(PaymentUnavailable(_TECHNICAL), order)
    return _refused(PaymentDeclined(f"{order.reason}; nothing was charged, you may try again"), order)


def payment_outcome(order: VehicleOrder, payment_id: UUID) -> Answer | None:
    """FIN-2: what became of this attempt: 201 paid, 402 forfeited, 409 technical (FIN-5); None while unknown."""
    if order.final_payment_id != payment_id:
        return _refused(PaymentUnavailable(_TECHNICAL), order)  # Only a technical failure lets another attempt begin.
    if order.status is VehicleOrderStatus.PAYING:
        return None
    if order.status in PAID_IN_FULL:
        return Answer(201, order_json(order), location(order))
    if order.status is VehicleOrderStatus.READY or order.reason == DEADLINE_MISSED:
        return _refused(PaymentUnavailable(_TECHNICAL), order)
    return _refused(PaymentDeclined(f"{order.reason}; the order has ended and the reservation is forfeited"), order)


def location(order: VehicleOrder) -> Mapping[str, str]:
    """Where the outcome is told later."""
    return {"Location": f"/vehicle-orders/{order.order_id}"}


def _refused(problem: Problem, order: VehicleOrder) -> Answer:
    explained = {"reason": order.reason, "words": words_json(order.reason), "vehicle_order": order_json(order)}
    return Answer(problem.status, {**problem_body(problem), **explained}, location(order))
