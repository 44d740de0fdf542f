"""Loads the vehicles that a transaction works on, locked, and writes what it changed.

Invariant: whoever changes anything about a vehicle holds its row lock, taken in order of vehicle id.
The number of statements does not depend on the size of the batch.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from asyncpg import Record
from pydantic_core import to_json

from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_contracts.payments import VoidGround
from caas_ota.domain.activation import Activation, ActivationStatus
from caas_ota.domain.command import Command, CommandKind, CommandState
from caas_ota.domain.deactivation import Deactivation, DeactivationStatus
from caas_ota.domain.fleet import Changes, Fleet, Verdict
from caas_ota.domain.origin import Origin
from caas_ota.domain.policy import Policy
from caas_ota.domain.support import SupportCase
from caas_ota.domain.vehicle import Configuration, Vehicle

LOCK_VEHICLES: Final = """
SELECT vehicle_id, customer_id, model, public_key, counter, arrivals, reported::text, reported_at
FROM vehicle WHERE vehicle_id = ANY($1::text[]) ORDER BY vehicle_id FOR UPDATE
"""
INSERT_VEHICLES: Final = """
INSERT INTO vehicle (vehicle_id) SELECT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING
"""
UPDATE_VEHICLES: Final = """
UPDATE vehicle v SET customer_id = n.customer_id, model = n.model, public_key = n.public_key,
    counter = n.counter, arrivals = n.arrivals, reported = n.reported, reported_at = n.reported_at
FROM jsonb_to_recordset($1::text::jsonb) AS n(vehicle_id text, customer_id text, model text, public_key text,
    counter bigint, arrivals bigint, reported jsonb, reported_at timestamptz)
WHERE v.vehicle_id = n.vehicle_id
"""
LOAD_COMMANDS: Final = """
SELECT command_id, vehicle_id, activation_id, kind, position, deactivation_id, state, attempt, nonce, counter,
    sent_at, received_at, answered_at, outcome
FROM command WHERE activation_id IN (
    SELECT unnest($2::uuid[])
    UNION SELECT activation_id FROM command
        WHERE vehicle_id = ANY($1::text[]) AND state IN ('queued', 'in_flight')
    UNION SELECT activation_id FROM command
        WHERE command_id = ANY($3::uuid[]) AND vehicle_id = ANY($1::text[]))
ORDER BY counter NULLS LAST, position
"""
UPSERT_COMMANDS: Final = """
INSERT INTO command (command_id, vehicle_id, activation_id, kind, position, deactivation_id, state, attempt,
    nonce, counter, sent_at, received_at, answered_at, outcome)
SELECT command_id, vehicle_id, activation_id, kind, position, deactivation_id, state, attempt,
    nonce, counter, sent_at, received_at, answered_at, outcome
FROM jsonb_to_recordset($1::text::jsonb) AS n(command_id uuid, vehicle_id text, activation_id uuid, kind text,
    position bigint, deactivation_id uuid, state text, attempt int, nonce text, counter bigint,
    sent_at timestamptz[], received_at timestamptz, answered_at timestamptz, outcome text)
ON CONFLICT (command_id) DO UPDATE SET state = excluded.state, attempt = excluded.attempt,
    nonce = excluded.nonce, counter = excluded.counter, sent_at = excluded.sent_at,
    received_at = excluded.received_at, answered_at = excluded.answered_at, outcome = excluded.outcome
"""
LOAD_ACTIVATIONS: Final = """
SELECT activation_id, purchase_id, payment_id, vehicle_id, service_code, configuration::text, not_after,
    requested_at, cause_id, correlation_id, traceparent, status, cancel_reason, failure_reason, ground,
    uncertain, evidence_id, applied_at, finished_at, deactivated_at, support_case_id
FROM activation WHERE activation_id = ANY($1::uuid[])
"""
UPSERT_ACTIVATIONS: Final = """
INSERT INTO activation (activation_id, purchase_id, payment_id, vehicle_id, service_code, configuration,
    not_after, requested_at, cause_id, correlation_id, traceparent, status, cancel_reason, failure_reason,
    ground, uncertain, evidence_id, applied_at, finished_at, deactivated_at, support_case_id)
SELECT activation_id, purchase_id, payment_id, vehicle_id, service_code, configuration,
    not_after, requested_at, cause_id, correlation_id, traceparent, status, cancel_reason, failure_reason,
    ground, uncertain, evidence_id, applied_at, finished_at, deactivated_at, support_case_id
FROM jsonb_to_recordset($1::text::jsonb) AS n(activation_id uuid, purchase_id uuid, payment_id uuid,
    vehicle_id text, service_code text, configuration jsonb, not_after timestamptz, requested_at timestamptz,
    cause_id text, correlation_id text, traceparent text, status text, cancel_reason text,
    failure_reason text, ground text, uncertain boolean, evidence_id uuid, applied_at timestamptz,
    finished_at timestamptz, deactivated_at timestamptz, support_case_id uuid)
ON CONFLICT (activation_id) DO UPDATE SET status = excluded.status, cancel_reason = excluded.cancel_reason,
    failure_reason = excluded.failure_reason, ground = excluded.ground, uncertain = excluded.uncertain,
    evidence_id = excluded.evidence_id, applied_at = excluded.applied_at, finished_at = excluded.finished_at,
    deactivated_at = excluded.deactivated_at, support_case_id = excluded.support_case_id
"""
LOAD_DEACTIVATIONS: Final = """
SELECT deactivation_id, activation_id, vehicle_id, reason, requested_at, cause_id, correlation_id,
    traceparent, status, delayed_at, done_at
FROM deactivation WHERE deactivation_id = ANY($1::uuid[])
"""
UPSERT_DEACTIVATIONS: Final = """
INSERT INTO deactivation (deactivation_id, activation_id, vehicle_id, reason, requested_at, cause_id,
    correlation_id, traceparent, status, delayed_at, done_at)
SELECT deactivation_id, activation_id, vehicle_id, reason, requested_at, cause_id,
    correlation_id, traceparent, status, delayed_at, done_at
FROM jsonb_to_recordset($1::text::jsonb) AS n(deactivation_id uuid, activation_id uuid,
    vehicle_id text, reason text, requested_at timestamptz, cause_id text, correlation_id text, traceparent text,
    status text, delayed_at timestamptz, done_at timestamptz)
ON CONFLICT (deactivation_id) DO UPDATE SET status = excluded.status, delayed_at = excluded.delayed_at,
    done_at = excluded.done_at
"""
INSERT_ACKNOWLEDGEMENTS: Final = """
INSERT INTO acknowledgement (acknowledgement_id, vehicle_id, command_id, activation_id, status, verified,
    refusal, raw, arrived_at)
SELECT acknowledgement_id, vehicle_id, command_id, activation_id, status, refusal IS NULL,
    refusal, raw, arrived_at
FROM jsonb_to_recordset($1::text::jsonb) AS n(acknowledgement_id uuid, vehicle_id text, command_id uuid,
    activation_id uuid, status text, refusal text, raw text, arrived_at timestamptz)
"""
INSERT_CASES: Final = """
INSERT INTO support_case (support_case_id, activation_id, vehicle_id, reason, attempts, opened_at)
SELECT support_case_id, activation_id, vehicle_id, reason, attempts, opened_at
FROM jsonb_to_recordset($1::text::jsonb) AS n(support_case_id uuid, activation_id uuid,
    vehicle_id text, reason text, attempts jsonb, opened_at timestamptz)
"""
UPDATE_CASES: Final = """
UPDATE support_case c SET vehicle_status = n.vehicle_status, vehicle_status_at = $2
FROM jsonb_to_recordset($1::text::jsonb) AS n(activation_id uuid, vehicle_status jsonb)
WHERE c.activation_id = n.activation_id
"""
UNSETTLED_ACTIVATIONS: Final = """
SELECT vehicle_id, activation_id FROM activation
WHERE activation_id = ANY($1::uuid[]) AND (status IN ('requested', 'sent') OR uncertain)
"""
OPEN_DEACTIVATIONS: Final = """
SELECT vehicle_id, activation_id FROM deactivation WHERE deactivation_id = ANY($1::uuid[]) AND status <> 'done'
"""

_VEHICLE: Final = tuple(Vehicle.__dataclass_fields__)
_COMMAND: Final = tuple(Command.__dataclass_fields__)
_ACTIVATION: Final = tuple(name for name in Activation.__dataclass_fields__ if name != "origin")
_DEACTIVATION: Final = tuple(name for name in Deactivation.__dataclass_fields__ if name != "origin")
_ORIGIN: Final = tuple(Origin.__dataclass_fields__)
_CASE: Final = tuple(SupportCase.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Place:
    """An activation and its vehicle."""

    vehicle_id: str
    activation_id: UUID


async def load_fleet(
    tx: Tx,
    policy: Policy,
    vehicle_ids: Collection[str],
    *,
    activation_ids: Collection[UUID] = (),
    deactivation_ids: Collection[UUID] = (),
    command_ids: Collection[UUID] = (),
    create: bool = False,
) -> Fleet:
    """Lock these vehicles and load what is open on them, and what the ids name.

    With `create`, vehicles that are not known yet get a row, unregistered. Commands are loaded only when
    they belong to one of the vehicles; with each comes the whole history of its activation.
    """
    fleet = Fleet(now=tx.now, policy=policy, new_id=new_id)
    vehicles = await _lock_vehicles(tx, sorted(set(vehicle_ids)), create=create)
    locked = [vehicle.vehicle_id for vehicle in vehicles]
    rows = await tx.fetch(LOAD_COMMANDS, locked, list(activation_ids), list(command_ids))
    commands = [_command(row) for row in rows]
    wanted = {*activation_ids, *(command.activation_id for command in commands)}
    activations = await tx.fetch(LOAD_ACTIVATIONS, list(wanted)) if wanted else []
    in_work = {*deactivation_ids, *(one.deactivation_id for one in commands if one.deactivation_id)}
    deactivations = await tx.fetch(LOAD_DEACTIVATIONS, list(in_work)) if in_work else []
    fleet.load(vehicles, map(_activation, activations), map(_deactivation, deactivations), commands)
    return fleet


async def save_fleet(tx: Tx, fleet: Fleet) -> None:
    """Write every change, one statement per table; evidence comes before what refers to it."""
    changes = fleet.changes
    vehicles = [fleet.vehicles[one] for one in sorted(changes.vehicles)]
    await _write(tx, UPDATE_VEHICLES, _rows(_VEHICLE, vehicles))
    await insert_acknowledgements(tx, changes.verdicts)
    activations = [fleet.activations[one] for one in sorted(changes.activations)]
    await _write(tx, UPSERT_ACTIVATIONS, _rows_with_origin(_ACTIVATION, activations))
    deactivations = [fleet.deactivations[one] for one in sorted(changes.deactivations)]
    await _write(tx, UPSERT_DEACTIVATIONS, _rows_with_origin(_DEACTIVATION, deactivations))
    await _write(tx, UPSERT_COMMANDS, _rows(_COMMAND, _in_writing_order(fleet)))
    await _save_cases(tx, changes)


async def insert_acknowledgements(tx: Tx, verdicts: Sequence[Verdict]) -> None:
    """Keep what vehicles said, believed or refused."""
    rows = [
        {
            "acknowledgement_id": verdict.acknowledgement.acknowledgement_id,
            "vehicle_id": verdict.acknowledgement.topic_vehicle_id,
            "command_id": verdict.acknowledgement.command_id,
            "activation_id": verdict.acknowledgement.activation_id,
            "status": verdict.acknowledgement.status,
            "refusal": verdict.refusal,
            "raw": verdict.acknowledgement.raw,
            "arrived_at": verdict.acknowledgement.arrived_at,
        }
        for verdict in verdicts
    ]
    await _write(tx, INSERT_ACKNOWLEDGEMENTS, rows)


async def unsettled_activations(tx: Tx, activation_ids: Collection[UUID]) -> list[Place]:
    """Those of which the outcome is still open, read without a lock: a first sieve for timers."""
    rows = await tx.fetch(UNSETTLED_ACTIVATIONS, list(activation_ids))
    return [Place(row["vehicle_id"], row["activation_id"]) for row in rows]


async def open_deactivations(tx: Tx, deactivation_ids: Collection[UUID]) -> list[Place]:
    """Where those are that are not done, read without a lock."""
    rows = await tx.fetch(OPEN_DEACTIVATIONS, list(deactivation_ids))
    return [Place(row["vehicle_id"], row["activation_id"]) for row in rows]


async def _lock_vehicles(tx: Tx, vehicle_ids: list[str], *, create: bool) -> list[Vehicle]:
    rows = await tx.fetch(LOCK_VEHICLES, vehicle_ids)
    if create and len(rows) < len(vehicle_ids):
        await tx.execute(INSERT_VEHICLES, vehicle_ids)
        rows = await tx.fetch(LOCK_VEHICLES, vehicle_ids)
    return [_vehicle(row) for row in rows]


async def _save_cases(tx: Tx, changes: Changes) -> None:
    await _write(tx, INSERT_CASES, _rows(_CASE, changes.cases))
    if changes.case_statuses:
        statuses = [
            {"activation_id": activation_id, "vehicle_status": configuration}
            for activation_id, configuration in sorted(changes.case_statuses.items())
        ]
        await tx.execute(UPDATE_CASES, to_json(statuses).decode(), tx.now)


def _in_writing_order(fleet: Fleet) -> list[Command]:
    """Commands that leave the vehicle first: at no row may two be in flight at one vehicle."""
    changed = [fleet.commands[command_id] for command_id in sorted(fleet.changes.commands)]
    return sorted(changed, key=lambda command: command.state is CommandState.IN_FLIGHT)


def _rows(fields: Sequence[str], values: Iterable[object]) -> list[dict[str, Any]]:
    return [{name: getattr(value, name) for name in fields} for value in values]


def _rows_with_origin(fields: Sequence[str], values: Sequence[Activation | Deactivation]) -> list[dict[str, Any]]:
    rows = _rows(fields, values)
    for row, value in zip(rows, values, strict=True):
        row |= {name: getattr(value.origin, name) for name in _ORIGIN}
    return rows


async def _write(tx: Tx, statement: str, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await tx.execute(statement, to_json(rows).decode())


def _vehicle(row: Record) -> Vehicle:
    return Vehicle(**{**row, "reported": _configuration(row["reported"])})


def _command(row: Record) -> Command:
    return Command(
        **{
            **row,
            "kind": CommandKind(row["kind"]),
            "state": CommandState(row["state"]),
            "sent_at": tuple(row["sent_at"]),
        }
    )


def _activation(row: Record) -> Activation:
    content = {
        **row,
        "configuration": _configuration(row["configuration"]),
        "status": ActivationStatus(row["status"]),
        "ground": None if row["ground"] is None else VoidGround(row["ground"]),
    }
    return Activation(**_with_origin(content))


def _deactivation(row: Record) -> Deactivation:
    return Deactivation(**_with_origin({**row, "status": DeactivationStatus(row["status"])}))


def _with_origin(content: dict[str, Any]) -> dict[str, Any]:
    origin = Origin(**{name: content.pop(name) for name in _ORIGIN})
    return {**content, "origin": origin}


def _configuration(text: str) -> Configuration:
    configuration: Configuration = json.loads(text)
    return configuration
