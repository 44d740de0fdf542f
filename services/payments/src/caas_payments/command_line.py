"""`caas audit`: what auditors ask of the audit log, also where nobody serves it (PAY-4).

Exit codes: 0 intact, 1 broken, 2 it could not be found out. Nothing is written anywhere.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Final, NoReturn

import asyncpg
import cyclopts
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from caas_chassis.cause import Cause
from caas_chassis.clock import BusinessClock
from caas_chassis.records import RawRecord, decode_record
from caas_chassis.topicreading import first_offsets, read_topic
from caas_chassis.transaction import Tx
from caas_contracts.audit import AuditAnchored
from caas_contracts.topics import AUDIT_ANCHORS
from caas_payments.domain.audit import Anchor, BrokenEntry, ChainCheck
from caas_payments.store.audit import verify_audit_log

INTACT: Final = 0
BROKEN: Final = 1
COULD_NOT: Final = 2
_CONNECT_S: Final = 20.0
_COMMAND_S: Final = 120.0
WITNESSED: Final = "SELECT sequence, hash FROM audit_anchor WHERE service = 'payments' ORDER BY sequence"
_NOT_FOUND_OUT: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError, OSError, TimeoutError, LookupError)

audit = cyclopts.App(name="audit", help="The audit log of payments (PAY-4).")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the verification came to. Up to `witnessed` a witness outside payments vouches for the log."""

    intact: bool
    entries: int
    anchors: int
    witnessed: int
    broken: list[BrokenEntry]
    notes: list[str]


@audit.command
def verify(
    *,
    database_url: Annotated[str, cyclopts.Parameter(env_var="CAAS_PAYMENTS_DATABASE_URL")],
    kafka: Annotated[str | None, cyclopts.Parameter(env_var="KAFKA_BOOTSTRAP_SERVERS")] = None,
    witness_url: Annotated[str | None, cyclopts.Parameter(env_var="CAAS_RECONCILIATION_DATABASE_URL")] = None,
    chain_only: bool = False,
    as_json: Annotated[bool, cyclopts.Parameter(name="--json")] = False,
) -> None:
    """Recompute the audit chain and compare it with its head and with every anchor outside payments.

    Parameters
    ----------
    database_url
        The database of payments; reading is enough.
    kafka
        The broker with the topic of anchors.
    witness_url
        The database of reconciliation, which keeps the anchors too.
    chain_only
        Ask no witness: a log that was sealed anew as a whole is not found out then.
    as_json
        Print the finding as JSON.
    """
    if kafka is None and witness_url is None and not chain_only:
        _give_up("name a witness: --kafka, --witness-url or both; or ask for the --chain-only", as_json=as_json)
    try:
        finding = asyncio.run(
            _find_out(database_url, None if chain_only else kafka, None if chain_only else witness_url)
        )
    except _NOT_FOUND_OUT as error:
        _give_up(f"the log could not be checked: {type(error).__name__}: {error}", as_json=as_json)
    else:
        _say(finding, as_json=as_json)
        sys.exit(INTACT if finding.intact else BROKEN)


async def _find_out(database_url: str, kafka: str | None, witness_url: str | None) -> Finding:
    """Witnesses first: the log must be younger than what they saw of it."""
    anchors: list[Anchor] = []
    notes: list[str] = []
    if kafka is not None:
        anchors += await _published_anchors(kafka, notes)
    if witness_url is not None:
        anchors += await _kept_anchors(witness_url)
    if not anchors:
        notes.append("no witness has an anchor: a log that was sealed anew as a whole would not be found out")
    with _bar() as bar:
        task = bar.add_task("entries", total=None)
        check = await _checked(database_url, anchors, lambda done, all_: bar.update(task, completed=done, total=all_))
    return Finding(
        intact=not check.broken,
        entries=check.entries,
        anchors=len(anchors),
        witnessed=check.witnessed,
        broken=check.broken,
        notes=notes,
    )


async def _published_anchors(kafka: str, notes: list[str]) -> list[Anchor]:
    if any((await first_offsets(kafka, AUDIT_ANCHORS.name)).values()):
        notes.append(f"{AUDIT_ANCHORS.name} does not begin at its beginning: older anchors were deleted")
    return [anchor async for page in read_topic(kafka, AUDIT_ANCHORS.name) for anchor in _anchors_in(page)]


def _anchors_in(records: list[RawRecord]) -> list[Anchor]:
    decoded = [(record, decode_record(record).message) for record in records]
    return [
        Anchor(message.sequence, bytes.fromhex(message.hash), f"{AUDIT_ANCHORS.name} at offset {record.offset}")
        for record, message in decoded
        if isinstance(message, AuditAnchored) and message.service == "payments"
    ]


async def _kept_anchors(url: str) -> list[Anchor]:
    connection = await asyncpg.connect(url, timeout=_CONNECT_S, command_timeout=_COMMAND_S)
    try:
        rows = await connection.fetch(WITNESSED)
    finally:
        await connection.close(timeout=_CONNECT_S)
    return [Anchor(row["sequence"], row["hash"], "reconciliation") for row in rows]


async def _checked(url: str, anchors: list[Anchor], progress: Callable[[int, int], None]) -> ChainCheck:
    connection = await asyncpg.connect(url, timeout=_CONNECT_S, command_timeout=_COMMAND_S)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            now, auditor = BusinessClock(None).now(), Cause.of_person("auditor")
            tx = Tx(connection, service="payments", now=now, cause=auditor)
            return await verify_audit_log(tx, anchors, progress)
    finally:
        await connection.close(timeout=_CONNECT_S)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _say(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(finding)))
        return
    console = Console(highlight=False)
    if finding.intact:
        console.print(f"[green]intact[/green]: {finding.entries} entries, vouched for up to {finding.witnessed}")
    else:
        table = Table("entry", "through", "what is wrong", title="the audit log is not what was written")
        for place in finding.broken[:1000]:
            table.add_row(str(place.sequence), str(place.through), place.problem)
        console.print(table)
    for note in finding.notes:
        console.print(f"[yellow]{note}[/yellow]")


def _give_up(words: str, *, as_json: bool) -> NoReturn:
    if as_json:
        print(json.dumps({"intact": None, "error": words}))
    else:
        Console(stderr=True, highlight=False).print(f"[red]{words}[/red]", soft_wrap=True)
    sys.exit(COULD_NOT)
