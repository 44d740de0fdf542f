"""What people and other systems may read: configurations, activations, support cases, the work list."""

import json
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from caas_chassis.transaction import Tx
from caas_ota.domain.fleet import desired_configuration

SELECT_VEHICLE: Final = """
SELECT vehicle_id, customer_id, model, reported::text, reported_at FROM vehicle
WHERE vehicle_id = $1 AND public_key IS NOT NULL
"""
SELECT_DESIRED: Final = """
SELECT a.activation_id, a.service_code, a.configuration::text, a.status FROM activation a
WHERE a.vehicle_id = $1 AND a.status IN ('requested', 'sent', 'applied') AND a.deactivated_at IS NULL
    AND NOT EXISTS (SELECT FROM deactivation d WHERE d.activation_id = a.activation_id)
ORDER BY a.requested_at, a.activation_id
"""
SELECT_ACTIVATION: Final = """
SELECT a.activation_id, a.purchase_id, a.payment_id, a.vehicle_id, v.customer_id, a.service_code, a.status,
    a.not_after, a.requested_at, a.cancel_reason, a.failure_reason, a.ground, a.uncertain, a.applied_at,
    a.finished_at, a.deactivated_at, a.support_case_id
FROM activation a JOIN vehicle v USING (vehicle_id) WHERE a.activation_id = $1
"""
SELECT_COMMANDS: Final = """
SELECT command_id, kind, state, attempt, counter, sent_at, received_at, answered_at, outcome
FROM command WHERE activation_id = $1 ORDER BY counter NULLS LAST, position
"""
SELECT_ACKNOWLEDGEMENTS: Final = """
SELECT acknowledgement_id, command_id, status, verified, refusal, arrived_at
FROM acknowledgement WHERE activation_id = $1 ORDER BY arrived_at, acknowledgement_id LIMIT 200
"""
SELECT_CASES: Final = """
SELECT support_case_id, activation_id, vehicle_id, reason, attempts::text, opened_at, vehicle_status::text,
    vehicle_status_at
FROM support_case WHERE ($1::text IS NULL OR vehicle_id = $1) AND ($2::uuid IS NULL OR support_case_id < $2)
ORDER BY support_case_id DESC LIMIT $3
"""
SELECT_DEACTIVATIONS: Final = """
SELECT d.deactivation_id, d.activation_id, d.vehicle_id, a.service_code, d.reason, d.status, d.requested_at,
    d.delayed_at, d.done_at
FROM deactivation d JOIN activation a USING (activation_id)
WHERE ($1::boolean IS NULL OR (d.status <> 'done') = $1) AND ($2::uuid IS NULL OR d.deactivation_id < $2)
ORDER BY d.deactivation_id DESC LIMIT $3
"""

type View = dict[str, Any]


async def configuration_of(tx: Tx, vehicle_id: str) -> View | None:
    """The desired configuration beside the reported one (OTA-5), or None for a vehicle not registered."""
    vehicle = await tx.fetchrow(SELECT_VEHICLE, vehicle_id)
    if vehicle is None:
        return None
    wanted = await tx.fetch(SELECT_DESIRED, vehicle_id)
    desired = desired_configuration((row["service_code"], json.loads(row["configuration"])) for row in wanted)
    reported = json.loads(vehicle["reported"])
    return {
        **vehicle,
        "desired": desired,
        "reported": reported,
        "in_sync": desired == reported,
        "services": [
            {
                "activation_id": row["activation_id"],
                "service_code": row["service_code"],
                "status": row["status"],
            }
            for row in wanted
        ],
    }


async def activation_view(tx: Tx, activation_id: UUID) -> View | None:
    """One activation with its commands and what its vehicle said about them."""
    activation = await tx.fetchrow(SELECT_ACTIVATION, activation_id)
    if activation is None:
        return None
    commands = await tx.fetch(SELECT_COMMANDS, activation_id)
    acknowledgements = await tx.fetch(SELECT_ACKNOWLEDGEMENTS, activation_id)
    return {
        **activation,
        "commands": [dict(row) for row in commands],
        "acknowledgements": [dict(row) for row in acknowledgements],
    }


async def support_cases(tx: Tx, *, vehicle_id: str | None, before: UUID | None, limit: int) -> list[View]:
    """Support cases, newest first; `before` continues after the last one of the page before."""
    return [_case(row) for row in await tx.fetch(SELECT_CASES, vehicle_id, before, limit)]


async def deactivations(tx: Tx, *, is_open: bool | None, before: UUID | None, limit: int) -> list[View]:
    """Deactivations, newest first; `is_open` True is the work list (OTA-4)."""
    return [dict(row) for row in await tx.fetch(SELECT_DEACTIVATIONS, is_open, before, limit)]


def _case(row: Record) -> View:
    status = row["vehicle_status"]
    return {
        **row,
        "attempts": json.loads(row["attempts"]),
        "vehicle_status": None if status is None else json.loads(status),
    }
