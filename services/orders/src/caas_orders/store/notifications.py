"""What customers were told, as rows: at most one of each kind per purchase (NOT-1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_orders.domain.notification import Letter, NoticeKind


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
    letter: Letter
    state: MailState
    created_at: datetime
    sent_at: datetime | None = None


INSERT_NOTIFICATIONS: Final = """
INSERT INTO notifications (notification_id, purchase_id, customer_id, kind, subject, body, state, created_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::timestamptz[]) AS n(notification_id, purchase_id, customer_id, kind, subject, body, state, created_at)
ORDER BY purchase_id, kind
ON CONFLICT (purchase_id, kind) DO NOTHING
RETURNING notification_id
"""

MARK_NOTIFICATIONS: Final = """
UPDATE notifications AS n SET state = m.state, sent_at = m.sent_at
FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS m(notification_id, state, sent_at)
WHERE n.notification_id = m.notification_id AND n.state = 'queued'
"""

LIST_NOTIFICATIONS: Final = """
SELECT notification_id, purchase_id, customer_id, kind, subject, body, state, created_at, sent_at
FROM notifications WHERE customer_id = $1 ORDER BY notification_id DESC LIMIT $2
"""


async def insert(notifications: Sequence[Notification], *, tx: Tx) -> frozenset[UUID]:
    """Store notifications; returns those that are new. The others were told before."""
    rows = [_row(notification) for notification in notifications]
    inserted = await tx.fetch(INSERT_NOTIFICATIONS, *zip(*rows, strict=True))
    return frozenset(row["notification_id"] for row in inserted)


async def mark(states: Sequence[tuple[UUID, MailState, datetime | None]], *, tx: Tx) -> None:
    """Record what became of queued mails: id, state, and when it was sent."""
    await tx.execute(MARK_NOTIFICATIONS, *zip(*states, strict=True))


async def of_customer(customer_id: str, *, limit: int, tx: Tx) -> list[Notification]:
    """What a customer was told, newest first."""
    return [_notification(row) for row in await tx.fetch(LIST_NOTIFICATIONS, customer_id, limit)]


def _row(notification: Notification) -> tuple[object, ...]:
    return (
        notification.notification_id,
        notification.purchase_id,
        notification.customer_id,
        notification.kind,
        notification.letter.subject,
        notification.letter.text,
        notification.state,
        notification.created_at,
    )


def _notification(row: Record) -> Notification:
    return Notification(
        notification_id=row["notification_id"],
        purchase_id=row["purchase_id"],
        customer_id=row["customer_id"],
        kind=NoticeKind(row["kind"]),
        letter=Letter(row["subject"], row["body"]),
        state=MailState(row["state"]),
        created_at=row["created_at"],
        sent_at=row["sent_at"],
    )
