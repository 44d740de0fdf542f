"""What arrived from vehicles and could not be read or processed; kept for whoever looks into it."""

from collections.abc import Sequence
from typing import Final

from pydantic_core import to_json

from caas_chassis.transaction import Tx
from caas_ota.domain.acknowledgement import Refusal, Unreadable

INSERT_UNREADABLE: Final = """
INSERT INTO acknowledgement (acknowledgement_id, vehicle_id, status, verified, refusal, raw, arrived_at)
SELECT unreadable_id, vehicle_id, 'unreadable', false, $2, raw, arrived_at
FROM jsonb_to_recordset($1::text::jsonb) AS n(unreadable_id uuid, vehicle_id text, raw text,
    arrived_at timestamptz)
"""


async def insert_unreadable(tx: Tx, unreadable: Sequence[Unreadable], refusal: Refusal = Refusal.MALFORMED) -> None:
    """Keep what was not understood, with the reason."""
    if unreadable:
        rows = [
            {
                "unreadable_id": one.unreadable_id,
                "vehicle_id": one.topic,
                "raw": one.raw,
                "arrived_at": one.arrived_at,
            }
            for one in unreadable
        ]
        await tx.execute(INSERT_UNREADABLE, to_json(rows).decode(), refusal)
