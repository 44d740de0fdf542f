"""How purchases, offers, notifications and documents look as JSON. Instants are RFC 3339, UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from caas_contracts.money import Money
from caas_orders.domain.catalogue import Offer
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.recurring import Recurrence, RecurrenceStatus
from caas_orders.domain.status import PurchaseStatus
from caas_orders.store.documents import Document
from caas_orders.store.notifications import AnyNotification, OrderNotification, VehicleNotification


def purchase_json(purchase: Purchase, recurrence: Recurrence | None = None) -> dict[str, Any]:
    """A purchase, with what it will renew next if it recurs.

    `charged` is null until it is known; `reason` says why it ended without the service.

    `being_confirmed`: nobody knows yet whether the amount is held, however long it takes; it is never guessed (GW-4).
    """
    return {
        "purchase_id": str(purchase.purchase_id),
        "status": purchase.status.value,
        "being_confirmed": purchase.status is PurchaseStatus.AUTHORIZING,
        "reason": purchase.reason,
        "charged": purchase.charged,
        "money": None if purchase.money is None else purchase.money.value,
        "customer_id": purchase.customer_id,
        "vehicle_id": purchase.vehicle_id,
        "service_code": purchase.service_code,
        "kind": purchase.kind.value,
        "duration_days": purchase.duration_days,
        "period_months": purchase.period_months,
        "starts_at": instant_json(purchase.starts_at),
        "time_zone": purchase.time_zone,
        "price": money_json(purchase.price),
        "vat_rate_bp": purchase.vat_rate_bp,
        "plan_code": purchase.plan_code,
        "plan_version": purchase.plan_version,
        "payment_id": None if purchase.payment_id is None else str(purchase.payment_id),
        "activation_id": str(purchase.activation_id),
        "requested_at": instant_json(purchase.requested_at),
        "consent_at": instant_json(purchase.consent_at),
        "cancelled_at": instant_json(purchase.cancelled_at),
        "activated_at": instant_json(purchase.activated_at),
        "ends_at": instant_json(purchase.ends_at),
        "deactivation": _deactivation(purchase),
        "deactivated_at": instant_json(purchase.deactivated_at),
        "updated_at": instant_json(purchase.updated_at),
        "recurrence": None if recurrence is None else _recurrence_json(recurrence),
        "withdrawal_id": None if purchase.withdrawal_id is None else str(purchase.withdrawal_id),
    }


def subscription_json(purchase: Purchase, billed: Sequence[Document]) -> dict[str, Any]:
    """A subscription with its monthly invoices, newest first. What it owes and how it is paid is billing's to say."""
    return {
        "subscription_id": str(purchase.purchase_id),
        "status": purchase.status.value,
        "reason": purchase.reason,
        "vehicle_id": purchase.vehicle_id,
        "service_code": purchase.service_code,
        "plan_code": purchase.plan_code,
        "plan_version": purchase.plan_version,
        "started_at": instant_json(purchase.activated_at),
        "ended_at": instant_json(purchase.ends_at),
        "documents": [document_json(document) for document in billed],
    }


def offer_json(offer: Offer, occupied: PurchaseStatus | None, now: datetime) -> dict[str, Any]:
    """An offer for one vehicle; `state` is `available`, or that of the purchase that occupies it (SVC-1).

    Planned purchases cost what the others do (PLN-1).
    `subscription` is the plan that is agreed to by subscribing now, and what will follow it (SUB-3); null without one.
    """
    prices = [
        *[_price_json("temporary", price, days=days) for days, price in sorted(offer.temporary.items())],
        *[_price_json("recurring", price, months=months) for months, price in sorted(offer.recurring.items())],
        *([] if offer.permanent is None else [_price_json("permanent", offer.permanent)]),
    ]
    return {
        "service_code": offer.code,
        "name": {language.value: name for language, name in offer.names.items()},
        "maintenance_required": offer.maintenance_required,
        "vat_rate_bp": offer.vat_rate_bp,
        "prices": prices,
        "subscription": _plan_json(offer, now),
        "state": "available" if occupied is None else occupied.value,
    }


def notification_json(told: AnyNotification) -> dict[str, Any]:
    """What a customer was told, about a purchase, a vehicle order or a vehicle, and what became of the mail."""
    return {
        "notification_id": str(told.notification_id),
        **_occasion(told),
        "subject": told.letter.subject,
        "text": told.letter.text,
        "mail": told.state.value,
        "created_at": instant_json(told.created_at),
        "sent_at": instant_json(told.sent_at),
    }


def document_json(document: Document) -> dict[str, Any]:
    """An invoice or credit note; `document_url` is a path of billing's HTTP interface."""
    return {
        "document_id": str(document.document_id),
        "kind": document.kind.value,
        "number": document.number,
        "purchase_id": str(document.subject_id),
        "subject_id": str(document.subject_id),
        "total": money_json(document.total),
        "issued_at": instant_json(document.issued_at),
        "document_url": document.url,
    }


def money_json(money: Money) -> dict[str, Any]:
    """Minor units and ISO 4217 code."""
    return {"amount_minor": money.amount_minor, "currency": money.currency}


def instant_json(instant: datetime | None) -> str | None:
    """RFC 3339, UTC."""
    return None if instant is None else instant.isoformat().replace("+00:00", "Z")


def _price_json(kind: str, price: Money, *, days: int | None = None, months: int | None = None) -> dict[str, Any]:
    return {"kind": kind, "duration_days": days, "period_months": months, "price": money_json(price)}


def _recurrence_json(recurrence: Recurrence) -> dict[str, Any]:
    """`next_renewal_at` is when the next period is charged, null when there will be none (REC-1, REC-2)."""
    has_ended = recurrence.status is RecurrenceStatus.ENDED
    return {
        "status": recurrence.status.value,
        "reason": recurrence.reason,
        "current_period": recurrence.next_period - 1,
        "next_renewal_at": None if has_ended else instant_json(recurrence.next_renewal_at),
    }


def _deactivation(purchase: Purchase) -> str | None:
    """How far the car has come with taking the service out: `asked`, `delayed` while out of reach, `done` (OTA-4)."""
    if purchase.deactivated_at is not None:
        return "done"
    if purchase.deactivation_delayed_at is not None:
        return "delayed"
    return None if purchase.deactivation_id is None else "asked"


def _plan_json(offer: Offer, now: datetime) -> dict[str, Any] | None:
    agreed = offer.plan_in_force(now)
    if offer.plan is None or agreed is None:
        return None
    unit = {language.value: name for language, name in offer.plan.unit_names.items()}
    later = [plan.model_dump(mode="json") for plan in offer.plan.after(agreed.version)]
    return {**agreed.model_dump(mode="json"), "unit_name": unit, "later_versions": later}


def _occasion(told: AnyNotification) -> dict[str, Any]:
    about: dict[str, Any] = {"purchase_id": None, "order_id": None, "vehicle_id": None}
    match told:
        case OrderNotification():
            return {**about, "order_id": str(told.order_id), "kind": told.notice.kind.value}
        case VehicleNotification():
            return {**about, "vehicle_id": told.vehicle_id, "kind": told.kind.value}
        case _:
            return {**about, "purchase_id": str(told.purchase_id), "kind": told.kind.value}
