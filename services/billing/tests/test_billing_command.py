"""`caas billing`, as real processes: killed anywhere, stopped, twice at once, refused (SUB-4, SUB-8)."""

import asyncio
import json
import os
import signal
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from caas_chassis.clock import BusinessClock, write_offset
from caas_chassis.migrate import apply_migrations
from caas_chassis.testing.databases import serving_url
from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from services.billing.tests.closing_checks import assert_billed_once, everything, rows
from services.billing.tests.cycle_builders import a_plan, a_subscription, stored

DEADLINE_S = 90.0
POINTS = [f"{name}.{moment}_commit" for name in ("starting", "closing", "finishing") for moment in ("before", "after")]


@pytest.fixture
def december(tmp_path: Path) -> Path:
    """The clock file of a platform in which October and November are over."""
    file = tmp_path / "clock.json"
    write_offset(file, datetime(2026, 12, 3, tzinfo=UTC) - BusinessClock().now())
    return file


async def begin(billing: Harness, clock: Path, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start the command as an operator would, without a terminal."""
    known = {"CAAS_BILLING_DATABASE_URL": serving_url(billing.owner_url), "CAAS_CLOCK_FILE": str(clock)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "caas_billing.command_line",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **known, **environment},
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def command(billing: Harness, clock: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    return await ended(await begin(billing, clock, *arguments, **environment))


async def a_month(billing: Harness, subscriptions: int = 300) -> None:
    each = [a_subscription(("2026-10-05", "10"), ("2026-10-31", "0.5")) for _ in range(subscriptions)]
    await stored(billing, a_plan(), *each, a_subscription())


async def test_killed_at_every_point_and_started_again_it_bills_once(
    billing: Harness, december: Path, tmp_path: Path
) -> None:
    await a_month(billing)
    armed = tmp_path / "crash"
    for point in POINTS:
        armed.write_text(point)
        code, _, err = await command(billing, december, "run", "--period", "2026-10", CAAS_CRASH_FILE=str(armed))
        assert code == -signal.SIGKILL, (point, err)
        await assert_billed_once(billing)
    assert armed.with_suffix(".died").read_text().split() == POINTS

    code, out, err = await command(billing, december, "run", "--period", "2026-10", "--json")

    assert code == 0, err
    assert json.loads(out)["finished"]
    await assert_billed_once(billing)
    assert await rows(billing, "SELECT count(*) AS closes, count(invoice_id) AS invoices FROM period_close") == [
        {"closes": 301, "invoices": 300}
    ]
    told = await rows(billing, "SELECT aggregateid FROM chassis.outbox WHERE type LIKE '%BillingRunFinished%'")
    finished = await rows(billing, "SELECT run_id::text FROM billing_run WHERE finished_at IS NOT NULL")
    assert sorted(row["aggregateid"] for row in told) == sorted(row["run_id"] for row in finished)


async def test_two_processes_at_once_share_the_month(billing: Harness, december: Path) -> None:
    await a_month(billing, 400)

    both = [await begin(billing, december, "run", "--period", "2026-10", "--json") for _ in range(2)]
    outcomes = [await ended(process) for process in both]

    assert [code for code, _, _ in outcomes] == [0, 0], outcomes
    reports = [json.loads(out) for _, out, _ in outcomes]
    assert {report["run_id"] for report in reports if report["report"]["subscriptions"]} != set()
    assert await rows(billing, "SELECT count(*) AS closes FROM period_close") == [{"closes": 401}]
    await assert_billed_once(billing)


async def test_stopped_by_ctrl_c_it_says_how_to_go_on_and_goes_on(billing: Harness, december: Path) -> None:
    await a_month(billing, 5000)
    process = await begin(billing, december, "run", "--period", "2026-10", "--workers", "1")
    for _ in range(int(DEADLINE_S * 50)):
        if await rows(billing, "SELECT 1 FROM period_close LIMIT 1"):
            break
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGINT)
    code, out, err = await ended(process)
    assert code == 1, (out, err)
    assert "caas billing run --period 2026-10" in err
    await assert_billed_once(billing)

    code, out, err = await command(billing, december, "run", "--period", "2026-10")

    assert code == 0, err
    assert "goes on" in err
    assert "invoiced, VAT included (EUR)" in out
    assert "\x1b[" not in out + err
    await assert_billed_once(billing)


async def test_a_dry_run_prints_what_would_happen_and_writes_nothing(billing: Harness, december: Path) -> None:
    await a_month(billing, 50)
    before = await everything(billing)

    code, out, err = await command(billing, december, "run", "--period", "2026-10", "--dry-run")
    as_json = await command(billing, december, "run", "--period", "2026-10", "--dry-run", "--json")

    assert (code, as_json[0]) == (0, 0), err
    assert "a dry run, nothing was written" in out
    report = json.loads(as_json[1])["report"]
    assert (report["subscriptions"], report["invoices"], report["without_charge"]) == (51, 50, 1)
    assert report["invoiced"] == [{"amount_minor": 50 * 37, "currency": "EUR"}]
    assert await everything(billing) == before


async def test_runs_and_their_state_can_be_looked_up(billing: Harness, december: Path) -> None:
    await a_month(billing, 5)
    assert (await command(billing, december, "run", "--period", "2026-10"))[0] == 0

    (listed,) = json.loads((await command(billing, december, "runs", "--json"))[1])
    assert (listed["period"], listed["closed"], listed["left"]) == ("2026-10", 6, 0)
    code, out, _ = await command(billing, december, "status")
    assert code == 0
    assert f"run {listed['run_id']} is finished" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--period", "october"), "'october' is no calendar month: write it as 2026-10"),
        (("run", "--period", "2026-12"), "2026-12 ends on 2027-01-01 00:00 (Europe/Madrid)"),
        (("run", "--period", "2026-10", "--time-zone", "Madrid"), "'Madrid' is no time zone"),
        (("status",), "there is no such run"),
        (("run", "--period", "2026-10", "--database-url", "postgresql://nobody@127.0.0.1:1/none"), "cannot be used"),
    ],
)
async def test_what_cannot_be_done_is_said_and_ends_with_2(
    billing: Harness, december: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = await command(billing, december, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


async def test_a_database_that_is_not_migrated_is_named_as_the_reason(
    billing: Harness, december: Path, make_database: MakeDatabase
) -> None:
    url = await make_database("empty", _only_chassis)
    code, _, err = await command(billing, december, "run", "--period", "2026-10", "--database-url", url)
    assert code == 2
    assert "python -m caas_billing migrate" in err


async def _only_chassis(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=20)
    try:
        await apply_migrations(connection, ["caas_chassis.migrations"])
    finally:
        await connection.close(timeout=20)


def test_the_program_caas_has_the_command() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["caas.commands"] == {"billing": "caas_billing.command_line:billing"}
