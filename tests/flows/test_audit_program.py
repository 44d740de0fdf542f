"""`caas audit verify` on the running platform: asks Kafka and reconciliation, names what was forged (PAY-4)."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from caas_payments.domain.audit import GENESIS, AuditEntry, seal_all
from tests.flows.market import Market

KEPT = "SELECT coalesce(max(sequence), 0) FROM audit_anchor WHERE service = 'payments'"
HEAD = "SELECT sequence FROM audit_head"
COLUMNS = ("payment_id", "at", "kind", "source", "target", "reason", "cause_id", "correlation_id", "actor")


async def caas(*arguments: str) -> tuple[int | None, dict[str, Any]]:
    """Run the program as an operator does; its exit code and what it says as JSON."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CAAS_", "KAFKA_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "caas_chassis.cli", "audit", "verify", "--json", *arguments,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode, json.loads(said) if said else {}


def everything(market: Market) -> list[str]:
    urls, kafka = market.platform.database_urls, market.platform.bootstrap_servers
    return [f"--database-url={urls['payments']}", f"--kafka={kafka}", f"--witness-url={urls['reconciliation']}"]


async def anchored(market: Market) -> int:
    """Wait until nothing is appended any more and reconciliation has the anchor of the last entry."""
    await market.databases.until_quiet(180)
    async with asyncio.timeout(120):
        while True:
            head = await market.databases.number("payments", HEAD)
            if head == await market.databases.number("reconciliation", KEPT):
                return head
            await asyncio.sleep(0.2)


@asynccontextmanager
async def forging(market: Market) -> AsyncIterator[asyncpg.Connection]:
    """Somebody with all rights on the database of payments; the log is put back at the end."""
    superuser = await asyncpg.connect(market.platform.postgres.url("caas_payments"), timeout=20, command_timeout=60)
    await superuser.execute("SET session_replication_role = replica")
    await superuser.execute("CREATE TEMP TABLE log AS TABLE audit_log; CREATE TEMP TABLE head AS TABLE audit_head")
    try:
        yield superuser
    finally:
        await superuser.execute(
            "TRUNCATE audit_log; INSERT INTO audit_log TABLE log;"
            "UPDATE audit_head SET (sequence, hash) = (SELECT sequence, hash FROM head)"
        )
        await superuser.close(timeout=20)


async def seal_anew(superuser: asyncpg.Connection) -> None:
    """Make the whole chain hold again, and the head."""
    head = GENESIS
    for row in await superuser.fetch("SELECT * FROM audit_log ORDER BY sequence"):
        (one,) = seal_all(row["sequence"] - 1, head, [AuditEntry(**{name: row[name] for name in COLUMNS})])
        statement = "UPDATE audit_log SET previous = $2, hash = $3 WHERE sequence = $1"
        await superuser.execute(statement, one.sequence, one.previous, one.hash)
        head = one.hash
    await superuser.execute("UPDATE audit_head SET hash = $1", head)


async def test_the_program_verifies_the_log_with_both_witnesses_and_finds_forgeries(
    market: Market, subtests: pytest.Subtests
) -> None:
    purchases = await market.sell("approved", "approved")
    await market.outcomes(list(purchases))
    entries = await anchored(market)
    with subtests.test("intact"):
        code, finding = await caas(*everything(market))
        assert (code, finding["intact"], finding["entries"], finding["witnessed"]) == (0, True, entries, entries)
        assert finding["anchors"] >= 2
    async with forging(market) as superuser:
        await superuser.execute("UPDATE audit_log SET actor = 'operator:nobody' WHERE sequence = 2")
        with subtests.test("a changed row"):
            code, finding = await caas(*everything(market))
            assert (code, finding["broken"][0]["sequence"], finding["broken"][0]["through"]) == (1, 2, 2)
        await seal_anew(superuser)
        for witness in everything(market)[1:]:
            with subtests.test(f"the whole chain sealed anew, asking {witness.partition('=')[0]}"):
                code, finding = await caas(everything(market)[0], witness)
                place = finding["broken"][0]
                assert code == 1
                assert place["sequence"] <= 2 <= place["through"] <= entries
        with subtests.test("the whole chain sealed anew, asking nobody"):
            code, finding = await caas(everything(market)[0], "--chain-only")
            assert (code, finding["intact"]) == (0, True)
            assert "no witness" in finding["notes"][0]
    code, finding = await caas(*everything(market))
    assert (code, finding["intact"]) == (0, True)


async def test_what_cannot_be_found_out_is_neither_intact_nor_broken(market: Market) -> None:
    database, kafka, witness = everything(market)
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    for arguments in ([database], [f"--database-url={nowhere}", kafka], [database, f"--witness-url={nowhere}"]):
        code, finding = await caas(*arguments)
        assert (code, finding["intact"]) == (2, None)
        assert finding["error"]
    assert (await caas(database, kafka, witness, "--no-such-option"))[0] == 2
