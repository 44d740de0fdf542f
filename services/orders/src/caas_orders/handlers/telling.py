"""Telling customers what became of their purchases, and operations what they have to look at (NOT-1, NOT-2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from caas_chassis.cause import Cause
from caas_chassis.effects import Done
from caas_chassis.handling import Received
from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_contracts.money import Money
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.orders import PurchaseKind
from caas_orders.domain.catalogue import current_catalogue
from caas_orders.domain.notification import Letter, NoticeKind
from caas_orders.domain.placing import Buyer
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.registration import Customer, Language
from caas_orders.domain.status import MoneyOutcome
from caas_orders.gateway import Deferred, MailOutcome, OutgoingMail, Rejected, Sent
from caas_orders.gateway.letters import Fact, amount, compose, compose_alert, local_time, rates_in_words
from caas_orders.store import alerts, notifications, registrations
from caas_orders.store.notifications import MailState, Notification, VehicleNotification

MAIL_EFFECT: Final = "mail"
ALERT_MAIL_EFFECT: Final = "alert-mail"
RETRY_AFTER: Final = tuple(timedelta(seconds=s) for s in (5, 15, 60, 300, 900))
"""Pauses before a deferred mail is sent again; the last one repeats. Greylisting servers ask for minutes."""
LINK: Final = "link"
"""The fact of a letter that only its mail may show (PAY-9)."""
HIDDEN_LINK: Final[Mapping[Language, str]] = {
    Language.SPANISH: "(enlace enviado por correo)",
    Language.ENGLISH: "(link sent by mail)",
}
MAX_ATTEMPTS: Final = 100
"""With the pauses above, a day: after it a mail server that is down is a person's problem."""

type _Outcome = tuple[UUID, MailState, datetime | None]


@dataclass(frozen=True, slots=True)
class Notice:
    """What to tell the customer of a purchase; `facts` are what its letter says beyond the purchase.

    `occasion` tells apart what may happen more than once. The fact `mailed_only` is a link that the mail alone has:
    whoever reads the purchase file cannot use it.
    """

    purchase: Purchase
    kind: NoticeKind
    cause: Cause
    facts: Mapping[str, Fact] = field(default_factory=dict)
    occasion: str = ""
    mailed_only: str = ""


async def tell(notices: Sequence[Notice], *, tx: Tx) -> None:
    """Notify customers, each occasion once: a mail, unless billing sends it, and the purchase file."""
    if not notices:
        return
    customer_ids = sorted({notice.purchase.customer_id for notice in notices})
    customers = await registrations.customers(customer_ids, tx=tx)
    told = {}
    for notice in notices:
        customer = customers[notice.purchase.customer_id]
        notification = _notification(notice, customer, tx.now)
        told[notification.notification_id] = (notification, notice, customer)
    for new in await notifications.insert([notification for notification, _, _ in told.values()], tx=tx):
        notification, notice, customer = told[new]
        if notification.state is MailState.QUEUED:
            letter = _letter(notice, customer)
            mail = OutgoingMail(mail_id=new, recipient=customer.email, subject=letter.subject, text=letter.text)
            tx.enqueue(MAIL_EFFECT, mail, key=str(new), cause=notice.cause)


async def tell_of_vehicle(buyer: Buyer, kind: NoticeKind, facts: Mapping[str, Fact], *, tx: Tx) -> None:
    """Notify the owner of a vehicle about it, once: a mail and the purchase file."""
    customer, vehicle_id = buyer.customer, buyer.vehicle.vehicle_id
    letter = compose(kind, customer.language, {"name": customer.name, "vehicle": vehicle_id, **facts})
    told = VehicleNotification(
        new_id(), vehicle_id, customer.customer_id, kind, letter, MailState.QUEUED, created_at=tx.now
    )
    if await notifications.insert_of_vehicle(told, tx=tx):
        mail = OutgoingMail(
            mail_id=told.notification_id, recipient=customer.email, subject=letter.subject, text=letter.text
        )
        tx.enqueue(MAIL_EFFECT, mail, key=str(told.notification_id))


async def mail_alerts(received: Sequence[Received[AlertRaised]], *, tx: Tx) -> None:
    """NOT-2: every alert of every service is mailed to operations, once."""
    raised = [(new_id(), one.message, one.cause) for one in received]
    new = await alerts.insert([(alert_id, alert) for alert_id, alert, _ in raised], tx=tx)
    for alert_id, alert, cause in raised:
        if alert_id in new:
            letter = compose_alert(alert)
            mail = OutgoingMail(mail_id=alert_id, recipient=None, subject=letter.subject, text=letter.text)
            tx.enqueue(ALERT_MAIL_EFFECT, mail, key=str(alert_id), cause=cause)


async def record_mails(done: Sequence[Done[OutgoingMail, MailOutcome]], *, tx: Tx) -> None:
    """Mark what was sent, send again what was put off, and alert operations of what cannot be delivered."""
    for outcome in await _record(done, MAIL_EFFECT, notifications.mark, tx=tx):
        detail = f"mail {outcome.payload.mail_id} cannot be delivered: {outcome.result}; tell the customer otherwise"
        tx.alert(AlertKind.RETRIES_EXHAUSTED, str(outcome.payload.mail_id), detail, cause=outcome.cause)


async def record_alert_mails(done: Sequence[Done[OutgoingMail, MailOutcome]], *, tx: Tx) -> None:
    """As for customers' mails, but an alert that cannot be mailed raises no other alert: it would not end."""
    await _record(done, ALERT_MAIL_EFFECT, alerts.mark, tx=tx)


class _Mark(Protocol):
    async def __call__(self, states: Sequence[_Outcome], /, *, tx: Tx) -> None: ...


async def _record(
    done: Sequence[Done[OutgoingMail, MailOutcome]], effect: str, mark: _Mark, *, tx: Tx
) -> list[Done[OutgoingMail, MailOutcome]]:
    """Returns what is undeliverable."""
    states: list[_Outcome] = []
    undeliverable = []
    for one in done:
        match one.result:
            case Sent():
                states.append((one.payload.mail_id, MailState.SENT, tx.now))
            case Deferred() if one.payload.attempt < MAX_ATTEMPTS:
                pause = RETRY_AFTER[min(one.payload.attempt, len(RETRY_AFTER)) - 1]
                again = one.payload.model_copy(update={"attempt": one.payload.attempt + 1})
                tx.enqueue(effect, again, key=one.key, delay=pause, cause=one.cause)
            case Deferred() | Rejected():
                states.append((one.payload.mail_id, MailState.UNDELIVERABLE, None))
                undeliverable.append(one)
    if states:
        await mark(states, tx=tx)
    return undeliverable


def _notification(notice: Notice, customer: Customer, now: datetime) -> Notification:
    hidden = {notice.mailed_only: HIDDEN_LINK[customer.language]} if notice.mailed_only in notice.facts else {}
    filed = replace(notice, facts={**notice.facts, **hidden})
    return Notification(
        notification_id=new_id(),
        purchase_id=notice.purchase.purchase_id,
        customer_id=notice.purchase.customer_id,
        kind=notice.kind,
        occasion=notice.occasion,
        letter=_letter(filed, customer),
        state=MailState.LISTED if notice.kind.mailed_by_billing else MailState.QUEUED,
        created_at=now,
    )


def _letter(notice: Notice, customer: Customer) -> Letter:
    purchase, language = notice.purchase, customer.language
    known: dict[str, object] = {
        "name": customer.name,
        "service": current_catalogue().offers[purchase.service_code].names[language],
        "vehicle": purchase.vehicle_id,
        "purchase": purchase.purchase_id,
        "price": amount(purchase.price, language),
        "reason": purchase.reason,
        "charged": purchase.charged,
        "is_refunded": purchase.money is MoneyOutcome.REFUNDED,
        "starts_at": _local(purchase.starts_at, purchase),
        "activated_at": _local(purchase.activated_at, purchase),
        "ends_at": _local(purchase.ends_at, purchase),
        "period_months": purchase.period_months or 0,
        "is_subscription": purchase.kind is PurchaseKind.SUBSCRIPTION,
        "plan": _plan(purchase, language),
    }
    told = {name: amount(fact, language) if isinstance(fact, Money) else fact for name, fact in notice.facts.items()}
    return compose(notice.kind, language, {**known, **told})


def _local(instant: datetime | None, purchase: Purchase) -> str:
    """In the customer's own calendar."""
    return "" if instant is None else local_time(instant, purchase.time_zone)


def _plan(purchase: Purchase, language: Language) -> str:
    """What a subscription costs, in words; nothing for other purchases."""
    history = current_catalogue().plans.get(purchase.plan_code or "")
    agreed = [plan for plan in history.versions if plan.version == purchase.plan_version] if history else []
    return rates_in_words(agreed[0], history.unit_names, language) if history and agreed else ""
