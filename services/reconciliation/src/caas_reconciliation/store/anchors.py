"""Anchors of other services' audit logs, insert-only: what they published cannot be taken back here (PAY-4)."""

from collections.abc import Sequence
from typing import Final

from caas_chassis.transaction import Tx
from caas_contracts.audit import AuditAnchored

KEEP: Final = """
INSERT INTO audit_anchor (service, sequence, hash, entries, anchored_at, message_id, received_at)
SELECT service, sequence, decode(hash, 'hex'), entries, anchored_at, message_id, $7
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::timestamptz[], $6::text[])
    AS a(service, sequence, hash, entries, anchored_at, message_id)
ON CONFLICT DO NOTHING
"""


async def keep_anchors(anchors: Sequence[tuple[AuditAnchored, str]], *, tx: Tx) -> None:
    """Keep anchors, each with the id of the message that brought it."""
    await tx.execute(
        KEEP,
        [anchor.service for anchor, _ in anchors],
        [anchor.sequence for anchor, _ in anchors],
        [anchor.hash for anchor, _ in anchors],
        [anchor.entries for anchor, _ in anchors],
        [anchor.anchored_at for anchor, _ in anchors],
        [message_id for _, message_id in anchors],
        tx.now,
    )
