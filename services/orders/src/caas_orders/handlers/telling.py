"""Telling customers what became of their purchases, and operations what they have to look at (NOT-1, NOT-2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from caas_chassis.cause import Cause
from caas_chassis.effects import Done
from caas_chassis.handling import Received
from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertKind, AlertRaised
from caas_orders.domain.catalogue import current_catalogue
from caas_orders.domain.notification import NoticeKind
from caas_orders.domain.purchase import Purchase
from caas_orders.domain.registration import Customer
from caas_orders.gateway import Deferred, MailOutcome, OutgoingMail, Rejected, Sent
from caas_orders.gateway.letters import amount, compose, compose_alert, local_time
from caas_orders.store import alerts, notifications, registrations
from caas_orders.store.notifications import MailState, Notification

MAIL_EFFECT: Final = "mail"
ALERT_MAIL_EFFECT: Final = "alert-mail"
RETRY_AFTER: Final = tuple(timedelta(seconds=s) for s in (5, 15, 60, 300, 900))
"""Pauses before a deferred mail is sent again; the last one repeats. Greylisting servers ask for minutes."""
MAX_ATTEMPTS: Final = 100
"""With the pauses above, a day: after it a mail server that is down is a person's problem."""

type _Outcome = tuple[UUID, MailState, datetime | None]


@dataclass(frozen=True, slots=True)
class Notice:
    """What to tell the customer of a purchase; `facts` are what its letter says beyond the purchase."""

    purchase: Purchase
    kind: NoticeKind
    cause: Cause
    facts: Mapping[str, str] = field(default_factory=dict)


async def tell(notices: Sequence[Notice], *, tx: Tx) -> None:
    """Notify customers, each kind once per purchase: a mail, unless billing sends it, and the purchase file."""
    if not notices:
        return
    customer_ids = sorted({notice.purchase.customer_id for notice in notices})
    customers = await registrations.customers(customer_ids, tx=tx)
    told = {}
    for notice in notices:
        customer = customers[notice.purchase.customer_id]
        notification = _notification(notice, customer, tx.now)
        told[notification.notification_id] = (notification, customer.email, notice.cause)
    for new in await notifications.insert([notification for notification, _, _ in told.values()], tx=tx):
        notification, email, cause = told[new]
        if notification.state is MailState.QUEUED:
            letter = notification.letter
            mail = OutgoingMail(mail_id=new, recipient=email, subject=letter.subject, text=letter.text)
            tx.enqueue(MAIL_EFFECT, mail, key=str(new), cause=cause)


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
    purchase, language = notice.purchase, customer.language
    known = {
        "name": customer.name,
        "service": current_catalogue().offers[purchase.service_code].names[language],
        "vehicle": purchase.vehicle_id,
        "purchase": purchase.purchase_id,
        "price": amount(purchase.price, language),
        "reason": purchase.reason,
        "charged": purchase.charged,
        "activated_at": local_time(purchase.activated_at) if purchase.activated_at else "",
        "ends_at": local_time(purchase.ends_at) if purchase.ends_at else "",
    }
    return Notification(
        notification_id=new_id(),
        purchase_id=purchase.purchase_id,
        customer_id=purchase.customer_id,
        kind=notice.kind,
        letter=compose(notice.kind, language, {**known, **notice.facts}),
        state=MailState.LISTED if notice.kind.mailed_by_billing else MailState.QUEUED,
        created_at=now,
    )
