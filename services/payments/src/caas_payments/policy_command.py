"""`caas payments policy`: what another risk policy would have decided about past payments (RSK-2).

Exit codes: 0 it was tried, 2 it could not be. Nothing is written anywhere.
"""

import asyncio
import json
import sys
import tomllib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import asyncpg
import cyclopts
from rich.console import Console
from rich.table import Table

from caas_chassis.cause import Cause
from caas_chassis.clock import BusinessClock
from caas_chassis.transaction import Tx
from caas_payments.domain.risk import RiskPolicy, policy_from
from caas_payments.domain.trial import Trial
from caas_payments.handlers.trying import try_policy
from caas_payments.store.risk import EVER

COULD_NOT: Final = 2
_CONNECT_S: Final = 20.0
_COMMAND_S: Final = 120.0
_NOT_TRIED: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError)

payments = cyclopts.App(name="payments", help="Payments: risk policies.")
policy = cyclopts.App(name="policy", help="Risk policies (RSK-1, RSK-2).")
payments.command(policy)


@policy.command(name="try")
def try_file(
    file: Path,
    *,
    database_url: Annotated[str, cyclopts.Parameter(env_var="CAAS_PAYMENTS_DATABASE_URL")],
    since: datetime | None = None,
    until: datetime | None = None,
    as_json: Annotated[bool, cyclopts.Parameter(name="--json")] = False,
) -> None:
    """Decide past payments anew under a policy that is not released yet, and show what would have been different.

    Parameters
    ----------
    file
        The policy, in the form of the released ones (`policies/<version>.toml`).
    database_url
        The database of payments; reading is enough.
    since
        Only payments begun at or after this instant (UTC when it names no zone).
    until
        Only payments begun before this instant.
    as_json
        Print the report as JSON.
    """
    console = Console(highlight=False)
    try:
        tried = policy_from(tomllib.loads(file.read_text(encoding="utf-8")))
        time = (_aware(since, EVER[0]), _aware(until, EVER[1]))
        trial, without_inputs = asyncio.run(_try(database_url, tried, *time))
    except _NOT_TRIED as error:
        words = f"the policy could not be tried: {type(error).__name__}: {error}"
        if as_json:
            console.out(json.dumps({"error": words}))
        else:
            Console(stderr=True, highlight=False).print(words, soft_wrap=True, markup=False)
        sys.exit(COULD_NOT)
    if as_json:
        console.out(json.dumps(_plain(trial, without_inputs), default=str))
    else:
        _show(console, trial, without_inputs)


async def _try(url: str, tried: RiskPolicy, since: datetime, until: datetime) -> tuple[Trial, int]:
    connection = await asyncpg.connect(url, timeout=_CONNECT_S, command_timeout=_COMMAND_S)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            now, analyst = BusinessClock(None).now(), Cause.of_person("analyst")
            return await try_policy(tried, since, until, tx=Tx(connection, service="payments", now=now, cause=analyst))
    finally:
        await connection.close(timeout=_CONNECT_S)


def _aware(instant: datetime | None, default: datetime) -> datetime:
    if instant is None:
        return default
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _plain(trial: Trial, without_inputs: int) -> dict[str, Any]:
    return {
        "version": trial.policy.version,
        "currency": trial.policy.currency,
        "decisions": trial.decisions,
        "otherwise": trial.otherwise,
        "without_inputs": without_inputs,
        "spared_minor": trial.spared_minor,
        "outcomes": [
            {"was": was, "would_be": would_be, **asdict(outcome)}
            for (was, would_be), outcome in sorted(trial.outcomes.items())
        ],
        "reasons": dict(trial.reasons),
        "examples": [asdict(one) for one in trial.examples],
    }


def _show(console: Console, trial: Trial, without_inputs: int) -> None:
    currency = trial.policy.currency
    title = f"policy {trial.policy.version} on {trial.decisions} past decisions, amounts in minor units of {currency}"
    table = Table("was", "would be", "payments", "amount", "settled", "written off", title=title)
    for (was, would_be), outcome in sorted(trial.outcomes.items()):
        amounts = (outcome.payments, outcome.amount_minor, outcome.settled_minor, outcome.written_off_minor)
        table.add_row(was, would_be, *map(str, amounts))
    console.print(table)
    for reason, count in trial.reasons.most_common():
        console.print(f"{reason}: {count}")
    console.print(f"decided otherwise: {trial.otherwise}; losses not delivered first: {trial.spared_minor}")
    if without_inputs:
        console.print(
            f"[yellow]{without_inputs} payments are older than the record of what decisions were taken from[/]"
        )
