"""Scripted faults strike the request they are meant for, as often as they shall, and are counted."""

import contextlib
from collections.abc import Iterator

import httpx
import pytest

from .harness import Gateway, a_reference, wait_until


@pytest.fixture(autouse=True)
def _no_faults_left(gateway: Gateway) -> Iterator[None]:
    yield
    gateway.http.delete("/sandbox/faults")


@pytest.mark.parametrize(
    ("kind", "status", "booked"),
    [("503", 503, 0), ("429", 429, 0), ("not_found", 404, 0), ("500_after", 500, 1)],
)
def test_a_fault_with_an_answer(gateway: Gateway, kind: str, status: int, booked: int) -> None:
    reference = a_reference()
    gateway.add_fault(kind=kind, operation="authorize", reference=reference)

    first = gateway.authorize(reference=reference, key=reference)

    assert first.status_code == status
    assert first.headers["content-type"] == "application/problem+json"
    assert len(gateway.of_reference(reference)) == booked
    assert gateway.authorize(reference=reference, key=reference).status_code == 201
    assert len(gateway.of_reference(reference)) == 1


@pytest.mark.parametrize(("kind", "booked"), [("timeout_before", 0), ("outage", 0), ("timeout_after", 1), ("half", 1)])
def test_a_fault_without_a_whole_answer(gateway: Gateway, kind: str, booked: int) -> None:
    reference = a_reference()
    gateway.add_fault(kind=kind, operation="authorize", reference=reference)

    with pytest.raises(httpx.RemoteProtocolError):
        gateway.authorize(reference=reference, key=reference)

    gateway.http.delete("/sandbox/faults")
    assert len(gateway.of_reference(reference)) == booked
    assert gateway.authorize(reference=reference, key=reference).status_code == 201
    assert len(gateway.of_reference(reference)) == 1


def test_garbage_is_no_json_though_the_effect_is_booked(gateway: Gateway) -> None:
    hold = gateway.a_hold()
    gateway.add_fault(kind="garbage", operation="capture", reference=hold["reference"])

    answer = gateway.capture(hold)

    assert answer.status_code == 200
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()
    assert gateway.found(hold)["status"] == "captured"


def test_a_wrong_amount_is_only_told_and_not_booked(gateway: Gateway) -> None:
    hold = gateway.a_hold()
    gateway.add_fault(kind="wrong_amount", operation="lookup", reference=hold["reference"], times=2)

    assert gateway.found(hold)["amount_minor"] == 1001
    assert gateway.of_reference(hold["reference"])[0]["amount_minor"] == 1001
    assert gateway.found(hold)["amount_minor"] == 1000


def test_429_says_when_to_come_back(gateway: Gateway) -> None:
    reference = a_reference()
    gateway.add_fault(kind="429", operation="any", reference=reference, retry_after_s=7)

    assert gateway.authorize(reference=reference).headers["retry-after"] == "7"


@pytest.mark.parametrize("operation", ["capture", "void", "refund", "lookup"])
def test_a_fault_waits_for_its_operation_and_reference(gateway: Gateway, operation: str) -> None:
    captured, other = gateway.a_captured(), gateway.a_captured()
    gateway.add_fault(kind="503", operation=operation, reference=captured["reference"])

    def ask(transaction: dict[str, object]) -> int:
        path = f"/transactions/{transaction['id']}"
        if operation == "lookup":
            return gateway.http.get(path).status_code
        bodies = {"capture": {"amount_minor": 1}, "void": {}, "refund": {"amount_minor": 1, "reference": "r"}}
        return gateway.post(f"{path}/{operation}", bodies[operation]).status_code

    assert ask(other) != 503
    assert ask(captured) == 503
    assert ask(captured) != 503


def test_the_settlement_feed_can_fail(gateway: Gateway) -> None:
    gateway.add_fault(kind="503", operation="settlements", times=2)

    assert [gateway.http.get("/settlements").status_code for _ in range(3)] == [503, 503, 200]


def test_an_outage_lasts_until_it_is_deleted(gateway: Gateway) -> None:
    gateway.add_fault(kind="outage")
    for _ in range(5):
        with pytest.raises(httpx.RemoteProtocolError):
            gateway.authorize()
    assert gateway.get("/health") == {"status": "ok"}

    gateway.http.delete("/sandbox/faults")

    assert gateway.authorize().status_code == 201


def test_it_is_known_how_often_each_fault_struck_also_after_a_restart(own_gateway: Gateway) -> None:
    own_gateway.add_fault(kind="503", operation="authorize", times=3)
    own_gateway.add_fault(kind="429", operation="lookup", times=1)
    statuses = [own_gateway.authorize().status_code for _ in range(2)]

    own_gateway.kill()
    own_gateway.start()

    assert [fault["fired"] for fault in own_gateway.get("/sandbox/faults")["faults"]] == [2, 0]
    statuses += [own_gateway.authorize().status_code for _ in range(2)]
    assert statuses == [503, 503, 503, 201]


@pytest.mark.parametrize(
    "fault",
    [{"kind": "nonsense"}, {"kind": "503", "times": 0}, {"kind": "half", "retry_after_s": 1}, {}],
)
def test_a_fault_that_cannot_be_is_refused(gateway: Gateway, fault: dict[str, object]) -> None:
    answer = gateway.http.post("/sandbox/faults", json=fault)

    assert answer.status_code == 400
    assert gateway.get("/sandbox/faults")["faults"] == []


def test_an_expired_key_is_refused_though_the_effect_is_booked(gateway: Gateway) -> None:
    hold = gateway.a_hold()
    gateway.add_fault(kind="key_expired", operation="capture", reference=hold["reference"])

    with pytest.raises(httpx.RemoteProtocolError):
        gateway.capture(hold, key=hold["id"])

    assert gateway.found(hold)["status"] == "captured"
    again = gateway.capture(hold, key=hold["id"])
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_key_expired")


@pytest.mark.parametrize(
    ("timing", "order"),
    [
        ("before_answer", ["asked", "webhook_delivered", "answered"]),
        ("after_answer", ["asked", "answered", "webhook_delivered"]),
        ("never", ["webhook_withheld", "asked", "answered"]),
    ],
)
@pytest.mark.parametrize("kind", ["slow", "timeout_after"])
def test_a_webhook_comes_before_or_after_the_answer_or_never(
    gateway: Gateway, kind: str, timing: str, order: list[str]
) -> None:
    hold = gateway.a_hold()
    reference = hold["reference"]
    wait_until(lambda: len(gateway.log_of(reference)) == 3, "the webhook of the hold")
    script = {"reference": reference, "webhook": "transaction.captured", "timing": timing}
    assert gateway.http.post("/sandbox/timings", json=script).status_code == 201
    gateway.add_fault(kind=kind, operation="capture", reference=reference)

    with contextlib.suppress(httpx.RemoteProtocolError):
        gateway.capture(hold)

    wait_until(lambda: len(gateway.log_of(reference)) >= 6, "the log")
    happened = gateway.log_of(reference)[3:]
    assert [entry["happening"] for entry in happened] == order
    asked = next(entry for entry in happened if entry["happening"] == "asked")
    assert (asked["operation"], asked["fault"]) == ("capture", kind)
