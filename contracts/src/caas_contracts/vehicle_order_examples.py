"""Examples of the facts about one vehicle order, from its reservation to its delivery, and of one forfeited."""

from collections.abc import Mapping
from typing import Any, Final

from caas_contracts import vehicle_orders
from caas_contracts.message import Message

_ORDER: Final = "0197a5c2-0009-7000-8000-000000000009"
_RESERVATION_PAYMENT: Final = "0197a5c2-000a-7000-8000-00000000000a"
_FINAL_PAYMENT: Final = "0197a5c2-000b-7000-8000-00000000000b"
_AT: Final = "2026-11-22T10:15:30.250000Z"
_LATER: Final = "2026-12-06T10:15:30.250000Z"
_VIN: Final = "WCAAS0NE5T0000001"
_DAY: Final = "2027-01-18"
_TOTAL: Final = {"amount_minor": 3_149_000, "currency": "EUR"}
_RESERVATION: Final = {"amount_minor": 100_000, "currency": "EUR"}
_DUE: Final = {"amount_minor": 3_049_000, "currency": "EUR"}
_FACT: Final = {"order_id": _ORDER, "customer_id": "customer-7", "model": "caas-one", "occurred_at": _AT}
_CONFIGURED: Final = {"options": ["seat-heating"], "dealership": "madrid-norte"}

VEHICLE_ORDERS: Final[Mapping[type[Message], list[Mapping[str, Any]]]] = {
    vehicle_orders.VehicleOrderPlaced: [
        {
            **_FACT,
            **_CONFIGURED,
            "model_name": "CaaS One",
            "total": _TOTAL,
            "reservation": _RESERVATION,
            "vat_rate_bp": 2100,
            "reservation_payment_id": _RESERVATION_PAYMENT,
            "customer_name": "María Ñúñez",
            "customer_email": "maria@example.test",
            "customer_tax_id": "12345678Z",
            "customer_language": "es",
        }
    ],
    vehicle_orders.VehicleOrderReserved: [
        {**_FACT, "payment_id": _RESERVATION_PAYMENT, "reservation": _RESERVATION},
    ],
    vehicle_orders.VehicleOrderDeclined: [
        {**_FACT, "payment_id": _RESERVATION_PAYMENT, "reason": "insufficient_funds"},
    ],
    vehicle_orders.VehicleOrdered: [{**_FACT, "factory_order_id": "fo-1", "estimated_delivery_on": _DAY}],
    vehicle_orders.VehicleDeliveryEstimated: [{**_FACT, "estimated_delivery_on": _DAY}],
    vehicle_orders.VehicleBuilt: [{**_FACT, "vin": _VIN}],
    vehicle_orders.VehicleReady: [{**_FACT, "vin": _VIN, "amount_due": _DUE, "pay_before": _LATER}],
    vehicle_orders.VehicleOrderPaid: [
        {
            **_FACT,
            "vin": _VIN,
            "payment_id": _FINAL_PAYMENT,
            "amount": _DUE,
            "reservation": _RESERVATION,
            "total": _TOTAL,
        }
    ],
    vehicle_orders.VehicleOrderForfeited: [
        {
            **_FACT,
            "vin": _VIN,
            "reservation_payment_id": _RESERVATION_PAYMENT,
            "reservation": _RESERVATION,
            "reason": "card_declined",
        }
    ],
    vehicle_orders.VehicleRegisteredForTraffic: [{**_FACT, "vin": _VIN, "plates": "1234 MRT"}],
    vehicle_orders.VehicleDeliveryScheduled: [
        {**_FACT, "vin": _VIN, "booking_id": "tb-1", "delivery_on": _DAY},
    ],
    vehicle_orders.VehicleDelivered: [{**_FACT, "vin": _VIN, "plates": "1234 MRT", "delivered_at": _AT}],
    vehicle_orders.VehicleAvailable: [
        {
            "vehicle_id": _VIN,
            "model": "caas-one",
            **_CONFIGURED,
            "total": _TOTAL,
            "reservation": _RESERVATION,
            "former_order_id": _ORDER,
            "occurred_at": _AT,
        }
    ],
}
