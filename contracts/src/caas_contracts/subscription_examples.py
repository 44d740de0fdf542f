"""Examples of one subscription: its terms, its use, its invoice paid, and one that ends in collections."""

from collections.abc import Mapping
from typing import Any, Final

from caas_contracts import payments, subscriptions
from caas_contracts.message import Message

_SUBSCRIPTION: Final = "0197a5c2-0010-7000-8000-000000000010"
_INVOICE: Final = "0197a5c2-0011-7000-8000-000000000011"
_PAYMENT: Final = "0197a5c2-0012-7000-8000-000000000012"
_ACTIVATION: Final = "0197a5c2-0013-7000-8000-000000000013"
_USAGE: Final = "0197a5c2-0014-7000-8000-000000000014"
_COLLECTION: Final = "0197a5c2-0015-7000-8000-000000000015"
_RUN: Final = "0197a5c2-0016-7000-8000-000000000016"
_AT: Final = "2026-11-01T04:00:12.250000Z"
_LATER: Final = "2026-11-04T04:00:12.250000Z"
_STARTED: Final = "2026-10-03T17:20:00Z"
_VEHICLE: Final = "WVWZZZ1JZXW000001"
_OWED: Final = {"amount_minor": 1485, "currency": "EUR"}
_PLAN: Final = {
    "plan_code": "lane-keeping-per-km",
    "version": 1,
    "kind": "tiered",
    "currency": "EUR",
    "unit": "km",
    "tiers": [{"up_to": "500", "rate": "2.5"}, {"up_to": None, "rate": "1.25"}],
    "effective_from": "2026-01",
}
_FLAT: Final = {
    "plan_code": "navigation-monthly",
    "version": 2,
    "kind": "flat_monthly",
    "currency": "EUR",
    "rate": "990",
    "effective_from": "2026-10",
}
_SUBSCRIBER: Final = {
    "subscription_id": _SUBSCRIPTION,
    "customer_id": "customer-7",
    "vehicle_id": _VEHICLE,
    "service_code": "lane-keeping",
}
_INVOICED: Final = {
    **_SUBSCRIBER,
    "invoice_id": _INVOICE,
    "invoice_number": "M-2026-000001",
    "period": "2026-10",
    "amount": _OWED,
    "occurred_at": _AT,
}

SUBSCRIPTIONS: Final[Mapping[type[Message], list[Mapping[str, Any]]]] = {
    subscriptions.RatePlanPublished: [
        {"plan_code": "lane-keeping-per-km", "plan": _PLAN, "occurred_at": _AT},
        {"plan_code": "navigation-monthly", "plan": _FLAT, "occurred_at": _AT},
    ],
    subscriptions.SubscriptionStarted: [
        {
            **_SUBSCRIBER,
            "customer_name": "María Ñúñez",
            "customer_email": "maria@example.test",
            "customer_tax_id": "12345678Z",
            "customer_language": "es",
            "service_name": "Mantenimiento de carril",
            "plan": _PLAN,
            "vat_rate_bp": 2100,
            "payment_method": "pm_ok",
            "activation_id": _ACTIVATION,
            "started_at": _STARTED,
            "occurred_at": _STARTED,
        }
    ],
    subscriptions.SubscriptionCancelled: [{**_SUBSCRIBER, "cancelled_at": _AT, "occurred_at": _AT}],
    subscriptions.UsageReported: [
        {
            "usage_id": _USAGE,
            "subject_id": _SUBSCRIPTION,
            "occurred_at": "2026-10-31T22:59:59.999999Z",
            "quantity": "12.5",
            "unit": "km",
        },
        {
            "usage_id": _USAGE,
            "subject_id": _VEHICLE,
            "service_code": "lane-keeping",
            "occurred_at": "2026-10-31T23:00:00Z",
            "quantity": "1",
            "unit": "km",
        },
    ],
    subscriptions.SubscriptionPaid: [{**_INVOICED, "payment_id": _PAYMENT, "attempt": 1}],
    subscriptions.SubscriptionPaymentFailed: [
        {
            **_INVOICED,
            "payment_id": _PAYMENT,
            "attempt": 1,
            "reason": "insufficient_funds",
            "new_method_needed": False,
            "next_attempt_at": _LATER,
        },
        {
            **_INVOICED,
            "payment_id": None,
            "attempt": 3,
            "reason": "lost_card",
            "new_method_needed": True,
            "next_attempt_at": None,
        },
    ],
    subscriptions.SubscriptionPaymentNeedsCustomer: [
        {
            **_INVOICED,
            "payment_id": _PAYMENT,
            "attempt": 1,
            "action_url": "https://pay.caas.example/payment-actions/9f2c1e7d",
            "expires_at": _LATER,
        }
    ],
    subscriptions.SubscriptionCancelledForNonpayment: [
        {**_SUBSCRIBER, "outstanding": _OWED, "cancelled_at": _LATER, "occurred_at": _LATER}
    ],
    subscriptions.CollectionOpened: [
        {
            **_INVOICED,
            "collection_id": _COLLECTION,
            "customer_name": "María Ñúñez",
            "customer_tax_id": "12345678Z",
            "attempts": 3,
            "due_on": "2026-11-01",
        }
    ],
    subscriptions.CollectionSettled: [{**_INVOICED, "collection_id": _COLLECTION, "payment_id": _PAYMENT}],
    subscriptions.BillingRunFinished: [
        {
            "run_id": _RUN,
            "period": "2026-10",
            "subscriptions": 2000,
            "invoices": 1893,
            "without_charge": 107,
            "invoiced": [{"amount_minor": 2_811_105, "currency": "EUR"}],
            "started_at": _AT,
            "finished_at": _LATER,
        }
    ],
    payments.PaymentActionRequired: [
        {
            "payment_id": _PAYMENT,
            "purpose": "subscription",
            "customer_id": "customer-7",
            "subject_id": _INVOICE,
            "amount": _OWED,
            "occurred_at": _AT,
            "action_url": "https://pay.caas.example/payment-actions/9f2c1e7d",
            "expires_at": _LATER,
        }
    ],
}
