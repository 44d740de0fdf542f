"""The matrix (GW-2 to GW-5): 4 operations, 12 faults, 3 orders of the webhook.

In every cell the gateway's own book has the operation exactly once, our state and what we published are equal to it,
and the log of the gateway proves that the fault and the order of the webhook really happened.
"""

import asyncio
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from caas_chassis.testing.databases import DatabaseTemplates
from caas_chassis.topicadmin import all_topics, create_topics
from services.payments.tests.conftest import migrate
from services.payments.tests.gateway.matrix_cells import (
    CELLS,
    CERTAIN,
    KILLS,
    NO_EFFECT,
    REFUNDED_MINOR,
    WEBHOOK_OF,
    Cell,
    Fault,
    Webhook,
)
from services.payments.tests.gateway.matrix_play import FINAL_STATUS, Evidence, asked_of, play
from services.payments.tests.gateway.matrix_world import Addresses, World
from services.payments.tests.sandbox_gateway import running_sandbox
from services.payments.tests.test_process import free_port
from services.payments.tests.web import SECRET

HANG_S: Final = "2.0"
SLOW_S: Final = "5.0"
PRICE_MINOR: Final = 1999

EVENT_OF: Final = {
    "authorize": "PaymentAuthorized",
    "capture": "PaymentCaptured",
    "void": "PaymentVoided",
    "refund": "PaymentRefunded",
}
BOOKED_STATUS: Final = {
    "authorize": "authorized",
    "capture": "captured",
    "void": "voided",
    "refund": "partially_refunded",
}


@pytest.fixture(scope="module")
def evidence(
    database_templates: DatabaseTemplates, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Evidence]:
    """The matrix, played once."""
    return asyncio.run(_play(database_templates, kafka_bootstrap, tmp_path_factory.mktemp("matrix")))


async def _play(templates: DatabaseTemplates, kafka: str, folder: Path) -> dict[str, Evidence]:
    database_url = await templates.clone("payments", migrate)
    await create_topics(kafka, all_topics())
    port = free_port()
    webhooks = ("--webhook-url", f"http://127.0.0.1:{port}/webhooks/gateway", "--webhook-secret", SECRET)
    with running_sandbox(folder, "--hang-s", HANG_S, "--slow-s", SLOW_S, *webhooks) as sandbox:
        at = Addresses(database_url, kafka, sandbox.url, port, folder / "crash.points")
        async with World.open(at) as world:
            evidence = await play(world)
    await templates.drop_clone(database_url)
    return evidence


@pytest.mark.timeout(420)
@pytest.mark.parametrize("cell", CELLS, ids=[cell.name for cell in CELLS])
def test_the_operation_happens_once_and_our_state_ends_equal_to_the_gateways(
    evidence: dict[str, Evidence], cell: Cell
) -> None:
    found = evidence[cell.name]
    _assert_happened_once(cell, found)
    _assert_equal(cell, found)
    _assert_told_once(cell, found)
    _assert_fault_struck(cell, found)
    _assert_webhook_came_in_order(cell, found)
    _assert_nothing_was_believed_too_soon(cell, found)


def _amount(step: str) -> int:
    return REFUNDED_MINOR if step == "refund" else PRICE_MINOR


def _assert_happened_once(cell: Cell, found: Evidence) -> None:
    """The gateway's book, under the keys that we had stored."""
    assert len(found.books) == 1, f"{len(found.books)} transactions under one reference"
    [booked] = found.books
    effects = [(one["operation"], one["amount_minor"], one["idempotency_key"]) for one in booked["effects"]]
    assert effects == [
        (step, _amount(step), f"{cell.reference}:{step}:{number}") for number, step in enumerate(cell.steps, start=1)
    ]
    assert booked["status"] == BOOKED_STATUS[cell.operation]


def _assert_equal(cell: Cell, found: Evidence) -> None:
    """Payment, attempts, captures and refunds say what the gateway's book says."""
    [booked] = found.books
    assert found.state is not None
    state = dict(found.state)
    assert (state["status"], state["open_operation"]) == (FINAL_STATUS[cell.operation], None)
    assert state["gateway_transaction_id"] == booked["id"]
    assert (state["captured_minor"], state["refunded_minor"]) == (booked["captured_minor"], booked["refunded_minor"])
    assert [(one["operation"], one["state"]) for one in found.attempts] == [(one, "succeeded") for one in cell.steps]
    assert [one["amount_minor"] for one in found.captures] == ([PRICE_MINOR] if "capture" in cell.steps else [])
    expected = [(REFUNDED_MINOR, "succeeded")] if cell.operation == "refund" else []
    assert [(one["amount_minor"], one["state"]) for one in found.refunds] == expected


def _assert_told_once(cell: Cell, found: Evidence) -> None:
    assert Counter(found.events) == Counter(["PaymentInitiated", *(EVENT_OF[step] for step in cell.steps)])


def _assert_fault_struck(cell: Cell, found: Evidence) -> None:
    """The sandbox counted it; a death left the attempt without an answer, and the gateway asked or not."""
    struck = {(one["operation"], one["kind"]): one["fired"] for one in found.faults}
    assert struck == {(operation, kind): times for operation, kind, times in cell.script}
    asked = asked_of(cell, found.log)
    if cell.fault is Fault.KEY_EXPIRED:
        assert 409 in [one["status"] for one in asked], "the forgotten key was not used again"
    if cell.fault in KILLS:
        assert found.at_death is not None, "the process did not die in this cell"
        before_death = asked_of(cell, found.at_death[1])
        assert len(before_death) == (1 if cell.fault is Fault.KILLED_AFTER else 0)
    assert len({one["idempotency_key"] for one in asked}) == 1, "a retry under another key"


def _assert_webhook_came_in_order(cell: Cell, found: Evidence) -> None:
    """Beside the answer, or the silence, of the call that had the effect."""
    about = [one for one in found.log if one["operation"] in (cell.operation, WEBHOOK_OF[cell.operation])]
    happened = [(one["happening"], one["fault"]) for one in about]
    deliveries = [at for at, one in enumerate(happened) if one[0] == "webhook_delivered"]
    if cell.webhook is Webhook.MISSING:
        assert not deliveries
        assert ("webhook_withheld", None) in happened
        return
    answered = next(at for at, (what, fault) in enumerate(happened) if what == "answered" and fault not in NO_EFFECT)
    assert len(deliveries) == 1
    assert (deliveries[0] < answered) is (cell.webhook is Webhook.FIRST), happened


def _assert_nothing_was_believed_too_soon(cell: Cell, found: Evidence) -> None:
    """Between two calls of unknown outcome the record was read twice (GW-4); a death may repeat the call at once."""
    if cell.fault in KILLS:
        return
    about = [one for one in found.log if one["happening"] == "asked" and one["operation"] in (cell.operation, "lookup")]
    calls = [at for at, one in enumerate(about) if one["operation"] == cell.operation]
    for first, second in pairwise(calls):
        if about[first]["fault"] not in CERTAIN:
            assert second - first > 2, f"called again after {second - first - 1} look-ups: {_words(about)}"


def _words(log: list[dict[str, Any]]) -> list[str]:
    return [f"{one['operation']}:{one['fault'] or one['status']}" for one in log]
