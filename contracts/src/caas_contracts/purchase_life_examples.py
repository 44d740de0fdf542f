"""Examples of what follows a purchase: a planned one, a recurring one, an end, a withdrawal, a theft."""

from collections.abc import Mapping
from typing import Any, Final

from caas_contracts import purchase_life
from caas_contracts.message import Message

_PURCHASE: Final = "0197a5c2-0020-7000-8000-000000000020"
_PAYMENT: Final = "0197a5c2-0021-7000-8000-000000000021"
_ACTIVATION: Final = "0197a5c2-0022-7000-8000-000000000022"
_REFUND: Final = "0197a5c2-0023-7000-8000-000000000023"
_WITHDRAWAL: Final = "0197a5c2-0024-7000-8000-000000000024"
_REPORT: Final = "0197a5c2-0025-7000-8000-000000000025"
_AT: Final = "2026-12-01T08:15:30.250000Z"
_STARTS: Final = "2026-12-23T23:00:00Z"
_NEXT: Final = "2027-01-23T23:00:00Z"
_PRICE: Final = {"amount_minor": 1999, "currency": "EUR"}
_SERVICE: Final = {"vehicle_id": "WVWZZZ1JZXW000001", "service_code": "heated-seats"}
_BUYER: Final = {"customer_id": "customer-7"}
_EVENT: Final = {"purchase_id": _PURCHASE, **_BUYER, **_SERVICE, "price": _PRICE, "occurred_at": _AT}
_CHARGE: Final = {
    "payment_id": _PAYMENT,
    "purpose": "service",
    **_BUYER,
    "subject_id": _PURCHASE,
    **_SERVICE,
    "amount": _PRICE,
    "payment_method": "tok_visa_approved",
    "requested_at": _AT,
}

PURCHASE_LIFE: Final[Mapping[type[Message], list[Mapping[str, Any]]]] = {
    purchase_life.ChargePlannedService: [
        {**_CHARGE, "idempotency_key": f"purchase:{_PURCHASE}", "activation_id": _ACTIVATION}
    ],
    purchase_life.ChargeRenewal: [
        {
            **_CHARGE,
            "idempotency_key": f"purchase:{_PURCHASE}:period:2",
            "renewed_activation_id": _ACTIVATION,
            "period_number": 2,
        }
    ],
    purchase_life.RefundDelayed: [
        {
            "payment_id": _PAYMENT,
            "purpose": "service",
            **_BUYER,
            "subject_id": _PURCHASE,
            "amount": _PRICE,
            "occurred_at": _AT,
            "refund_id": _REFUND,
            "outstanding": _PRICE,
            "reason": "gateway_unreachable",
        }
    ],
    purchase_life.PurchaseScheduled: [{**_EVENT, "starts_at": _STARTS, "payment_id": _PAYMENT}],
    purchase_life.PurchaseRenewed: [
        {
            **_EVENT,
            "period_number": 2,
            "payment_id": _PAYMENT,
            "activation_id": _ACTIVATION,
            "period_from": _STARTS,
            "period_to": _NEXT,
        }
    ],
    purchase_life.RecurrenceEnded: [{**_EVENT, "reason": "cancelled_by_customer", "ends_at": _NEXT}],
    purchase_life.PurchaseExpired: [{**_EVENT, "ended_at": _AT}],
    purchase_life.WithdrawalConfirmed: [
        {**_EVENT, "withdrawal_id": _WITHDRAWAL, "declared_at": _AT, "refund_due": _PRICE}
    ],
    purchase_life.PurchaseWithdrawn: [{**_EVENT, "withdrawal_id": _WITHDRAWAL, "refunded": _PRICE}],
    purchase_life.VehicleReportedStolen: [
        {
            "vehicle_id": _SERVICE["vehicle_id"],
            **_BUYER,
            "report_id": _REPORT,
            "reported_at": _AT,
            "occurred_at": _AT,
        }
    ],
}
