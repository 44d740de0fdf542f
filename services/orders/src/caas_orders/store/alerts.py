"""The alerts that operations are mailed, as rows, each once (NOT-2)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertRaised
from caas_orders.store.notifications import MailState

INSERT_ALERTS: Final = """
INSERT INTO alerts (alert_id, service, kind, subject, detail, raised_at, state)
SELECT alert_id, service, kind, subject, detail, raised_at, 'queued'
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    AS n(alert_id, service, kind, subject, detail, raised_at)
ORDER BY service, kind, subject, raised_at
ON CONFLICT (service, kind, subject, raised_at) DO NOTHING
RETURNING alert_id
"""

MARK_ALERTS: Final = """
UPDATE alerts AS a SET state = m.state, sent_at = m.sent_at
FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS m(alert_id, state, sent_at)
WHERE a.alert_id = m.alert_id AND a.state = 'queued'
"""


async def insert(alerts: Sequence[tuple[UUID, AlertRaised]], *, tx: Tx) -> frozenset[UUID]:
    """Store alerts under their new ids; returns the ids of those that were not known."""
    rows = [(new, a.service, a.kind, a.subject, a.detail, a.raised_at) for new, a in alerts]
    return frozenset(row["alert_id"] for row in await tx.fetch(INSERT_ALERTS, *zip(*rows, strict=True)))


async def mark(states: Sequence[tuple[UUID, MailState, datetime | None]], *, tx: Tx) -> None:
    """Record what became of queued mails: id, state, and when it was sent."""
    await tx.execute(MARK_ALERTS, *zip(*states, strict=True))
