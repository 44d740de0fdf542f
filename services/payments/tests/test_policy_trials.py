"""A dry run of a policy over past payments (RSK-2): it finds what it would have decided, and changes nothing."""

import asyncio
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caas_chassis.testing.harness import Harness
from caas_contracts import Money
from caas_contracts.payments import FailSettlement
from caas_payments.domain.risk import policy_from, released_policies
from caas_payments.domain.rules import Rules
from caas_payments.handlers.trying import try_policy
from caas_payments.store.risk import EVER
from services.payments.tests.builders import NOW, a_planned_charge, a_settlement, a_success, an_authorization
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.web import a_token, serving
from services.payments.tests.working import settle

CAUTIOUS = {
    "version": 4,
    "currency": "EUR",
    "refuse": {"amount_over_minor": 4000},
    "after_settlement": {"amount_over_minor": 2000},
}
IN_TOML = """
version = 4
currency = "EUR"
[refuse]
amount_over_minor = 4000
[after_settlement]
amount_over_minor = 2000
"""


async def past_payments(payments: Harness) -> None:
    """A small one that settled, a larger one that was lost, and one that is larger than the cautious policy sells."""
    small, lost, large = (
        an_authorization(amount=Money(amount_minor=price, currency="EUR")) for price in (1000, 3000, 5000)
    )
    await payments.receive(small, lost, large)
    await payments.run_effects()
    await payments.receive(a_success(small), a_success(lost), a_success(large))
    await payments.run_effects()
    await payments.receive(
        a_settlement(small), FailSettlement(payment_id=lost.payment_id, reason="returned", requested_at=NOW)
    )
    await settle(payments)


def by_change(report: Mapping[str, Any]) -> dict[tuple[str, str], tuple[int, int, int]]:
    return {
        (one["was"], one["would_be"]): (one["payments"], one["settled_minor"], one["written_off_minor"])
        for one in report["outcomes"]
    }


EXPECTED = {
    ("on_authorization", "on_authorization"): (1, 1000, 0),
    ("on_authorization", "after_settlement"): (1, 0, 3000),
    ("on_authorization", "refuse"): (1, 0, 0),
}


async def test_operators_see_what_another_policy_would_have_decided_and_spared(
    payments: Harness, gateway: InProcessGateway
) -> None:
    await past_payments(payments)
    before = await everything(payments)
    ana = a_token("ana", "operator")
    async with serving(payments.runtime.settings.database_url, gateway) as api:
        tried = await api.post("/risk/policies/trial", json={"policy": CAUTIOUS}, headers=ana)
        later = {"policy": CAUTIOUS, "since": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
        nothing = await api.post("/risk/policies/trial", json=later, headers=ana)
        wrong = await api.post("/risk/policies/trial", json={"policy": {"version": 4}}, headers=ana)
        customer = await api.post("/risk/policies/trial", json={"policy": CAUTIOUS}, headers=a_token("c", "customer"))
        released = (await api.get("/risk/policies", headers=ana)).json()["policies"]
    report = tried.json()
    assert by_change(report) == EXPECTED
    assert (report["decisions"], report["otherwise"], report["spared_minor"]) == (3, 2, 3000)
    assert (report["without_inputs"], len(report["examples"])) == (0, 2)
    assert nothing.json()["decisions"] == 0
    assert (wrong.status_code, wrong.json()["code"]) == (httpx.codes.BAD_REQUEST, "policy_refused")
    assert customer.status_code == httpx.codes.FORBIDDEN
    assert [(one["version"], one["decides"]) for one in released] == [(1, False), (2, True), (3, False)]
    assert await everything(payments) == before


async def test_the_command_says_the_same(payments: Harness, tmp_path: Path) -> None:
    await past_payments(payments)
    async with payments.owner() as owner:
        await owner.execute("ALTER TABLE risk_inputs DISABLE TRIGGER ALL")
        await owner.execute(
            "DELETE FROM risk_inputs WHERE payment_id = (SELECT id FROM payments WHERE amount_minor = 5000)"
        )
    file = tmp_path / "4.toml"
    file.write_text(IN_TOML)
    code, out, err = await command(payments, "try", str(file), "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert by_change(report) == {change: found for change, found in EXPECTED.items() if change[1] != "refuse"}
    assert (report["without_inputs"], report["spared_minor"]) == (1, 3000)
    code, out, _ = await command(payments, "try", str(file))
    assert (code, "losses not delivered first: 3000" in out) == (0, True)
    file.write_text(IN_TOML + "shade = 3")
    code, out, err = await command(payments, "try", str(file))
    assert (code, "a table of limits has no shade" in err) == (2, True)
    assert (await command(payments, "try", str(tmp_path / "none.toml")))[0] == 2


async def command(payments: Harness, *arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from caas_payments.policy_command import payments; payments()", "policy", *arguments,
        "--database-url", payments.runtime.settings.database_url,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


async def everything(payments: Harness) -> list[object]:
    async with payments.transaction() as tx:
        return list(await tx.fetch("SELECT * FROM payments ORDER BY id"))


@settings(max_examples=15, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    orders=st.lists(
        st.tuples(st.booleans(), st.integers(1, 2), st.integers(700_000, 1_020_000), st.booleans()),
        min_size=9,
        max_size=14,
    )
)
async def test_the_policy_that_decided_would_decide_the_same_again(
    payments: Harness, orders: list[tuple[bool, int, int, bool]]
) -> None:
    """What is kept of a decision is all that it was taken from."""
    for ahead, customer, amount_minor, delivered in orders:
        make = a_planned_charge if ahead else an_authorization
        order = make(customer_id=f"C-{customer}", amount=Money(amount_minor=amount_minor, currency="EUR"))
        await payments.receive(order)
        await payments.run_effects()
        if delivered:
            await payments.receive(a_success(order))
            await payments.run_effects()
    async with payments.transaction() as tx:
        trial, without_inputs = await try_policy(Rules().policy, *EVER, tx=tx)
    assert (trial.otherwise, without_inputs) == (0, 0)
    assert trial.decisions >= len(orders)


def test_a_policy_is_the_same_from_its_file_and_from_its_data() -> None:
    limits = {"amount_over_minor": 1_000_000, "exposure_over_minor": 5_000_000, "write_offs_over": 10}
    assert policy_from({"version": 1, "currency": "EUR", "refuse": limits}) == released_policies()[1]
