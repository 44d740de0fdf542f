"""What customers were told, as rows: at most one of each kind per occasion of a purchase or an order (NOT-1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_orders.domain.notification import Letter, NoticeKind
from caas_orders.domain.order_notice import OrderNotice, OrderNoticeKind


class MailState(StrEnum):
    """Where the mail of a notification or alert stands."""

    QUEUED = "queued"
    SENT = "sent"
    UNDELIVERABLE = "undeliverable"
    LISTED = "listed"  # never mailed by this service


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing one customer was told about one purchase."""

    notification_id: UUID
    purchase_id: UUID
    customer_id: str
    kind: NoticeKind
    occasion: str
    letter: Letter
    state: MailState
    created_at: datetime
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OrderNotification:
    """One thing one customer was told about one vehicle order."""

    notification_id: UUID
    order_id: UUID
    customer_id: str
    notice: OrderNotice
    letter: Letter
    state: MailState
    created_at: datetime
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class VehicleNotification:
    """One thing the owner of a vehicle was told about it."""

    notification_id: UUID
    vehicle_id: str
    customer_id: str
    kind: NoticeKind
    letter: Letter
    state: MailState
    created_at: datetime
    sent_at: datetime | None = None


type AnyNotification = Notification | OrderNotification | VehicleNotification


INSERT_NOTIFICATIONS: Final = """
INSERT INTO notifications (notification_id, purchase_id, customer_id, kind, occasion, subject, body, state, created_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::timestamptz[]) AS n(notification_id, purchase_id, customer_id, kind, occasion, subject, body, state, created_at)
ORDER BY purchase_id, kind, occasion
ON CONFLICT (purchase_id, kind, occasion) DO NOTHING
RETURNING notification_id
"""

MARK_NOTIFICATIONS: Final = """
UPDATE notifications AS n SET state = m.state, sent_at = m.sent_at
FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS m(notification_id, state, sent_at)
WHERE n.notification_id = m.notification_id AND n.state = 'queued'
"""

INSERT_ORDER_NOTIFICATION: Final = """
INSERT INTO notifications (notification_id, order_id, customer_id, kind, occasion, subject, body, state, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (order_id, kind, occasion) WHERE order_id IS NOT NULL DO NOTHING
"""

INSERT_VEHICLE_NOTIFICATION: Final = """
INSERT INTO notifications (notification_id, vehicle_id, customer_id, kind, subject, body, state, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (vehicle_id, kind, occasion) WHERE vehicle_id IS NOT NULL DO NOTHING
"""

LIST_NOTIFICATIONS: Final = """
SELECT notification_id, purchase_id, order_id, vehicle_id, customer_id, kind, occasion, subject, body, state,
    created_at, sent_at
FROM notifications WHERE customer_id = $1 ORDER BY notification_id DESC LIMIT $2
"""


async def insert(notifications: Sequence[Notification], *, tx: Tx) -> frozenset[UUID]:
    """Store notifications; returns those that are new. The others were told before."""
    rows = [_row(notification) for notification in notifications]
    inserted = await tx.fetch(INSERT_NOTIFICATIONS, *zip(*rows, strict=True))
    return frozenset(row["notification_id"] for row in inserted)


async def insert_of_order(told: OrderNotification, *, tx: Tx) -> bool:
    """Store what is told about a vehicle order; False when it was told before."""
    tag = await tx.execute(
        INSERT_ORDER_NOTIFICATION,
        told.notification_id,
        told.order_id,
        told.customer_id,
        told.notice.kind,
        told.notice.occasion,
        told.letter.subject,
        told.letter.text,
        told.state,
        told.created_at,
    )
    return tag == "INSERT 0 1"


async def insert_of_vehicle(told: VehicleNotification, *, tx: Tx) -> bool:
    """Store what is told about a vehicle; False when it was told before."""
    tag = await tx.execute(
        INSERT_VEHICLE_NOTIFICATION,
        told.notification_id,
        told.vehicle_id,
        told.customer_id,
        told.kind,
        told.letter.subject,
        told.letter.text,
        told.state,
        told.created_at,
    )
    return tag == "INSERT 0 1"


async def mark(states: Sequence[tuple[UUID, MailState, datetime | None]], *, tx: Tx) -> None:
    """Record what became of queued mails: id, state, and when it was sent."""
    await tx.execute(MARK_NOTIFICATIONS, *zip(*states, strict=True))


async def of_customer(customer_id: str, *, limit: int, tx: Tx) -> list[AnyNotification]:
    """What a customer was told, newest first."""
    rows = await tx.fetch(LIST_NOTIFICATIONS, customer_id, limit)
    return [_any(row) for row in rows]


def _row(notification: Notification) -> tuple[object, ...]:
    return (
        notification.notification_id,
        notification.purchase_id,
        notification.customer_id,
        notification.kind,
        notification.occasion,
        notification.letter.subject,
        notification.letter.text,
        notification.state,
        notification.created_at,
    )


def _any(row: Record) -> AnyNotification:
    if row["vehicle_id"] is not None:
        return _of_vehicle(row)
    return _notification(row) if row["order_id"] is None else _of_order(row)


def _notification(row: Record) -> Notification:
    return Notification(
        notification_id=row["notification_id"],
        purchase_id=row["purchase_id"],
        customer_id=row["customer_id"],
        kind=NoticeKind(row["kind"]),
        occasion=row["occasion"],
        letter=Letter(row["subject"], row["body"]),
        state=MailState(row["state"]),
        created_at=row["created_at"],
        sent_at=row["sent_at"],
    )


def _of_order(row: Record) -> OrderNotification:
    return OrderNotification(
        notification_id=row["notification_id"],
        order_id=row["order_id"],
        customer_id=row["customer_id"],
        notice=OrderNotice(OrderNoticeKind(row["kind"]), row["occasion"]),
        letter=Letter(row["subject"], row["body"]),
        state=MailState(row["state"]),
        created_at=row["created_at"],
        sent_at=row["sent_at"],
    )


def _of_vehicle(row: Record) -> VehicleNotification:
    return VehicleNotification(
        notification_id=row["notification_id"],
        vehicle_id=row["vehicle_id"],
        customer_id=row["customer_id"],
        kind=NoticeKind(row["kind"]),
        letter=Letter(row["subject"], row["body"]),
        state=MailState(row["state"]),
        created_at=row["created_at"],
        sent_at=row["sent_at"],
    )
