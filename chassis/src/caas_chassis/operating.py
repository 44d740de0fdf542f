"""What operators do with parked messages over HTTP: list, replay, discard; each decision is recorded."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from caas_chassis import inbox, parking
from caas_chassis.auth import Principal
from caas_chassis.cause import Cause
from caas_chassis.errors import Problem
from caas_chassis.runtime import Runtime
from caas_chassis.transaction import Tx

RETRY: str = """
UPDATE chassis.parked SET state = 'retrying', attempts = 0, next_try_at = now(), decided_by = $2, decided_reason = $3
WHERE id = $1
"""


class NotParked(Problem):
    """No open parked message has this id."""

    status = 404
    code = "not_parked"
    title = "There is no such parked message"


class NotItsTurn(Problem):
    """Another message of the stream has to be decided about, or sent again, before this one."""

    status = 409
    code = "not_its_turn"
    title = "An earlier message of its stream comes first"


class Decision(BaseModel):
    """Why an operator decides so."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)
    reason: Annotated[str, Field(min_length=3, max_length=500)]


def operations_router(runtime: Runtime, operator: Callable[..., Awaitable[Principal]]) -> APIRouter:
    """Routes under `/operations`, for operators only."""
    router = APIRouter(prefix="/operations", tags=["operations"])

    @router.get("/parked")
    async def list_parked(
        _: Annotated[Principal, Depends(operator)], limit: Annotated[int, Field(ge=1, le=1000)] = 100
    ) -> dict[str, Any]:
        async with runtime.reading() as tx:
            rows = await parking.list_parked(tx, limit=limit)
        return {"parked": [dict(row) for row in rows]}

    @router.post("/parked/{parked_id}/replay", status_code=202)
    async def replay(
        parked_id: UUID, decision: Decision, principal: Annotated[Principal, Depends(operator)]
    ) -> dict[str, str]:
        async with runtime.transaction(Cause.of_person(principal.actor)) as tx:
            await replay_parked(parked_id, principal.actor, decision.reason, tx=tx)
        return {"id": str(parked_id), "state": "retrying"}

    @router.post("/parked/{parked_id}/discard")
    async def discard(
        parked_id: UUID, decision: Decision, principal: Annotated[Principal, Depends(operator)]
    ) -> dict[str, str]:
        async with runtime.transaction(Cause.of_person(principal.actor)) as tx:
            await discard_parked(parked_id, principal.actor, decision.reason, tx=tx)
        return {"id": str(parked_id), "state": "discarded"}

    return router


async def replay_parked(parked_id: UUID, by: str, reason: str, *, tx: Tx) -> None:
    """Have a parked message tried again. Raises NotParked."""
    if await tx.fetchrow(parking.SELECT_OPEN, parked_id) is None:
        raise NotParked(f"{parked_id} is not open: it was replayed or discarded, or never parked")
    await tx.execute(RETRY, parked_id, by, reason)


async def discard_parked(parked_id: UUID, by: str, reason: str, *, tx: Tx) -> None:
    """Give a parked message up: its stream goes on behind it. Raises NotParked, NotItsTurn.

    Only the first of a stream can be given up: one that waits would be asked for again, and applied.
    """
    row = await tx.fetchrow(parking.SELECT_OPEN, parked_id)
    if row is None:
        raise NotParked(f"{parked_id} is not open: it was replayed or discarded, or never parked")
    decoded = parking.decoded_of(row)
    if decoded.stream is not None:
        position = (await inbox.read_states(tx, [decoded.stream]))[decoded.stream].position
        if decoded.sequence > position + 1:
            raise NotItsTurn(f"it is number {decoded.sequence} of its stream, number {position + 1} comes first")
        if decoded.sequence == position + 1:
            await inbox.advance(tx, {decoded.stream: position}, {decoded.stream: decoded.sequence})
            await parking.kick(tx, [(decoded.stream, decoded.sequence + 1)])
    await parking.close(tx, parked_id, "discarded", by, reason)
