"""At least one example of every message, as JSON that could be on the broker: one purchase and what follows it.

Invariant: each is valid, and the test suite validates it; documentation is generated from here.
"""

from collections.abc import Mapping
from typing import Any, Final

from caas_contracts import audit, billing, gateway, operations, orders, ota, payments, reconciliation, streams
from caas_contracts.message import Message
from caas_contracts.purchase_life_examples import PURCHASE_LIFE
from caas_contracts.subscription_examples import SUBSCRIPTIONS
from caas_contracts.vehicle_order_examples import VEHICLE_ORDERS

type Example = Mapping[str, Any]

_PURCHASE: Final = "0197a5c2-0001-7000-8000-000000000001"
_PAYMENT: Final = "0197a5c2-0002-7000-8000-000000000002"
_ACTIVATION: Final = "0197a5c2-0003-7000-8000-000000000003"
_COMMAND: Final = "0197a5c2-0004-7000-8000-000000000004"
_REFUND: Final = "0197a5c2-0005-7000-8000-000000000005"
_INVOICE: Final = "0197a5c2-0006-7000-8000-000000000006"
_OTHER: Final = "0197a5c2-0007-7000-8000-000000000007"
_PROOF: Final = "0197a5c2-0008-7000-8000-000000000008"
_ORDER: Final = "0197a5c2-0009-7000-8000-000000000009"
_AT: Final = "2026-11-22T10:15:30.250000Z"
_LATER: Final = "2026-11-22T11:15:30.250000Z"
_PRICE: Final = {"amount_minor": 1999, "currency": "EUR"}
_FEE: Final = {"amount_minor": 35, "currency": "EUR"}
_SERVICE: Final = {"vehicle_id": "WVWZZZ1JZXW000001", "service_code": "heated-seats"}
_BUYER: Final = {"customer_id": "customer-7"}

_PAYMENT_EVENT: Final = {
    "payment_id": _PAYMENT,
    "purpose": "service",
    **_BUYER,
    "subject_id": _PURCHASE,
    "amount": _PRICE,
    "occurred_at": _AT,
}
_SALE_EVENT: Final = {**_PAYMENT_EVENT, "purpose": "reservation", "subject_id": _ORDER}
_PURCHASE_EVENT: Final = {
    "purchase_id": _PURCHASE,
    **_BUYER,
    **_SERVICE,
    "price": _PRICE,
    "occurred_at": _AT,
}
_ACTIVATION_EVENT: Final = {
    "activation_id": _ACTIVATION,
    "purchase_id": _PURCHASE,
    "payment_id": _PAYMENT,
    **_SERVICE,
    "occurred_at": _AT,
}
_ATTEMPT: Final = {"number": 1, "command_id": _COMMAND, "sent_at": _AT, "answered_at": _AT, "outcome": "applied"}
_EVIDENCE: Final = {
    "command_id": _COMMAND,
    "nonce": "f3b1c2d4e5a697881122",
    "counter": 12,
    "applied_at": _AT,
    "signature": "MEUCIQDt" * 11,
}
_VAT: Final = [
    {
        "rate_bp": 2100,
        "base": {"amount_minor": 1652, "currency": "EUR"},
        "vat": {"amount_minor": 347, "currency": "EUR"},
    }
]
_STREAM: Final = {"producer": "payments", "consumer": "orders", "stream_topic": "caas.payments.events.v1"}

_PAYMENTS: Final[Mapping[type[Message], list[Example]]] = {
    payments.AuthorizePayment: [
        {
            "payment_id": _PAYMENT,
            "idempotency_key": _PURCHASE,
            "purpose": "service",
            **_BUYER,
            "subject_id": _PURCHASE,
            "activation_id": _ACTIVATION,
            **_SERVICE,
            "amount": _PRICE,
            "payment_method": "tok_visa_approved",
            "requested_at": _AT,
        }
    ],
    payments.ChargePayment: [
        {
            "payment_id": _PAYMENT,
            "idempotency_key": _ORDER,
            "purpose": "reservation",
            **_BUYER,
            "subject_id": _ORDER,
            "vehicle_id": _SERVICE["vehicle_id"],
            "amount": _PRICE,
            "payment_method": "tok_visa_approved",
            "requested_at": _AT,
        },
        {
            "payment_id": _PAYMENT,
            "idempotency_key": f"{_INVOICE}:1",
            "purpose": "subscription",
            **_BUYER,
            "subject_id": _INVOICE,
            "amount": _PRICE,
            "payment_method": "tok_visa_approved",
            "requested_at": _AT,
        },
    ],
    payments.CapturePayment: [
        {"payment_id": _PAYMENT, "amount": _PRICE, "reason": "goodwill", "requested_at": _AT},
        {"payment_id": _PAYMENT, "reason": "by_hand", "requested_at": _AT},
    ],
    payments.CancelPayment: [
        {
            "payment_id": _PAYMENT,
            "activation_id": _ACTIVATION,
            "reason": "cancelled_by_customer",
            "requested_at": _AT,
        }
    ],
    payments.RefundPayment: [
        {
            "payment_id": _PAYMENT,
            "refund_id": _REFUND,
            "amount": _PRICE,
            "reason": "goodwill",
            "requested_at": _AT,
        }
    ],
    payments.RecordSettlement: [
        {
            "payment_id": _PAYMENT,
            "settlement_line_id": "line-1",
            "gross": _PRICE,
            "fee": _FEE,
            "settled_on": "2026-11-24",
        }
    ],
    payments.FailSettlement: [{"payment_id": _PAYMENT, "reason": "payout_returned", "requested_at": _AT}],
    payments.QueryPaymentStatus: [{"payment_id": _PAYMENT, "query_id": _OTHER, "requested_at": _AT}],
    payments.PaymentInitiated: [{**_PAYMENT_EVENT, "rating": "medium"}],
    payments.PaymentAuthorized: [
        {
            **_PAYMENT_EVENT,
            "activation_id": _ACTIVATION,
            "gateway_transaction_id": "tx_1",
            "delivery": {
                "decision": "on_authorization",
                "rating": "medium",
                "reasons": ["known_customer"],
                "policy_version": 1,
            },
            "capture_before": _LATER,
            "activate_not_after": _LATER,
        }
    ],
    payments.PaymentConfirmed: [{**_SALE_EVENT, "gateway_transaction_id": "tx_1"}],
    payments.OrphanSaleFound: [{**_SALE_EVENT, "gateway_transaction_id": "tx_1", "taken": _PRICE}],
    payments.PaymentFailed: [{**_PAYMENT_EVENT, "reason": "insufficient_funds", "customer_may_retry": True}],
    payments.PaymentAbandoned: [{**_PAYMENT_EVENT, "reason": "gateway_unreachable"}],
    payments.PaymentCaptured: [
        {
            **_PAYMENT_EVENT,
            "captured": _PRICE,
            "activation_id": _ACTIVATION,
            "proof_id": _PROOF,
            "activated_at": _AT,
            "gateway_transaction_id": "tx_1",
            **_SERVICE,
        }
    ],
    payments.PaymentVoided: [{**_PAYMENT_EVENT, "ground": "verified_rejection", "reason": "vehicle_incompatible"}],
    payments.PaymentSettled: [{**_PAYMENT_EVENT, "settled": _PRICE, "fee": _FEE, "settlement_line_id": "line-1"}],
    payments.PaymentSettlementFailed: [
        {**_PAYMENT_EVENT, "stage": "capture", "lost": _PRICE, "reason": "hold_expired", "activation_id": _ACTIVATION}
    ],
    payments.PaymentRefunded: [
        {**_PAYMENT_EVENT, "refund_id": _REFUND, "refunded": _PRICE, "refunded_total": _PRICE, "reason": "goodwill"}
    ],
    payments.PaymentStatusReported: [
        {
            **_SALE_EVENT,
            "query_id": _OTHER,
            "status": "SETTLED",
            "being_confirmed": False,
            "captured": _PRICE,
            "settled": _PRICE,
            "refunded": {"amount_minor": 0, "currency": "EUR"},
        }
    ],
    payments.ChargebackReceived: [
        {**_PAYMENT_EVENT, "chargeback_id": "cb_1", "disputed": _PRICE, "reason": "not recognised by the holder"}
    ],
}

_ORDERS: Final[Mapping[type[Message], list[Example]]] = {
    orders.PlacePurchase: [
        {
            "purchase_id": _PURCHASE,
            **_BUYER,
            **_SERVICE,
            "kind": "temporary",
            "duration_days": 30,
            "payment_method": "tok_visa_approved",
            "immediate_performance_consent": True,
            "requested_at": _AT,
        }
    ],
    orders.CancelPurchase: [
        {"purchase_id": _PURCHASE, **_BUYER, "reason": "changed_mind", "requested_at": _AT},
    ],
    orders.PurchasePlaced: [
        {
            **_PURCHASE_EVENT,
            "kind": "temporary",
            "duration_days": 30,
            "vat_rate_bp": 2100,
            "service_name": "Asientos calefactables",
            "customer_name": "María Ñúñez",
            "customer_email": "maria@example.test",
            "customer_tax_id": "12345678Z",
            "customer_language": "es",
            "payment_id": _PAYMENT,
            "activation_id": _ACTIVATION,
        }
    ],
    orders.PurchaseBlocked: [{**_PURCHASE_EVENT, "reason": "maintenance_overdue"}],
    orders.PurchaseDeclined: [{**_PURCHASE_EVENT, "reason": "insufficient_funds"}],
    orders.PurchaseActivated: [{**_PURCHASE_EVENT, "charged": True, "ends_at": _LATER}],
    orders.PurchaseFailed: [{**_PURCHASE_EVENT, "reason": "vehicle_incompatible", "charged": False}],
    orders.PurchaseCancelled: [{**_PURCHASE_EVENT, "charged": False}],
    orders.VehicleRegistered: [
        {
            "vehicle_id": _SERVICE["vehicle_id"],
            **_BUYER,
            "model": "golf-9",
            "equipment": ["seat-heating"],
            "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
            "occurred_at": _AT,
        }
    ],
}

_OTA: Final[Mapping[type[Message], list[Example]]] = {
    ota.ActivateService: [
        {
            "activation_id": _ACTIVATION,
            "purchase_id": _PURCHASE,
            "payment_id": _PAYMENT,
            **_SERVICE,
            "configuration": {"seat.heating": True, "seat.levels": 3},
            "not_after": _LATER,
            "requested_at": _AT,
        }
    ],
    ota.CancelActivation: [
        {
            "activation_id": _ACTIVATION,
            "vehicle_id": _SERVICE["vehicle_id"],
            "reason": "cancelled_by_customer",
            "requested_at": _AT,
        }
    ],
    ota.DeactivateService: [
        {
            "deactivation_id": _OTHER,
            "activation_id": _ACTIVATION,
            **_SERVICE,
            "reason": "ended",
            "requested_at": _AT,
        }
    ],
    ota.ServiceActivated: [
        {**_ACTIVATION_EVENT, "evidence": _EVIDENCE, "attempts": [_ATTEMPT], "not_after": _LATER, "vehicle_ms": 840}
    ],
    ota.ActivationFailed: [
        {
            **_ACTIVATION_EVENT,
            "reason": "incompatible",
            "ground": "verified_rejection",
            "attempts": [_ATTEMPT],
            "not_after": _LATER,
            "support_case_id": _OTHER,
        }
    ],
    ota.ServiceDeactivated: [{**_ACTIVATION_EVENT, "deactivation_id": _OTHER, "reason": "ended"}],
    ota.DeactivationDelayed: [{**_ACTIVATION_EVENT, "deactivation_id": _OTHER, "attempts": [_ATTEMPT]}],
}

_BILLING: Final[Mapping[type[Message], list[Example]]] = {
    billing.InvoiceIssued: [
        {
            "invoice_id": _INVOICE,
            "number": "S-2026-000001",
            "kind": "service",
            **_BUYER,
            "subject_id": _PURCHASE,
            "payment_id": _PAYMENT,
            "vat": _VAT,
            "total": _PRICE,
            "issued_at": _AT,
            "document_url": f"/invoices/{_INVOICE}/document",
        }
    ],
    billing.CreditNoteIssued: [
        {
            "credit_note_id": _OTHER,
            "number": "R-2026-000001",
            "invoice_id": _INVOICE,
            "invoice_number": "S-2026-000001",
            **_BUYER,
            "subject_id": _PURCHASE,
            "payment_id": _PAYMENT,
            "refund_id": _REFUND,
            "vat": _VAT,
            "total": _PRICE,
            "reason": "refund",
            "issued_at": _AT,
            "document_url": f"/credit-notes/{_OTHER}/document",
        }
    ],
}

_RECONCILIATION: Final[Mapping[type[Message], list[Example]]] = {
    reconciliation.DiscrepancyOpened: [
        {
            "case_id": _OTHER,
            "kind": "partial",
            "payment_id": _PAYMENT,
            "settlement_line_id": "line-1",
            "difference_minor": -500,
            "currency": "EUR",
            "detail": "settled 14.99 of 19.99",
            "opened_at": _AT,
        }
    ],
    reconciliation.DiscrepancyResolved: [
        {
            "case_id": _OTHER,
            "resolution": "explained",
            "resolved_by": "operator:ana",
            "reason": "the rest came with line-2",
            "resolved_at": _AT,
        }
    ],
    reconciliation.ReconciliationCompleted: [
        {
            "run_id": _OTHER,
            "lines": 200,
            "matched": 199,
            "matched_gross": {"amount_minor": 397801, "currency": "EUR"},
            "cases_opened": 1,
            "cases_open": 1,
            "proof_difference_minor": 0,
            "completed_at": _AT,
        }
    ],
}

_REST: Final[Mapping[type[Message], list[Example]]] = {
    gateway.GatewayWebhookReceived: [
        {
            "webhook_id": "msg_1",
            "event_type": "transaction.authorized",
            "transaction_id": "tx_1",
            "reference": _PAYMENT,
            "body": '{"type": "transaction.authorized"}',
            "received_at": _AT,
        }
    ],
    operations.AlertRaised: [
        {
            "service": "payments",
            "kind": "outcome_unknown",
            "subject": _PAYMENT,
            "detail": "the gateway has not answered for an hour: ask it",
            "raised_at": _AT,
        }
    ],
    audit.AuditAnchored: [
        {
            "service": "payments",
            "sequence": 41,
            "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "entries": 7,
            "anchored_at": _AT,
        }
    ],
    streams.ResendStream: [{**_STREAM, "stream_key": _PAYMENT, "from_sequence": 3, "to_sequence": 4}],
    streams.ResendTopic: [{**_STREAM, "since": _AT}],
    streams.StreamWatermark: [
        {
            "producer": "payments",
            "stream_topic": "caas.payments.events.v1",
            "positions": [{"key": _PAYMENT, "sequence": 4}],
        }
    ],
}

EXAMPLES: Final[Mapping[type[Message], list[Example]]] = (
    dict(_PAYMENTS)
    | dict(_ORDERS)
    | dict(VEHICLE_ORDERS)
    | dict(SUBSCRIPTIONS)
    | dict(PURCHASE_LIFE)
    | dict(_OTA)
    | dict(_BILLING)
    | dict(_RECONCILIATION)
    | dict(_REST)
)
