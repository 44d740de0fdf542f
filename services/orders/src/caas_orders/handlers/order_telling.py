"""Telling customers about their vehicle orders, each occasion once, by mail and in the purchase file (NOT-1)."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from caas_chassis.cause import Cause
from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_orders.domain.decline_reason import words_for
from caas_orders.domain.notification import Letter
from caas_orders.domain.order_notice import OrderNotice, OrderNoticeKind
from caas_orders.domain.registration import Customer
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.domain.vehicle_catalogue import current_vehicle_catalogue
from caas_orders.domain.vehicle_order import VehicleOrder
from caas_orders.gateway import OutgoingMail
from caas_orders.gateway.letters import amount, compose, local_day, local_time
from caas_orders.handlers.telling import HIDDEN_LINK, MAIL_EFFECT
from caas_orders.store import invitations, notifications
from caas_orders.store.invitations import Invited
from caas_orders.store.notifications import MailState, OrderNotification

TOKEN_BYTES: Final = 32
"""256 random bits: a link cannot be guessed, so a plain hash of it is enough in the database."""


@dataclass(frozen=True, slots=True)
class ToTell:
    """One thing to tell the customer of an order; `facts` are what its letter says beyond the order."""

    order: VehicleOrder
    customer: Customer
    notice: OrderNotice
    cause: Cause
    facts: Mapping[str, str] = field(default_factory=dict)


async def tell_about_order(told: ToTell, policy: SalesPolicy, *, tx: Tx) -> None:
    """Notify the customer, unless that was done before: a mail, unless billing sends it, and the purchase file."""
    kind, language = told.notice.kind, told.customer.language
    if kind is OrderNoticeKind.INVITED:
        await _invite(told, policy, tx=tx)
        return
    letter = compose(kind, language, {**_facts(told.order, told.customer), **told.facts})
    await _send(told, letter, letter, tx=tx)


def hash_of(token: str) -> bytes:
    """What the database keeps of an invitation's token."""
    return hashlib.sha256(token.encode()).digest()


async def _invite(told: ToTell, policy: SalesPolicy, *, tx: Tx) -> None:
    """RES-2: the link is in the mail alone; whoever reads the purchase file or the database cannot use it."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    expires_at = tx.now + policy.invitation_life
    language = told.customer.language
    facts = {**_facts(told.order, told.customer), "expires_at": local_time(expires_at)}
    mailed = compose(told.notice.kind, language, {**facts, "link": f"{policy.platform_url}/invitations#{token}"})
    filed = compose(told.notice.kind, language, {**facts, "link": HIDDEN_LINK[language]})
    if await _send(told, mailed, filed, tx=tx):
        invited = Invited(told.order.order_id, told.customer.customer_id)
        await invitations.insert(hash_of(token), invited, expires_at, tx=tx)


async def _send(told: ToTell, mailed: Letter, filed: Letter, *, tx: Tx) -> bool:
    notification = OrderNotification(
        notification_id=new_id(),
        order_id=told.order.order_id,
        customer_id=told.customer.customer_id,
        notice=told.notice,
        letter=filed,
        state=MailState.LISTED if told.notice.kind.mailed_by_billing else MailState.QUEUED,
        created_at=tx.now,
    )
    is_new = await notifications.insert_of_order(notification, tx=tx)
    if is_new and notification.state is MailState.QUEUED:
        mail = OutgoingMail(
            mail_id=notification.notification_id,
            recipient=told.customer.email,
            subject=mailed.subject,
            text=mailed.text,
        )
        tx.enqueue(MAIL_EFFECT, mail, key=str(notification.notification_id), cause=told.cause)
    return is_new


def _facts(order: VehicleOrder, customer: Customer) -> dict[str, object]:
    catalogue, language, terms = current_vehicle_catalogue(), customer.language, order.terms
    platform = catalogue.platforms.get(terms.model)
    return {
        "name": customer.name,
        "model": platform.name if platform else terms.model,
        "dealership": catalogue.dealerships.get(terms.dealership, terms.dealership),
        "order": order.order_id,
        "total": amount(terms.total, language),
        "reservation": amount(terms.reservation, language),
        "due": amount(terms.due, language),
        "reason_words": words_for(order.reason, language),
        "vehicle": order.vehicle_id or "",
        "factory_order": order.factory_order_id or "",
        "estimated_on": local_day(order.estimated_delivery_on) if order.estimated_delivery_on else "",
        "pay_before": local_time(order.pay_before) if order.pay_before else "",
        "plates": order.plates or "",
        "delivery_on": local_day(order.delivery_on) if order.delivery_on else "",
    }
