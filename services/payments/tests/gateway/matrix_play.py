"""Plays the gateway matrix: all faults at the same time against one process, then the deaths, then the books."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asyncpg import Record

from caas_contracts import Message
from services.payments.tests.builders import a_failure, a_refund, a_success
from services.payments.tests.gateway.matrix_cells import (
    CELLS,
    KILLS,
    REFUNDED_MINOR,
    WEBHOOK_OF,
    Cell,
    Fault,
    Webhook,
)
from services.payments.tests.gateway.matrix_world import DEADLINE_S, World

FINAL_STATUS: Final = {"authorize": "AUTHORIZED", "capture": "CAPTURING", "void": "VOIDED", "refund": "REFUNDED"}
DEATHS_AT_MOST: Final = 6


@dataclass(frozen=True)
class Evidence:
    """Everything about one cell, from both sides. `at_death` is our state, and the gateway's log, when it died."""

    state: Record | None
    attempts: Sequence[Record]
    captures: Sequence[Record]
    refunds: Sequence[Record]
    calls: Sequence[Record]
    books: Sequence[dict[str, Any]]
    log: Sequence[dict[str, Any]]
    faults: Sequence[dict[str, Any]]
    events: Sequence[str]
    at_death: tuple[Record, Sequence[dict[str, Any]]] | None


type Deaths = dict[str, tuple[Record, Sequence[dict[str, Any]]]]


async def play(world: World) -> dict[str, Evidence]:
    """The evidence of every cell by its name."""
    faulty = [cell for cell in CELLS if cell.fault not in KILLS]
    await world.script(CELLS)
    await world.start(GATEWAY_TIMEOUT_S="1.5", BELIEVE_ABSENCE_AFTER_S="3")
    await _bring_to_operation(world, CELLS)
    await world.send(_trigger(cell) for cell in faulty if cell.operation != "authorize")
    await world.until(faulty, _has_ended)
    deaths = await _die_before(world) | await _die_after(world)
    await world.until_quiet()
    return await _collect(world, deaths)


async def _bring_to_operation(world: World, cells: Sequence[Cell]) -> None:
    """Do what comes before each cell's operation; an authorization that has to meet a living process begins here."""
    later = [cell for cell in cells if cell.operation != "authorize"]
    refunds = [cell for cell in later if cell.operation == "refund"]
    await world.send(cell.command for cell in cells if cell.operation != "authorize" or cell.fault not in KILLS)
    await world.until(later, lambda _, state: state["status"] == "AUTHORIZED")
    await world.send(a_success(cell.command) for cell in refunds)
    await world.until(refunds, lambda _, state: state["captured_minor"] > 0 and state["open_operation"] is None)


def _trigger(cell: Cell) -> Message:
    """The message that makes payments ask for the cell's operation."""
    match cell.operation:
        case "authorize":
            return cell.command
        case "capture":
            return a_success(cell.command)
        case "void":
            return a_failure(cell.command)
        case _:
            return a_refund(cell.command, REFUNDED_MINOR)


def _has_ended(cell: Cell, state: Record) -> bool:
    """As it should, or in a way that it should not."""
    ends = {FINAL_STATUS[cell.operation], "FAILED", "ABANDONED", "SETTLEMENT_FAILED"}
    return state["open_operation"] is None and state["status"] in ends


async def _die_before(world: World) -> Deaths:
    """Kill the process after it has committed the attempts, before it calls; again until each cell has seen it."""
    cells = [cell for cell in CELLS if cell.fault is Fault.KILLED_BEFORE]
    await _start_mortal(world)
    deaths: Deaths = {}
    for death in range(DEATHS_AT_MOST):
        world.arm("effect.before_call:gateway")
        if death == 0:
            await world.send(_trigger(cell) for cell in cells)
        await world.until_death()
        deaths |= await _seen(world, [cell for cell in cells if cell.name not in deaths], asked=False)
        if len(deaths) == len(cells):
            break
        await _start_mortal(world)
    await _start_mortal(world)
    await world.until(cells, _has_ended)
    return deaths


async def _die_after(world: World) -> Deaths:
    """Kill the process when the gateway has done all the operations and none of the answers is recorded."""
    cells = [cell for cell in CELLS if cell.fault is Fault.KILLED_AFTER]
    await world.send(_trigger(cell) for cell in cells)
    await _until_under_way(world, cells)
    world.arm("effect.after_call:gateway")
    await world.until_death()
    deaths = await _seen(world, cells, asked=True)
    await _start_mortal(world)
    await world.until(cells, _has_ended)
    return deaths


async def _start_mortal(world: World) -> None:
    """A slow answer is waited for here, so that the process can die when it comes."""
    await world.stop()
    await world.start(GATEWAY_TIMEOUT_S="20", BELIEVE_ABSENCE_AFTER_S="25")


async def _until_under_way(world: World, cells: Sequence[Cell]) -> None:
    """Every call has had its effect, and the webhooks that come first have come."""
    end = asyncio.get_running_loop().time() + DEADLINE_S / 3
    waiting = list(cells)
    while waiting and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.05)
        log = await world.log()
        waiting = [cell for cell in waiting if not _is_under_way(cell, log[cell.reference])]


def _is_under_way(cell: Cell, log: Sequence[dict[str, Any]]) -> bool:
    told = cell.webhook is not Webhook.FIRST or any(_is_delivery(cell, entry) for entry in log)
    return told and bool(asked_of(cell, log))


async def _seen(world: World, cells: Collection[Cell], *, asked: bool) -> Deaths:
    """The cells whose death is proved: the attempt is stored without an answer, and the gateway was asked or not."""
    states, log, attempts = await world.states(), await world.log(), await world.rows("attempts")
    deaths: Deaths = {}
    for cell in cells:
        entries = log[cell.reference]
        stored = [one for one in attempts[cell.reference] if one["operation"] == cell.operation and one["calls"] == 0]
        if stored and bool(asked_of(cell, entries)) is asked:
            deaths[cell.name] = (states[cell.reference], list(entries))
    return deaths


def asked_of(cell: Cell, log: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls of the cell's operation that reached the gateway."""
    return [one for one in log if one["operation"] == cell.operation and one["happening"] == "asked"]


def _is_delivery(cell: Cell, entry: dict[str, Any]) -> bool:
    return bool(entry["happening"] == "webhook_delivered" and entry["operation"] == WEBHOOK_OF[cell.operation])


async def _collect(world: World, deaths: Deaths) -> dict[str, Evidence]:
    states, books, log = await world.states(), await world.books(), await world.log()
    faults, events = await world.faults(), await world.events()
    attempts, captures = await world.rows("attempts"), await world.rows("captures")
    refunds, calls = await world.rows("refunds"), await world.rows("attempt_calls")
    return {
        cell.name: Evidence(
            state=states.get(cell.reference),
            attempts=sorted(attempts[cell.reference], key=lambda row: int(row["number"])),
            captures=captures[cell.reference],
            refunds=refunds[cell.reference],
            calls=sorted(calls[cell.reference], key=lambda row: int(row["id"])),
            books=books[cell.reference],
            log=log[cell.reference],
            faults=faults[cell.reference],
            events=events.get(cell.reference, ()),
            at_death=deaths.get(cell.name),
        )
        for cell in CELLS
    }
