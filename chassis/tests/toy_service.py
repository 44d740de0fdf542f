"""A service small enough to see through: it activates whatever it is asked to, and counts how often.

`activate_services` writes one row per activation (so that a second application would be seen), publishes
the result, and asks a partner to be told. Vehicle ids steer faults: `poison` raises, `refuse` refuses, `wide`
gives the database a value that it cannot hold.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import BaseModel

from caas_chassis.effects import Done, Effect
from caas_chassis.errors import Refused
from caas_chassis.handling import Received
from caas_chassis.ids import new_id
from caas_chassis.service import Service
from caas_chassis.timers import DueTimer
from caas_chassis.transaction import Tx
from caas_contracts.ota import ActivateService, ActivationFailed
from caas_contracts.payments import VoidGround

INSERT = "INSERT INTO applied (activation_id, vehicle_id) SELECT * FROM unnest($1::uuid[], $2::text[])"
MIGRATIONS = "chassis.tests.toy_migrations"
WELCOME: set[str] = set()
"""Vehicles that are taken in spite of their name, as after a repair of the service."""


class Told(BaseModel):
    """What the partner is told."""

    activation_id: UUID


def an_activation(vehicle_id: str = "V-1", **changes: object) -> ActivateService:
    """A command as orders sends it."""
    now = datetime.now(UTC)
    values: dict[str, object] = {
        "activation_id": new_id(),
        "purchase_id": new_id(),
        "payment_id": new_id(),
        "vehicle_id": vehicle_id,
        "service_code": "heated-seats",
        "configuration": {"seat.heating": True},
        "not_after": now + timedelta(hours=1),
        "requested_at": now,
    }
    return ActivateService.model_validate(values | changes)


async def activate_services(received: Sequence[Received[ActivateService]], /, *, tx: Tx) -> None:
    """Apply all in one statement; a poison vehicle fails the whole call, as a defect would."""
    for one in received:
        if one.message.vehicle_id.startswith("poison") and one.message.vehicle_id not in WELCOME:
            raise RuntimeError("this vehicle breaks the handler")
        if one.message.vehicle_id.startswith("refuse") and one.message.vehicle_id not in WELCOME:
            raise Refused("unwanted", "this vehicle is not wanted")
        if one.message.vehicle_id.startswith("wide"):
            await tx.execute("SELECT $1::int", 2**40)
    await tx.execute(INSERT, [r.message.activation_id for r in received], [r.message.vehicle_id for r in received])
    for one in received:
        message = one.message
        tx.publish(_result(message, tx.now), cause=one.cause)
        tx.enqueue("tell", Told(activation_id=message.activation_id), key=message.vehicle_id, cause=one.cause)
        tx.schedule("expire", str(message.activation_id), message.not_after, cause=one.cause)


async def expire(due: Sequence[DueTimer], /, *, tx: Tx) -> None:
    """Note that the time is over."""
    await tx.execute("UPDATE applied SET expired = true WHERE activation_id::text = ANY($1)", [d.key for d in due])


async def record_told(done: Sequence[Done[Told, str]], /, *, tx: Tx) -> None:
    """Note the partner's answer."""
    ids = [d.payload.activation_id for d in done]
    await tx.execute("UPDATE applied SET told = told + 1 WHERE activation_id = ANY($1)", ids)


def a_service(call: Callable[[Told], Awaitable[str]] | None = None) -> Service:
    """The toy, with the given partner."""

    async def answer(_: Told) -> str:
        return "ok"

    effect = Effect("tell", Told, call or answer, record_told, timeout_s=2.0)
    return Service("ota", MIGRATIONS, {ActivateService: activate_services}, [effect], {"expire": expire})


def _result(message: ActivateService, now: datetime) -> ActivationFailed:
    return ActivationFailed(
        activation_id=message.activation_id,
        purchase_id=message.purchase_id,
        payment_id=message.payment_id,
        vehicle_id=message.vehicle_id,
        service_code=message.service_code,
        occurred_at=now,
        reason="toy",
        ground=VoidGround.VERIFIED_REJECTION,
        attempts=[],
        not_after=message.not_after,
    )
