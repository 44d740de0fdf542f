"""Factory, administration and transport as processes: once asked they act, tell of it, and forget nothing."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from standardwebhooks import Webhook

from caas_sandbox.clock import move_clock
from deploy.sandbox.tests.gateway.harness import WEBHOOK_SECRET, WebhookReceiver, wait_until

type StartPartner = Callable[..., tuple[subprocess.Popen[str], httpx.Client]]

API_KEY = "supplier-key"
DAY_S = 24 * 3600
VIN = "VSC00000000000001"


class Supplier:
    """One partner process with its books, its clock and a receiver of its events."""

    def __init__(self, start: StartPartner, name: str, state_dir: Path, receiver: WebhookReceiver) -> None:
        self._start = start
        self._name = name
        self._state_dir = state_dir
        self.receiver = receiver
        self.start()

    def start(self) -> None:
        webhooks = ("--webhook-url", self.receiver.url, "--webhook-secret", WEBHOOK_SECRET)
        own = ("--api-key", API_KEY, "--hang-s", "0.2")
        self.process, self.http = self._start(self._name, self._state_dir, *own, *webhooks)
        self.http.headers["authorization"] = f"Bearer {API_KEY}"

    def kill_and_start(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.start()

    def days_later(self, days: float) -> None:
        move_clock(self._state_dir / "clock.json", int(days * DAY_S))

    def post(self, path: str, body: dict[str, Any], key: str | None = None) -> httpx.Response:
        return self.http.post(path, json=body, headers={"idempotency-key": key or body["reference"]})

    def advance(self, reference: str) -> None:
        assert self.http.post("/sandbox/advance", params={"reference": reference}).status_code == 200

    def fault(self, **fault: Any) -> None:
        answer = self.http.post("/sandbox/faults", json=fault)
        assert answer.status_code == 201, answer.text

    def found(self, path: str, reference: str) -> list[dict[str, Any]]:
        answer = self.http.get(f"/{path}", params={"reference": reference})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()[path]
        return found

    def told(self, reference: str) -> list[tuple[str, str]]:
        """Every event of a reference so far: its type and its webhook-id."""
        seen = [(delivery.message, delivery.id) for delivery in list(self.receiver.deliveries)]
        return [(message["type"], name) for message, name in seen if message["data"]["reference"] == reference]

    def types(self, reference: str) -> list[str]:
        return [kind for kind, _ in self.told(reference)]


@pytest.fixture
def supplier(start_partner: StartPartner, tmp_path: Path) -> Iterator[Callable[[str], Supplier]]:
    with WebhookReceiver().running() as receiver:
        yield lambda name: Supplier(start_partner, name, tmp_path, receiver)


def an_order() -> dict[str, Any]:
    return {"reference": str(uuid4()), "model": "caas-cross", "options": ["tow-bar"], "dealership": "madrid"}


def an_application(vin: str = VIN) -> dict[str, Any]:
    holder = {"name": "Ada Example", "tax_id": "12345678Z"}
    return {"reference": f"{uuid4()}:1", "vin": vin, "model": "caas-cross", "holder": holder}


def a_booking() -> dict[str, Any]:
    people = {"dealership": "madrid", "recipient": "Ada Example"}
    return {"reference": str(uuid4()), "vin": VIN, "plates": "0001 MNB", **people}


def test_a_vehicle_is_built_and_arrives_as_time_passes(supplier: Callable[[str], Supplier]) -> None:
    factory, order = supplier("factory"), an_order()
    accepted = factory.post("/orders", order)
    assert accepted.status_code == 201
    assert (accepted.json()["status"], accepted.json()["vin"]) == ("accepted", None)

    factory.days_later(31)
    built = factory.receiver.wait_for("order.built", order["reference"])
    assert len(built["vin"]) == 17

    factory.days_later(41)
    arrived = factory.receiver.wait_for("order.arrived", order["reference"])
    assert arrived["vin"] == built["vin"]
    assert arrived["estimated_delivery"] == accepted.json()["estimated_delivery"]


def test_events_are_signed_as_standard_webhooks_says(supplier: Callable[[str], Supplier]) -> None:
    factory, order = supplier("factory"), an_order()
    factory.post("/orders", order)
    factory.receiver.wait_for("order.accepted", order["reference"])
    delivery = factory.receiver.deliveries[0]
    Webhook(WEBHOOK_SECRET).verify(delivery.body, delivery.headers)


def test_the_same_key_orders_once_and_another_key_orders_again(supplier: Callable[[str], Supplier]) -> None:
    factory, order = supplier("factory"), an_order()
    first, again = factory.post("/orders", order), factory.post("/orders", order)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert factory.post("/orders", {**order, "model": "caas-city"}).status_code == 422

    factory.post("/orders", order, key="another")
    assert len(factory.found("orders", order["reference"])) == 2
    assert factory.http.get("/sandbox/books").json()["by_reference_max"] == 2


def test_keys_are_forgotten_after_a_day_so_that_a_look_up_is_needed(supplier: Callable[[str], Supplier]) -> None:
    factory, order = supplier("factory"), an_order()
    factory.post("/orders", order)
    factory.days_later(1.1)
    factory.post("/orders", order)
    assert len(factory.found("orders", order["reference"])) == 2


def test_a_lost_answer_hides_an_order_that_exists(supplier: Callable[[str], Supplier]) -> None:
    factory, order = supplier("factory"), an_order()
    factory.fault(kind="timeout_after", operation="place")
    with pytest.raises(httpx.RemoteProtocolError):
        factory.post("/orders", order)
    assert len(factory.found("orders", order["reference"])) == 1


def test_an_outage_ends_with_business_time(supplier: Callable[[str], Supplier]) -> None:
    factory, order = supplier("factory"), an_order()
    factory.fault(kind="503", for_s=4 * 3600)
    assert [factory.post("/orders", order).status_code for _ in range(3)] == [503, 503, 503]
    factory.days_later(0.2)
    assert factory.post("/orders", order).status_code == 201


def test_a_delay_is_told_with_the_new_estimate(supplier: Callable[[str], Supplier]) -> None:
    factory, order = supplier("factory"), an_order()
    estimate = factory.post("/orders", order).json()["estimated_delivery"]
    factory.fault(kind="delay", operation="step", reference=order["reference"], days=5)
    factory.advance(order["reference"])
    assert factory.receiver.wait_for("order.delayed", order["reference"])["estimated_delivery"] > estimate
    factory.advance(order["reference"])
    factory.receiver.wait_for("order.built", order["reference"])


def test_an_event_can_come_three_times_under_two_names(supplier: Callable[[str], Supplier]) -> None:
    factory, order = supplier("factory"), an_order()
    factory.post("/orders", order)
    factory.fault(kind="duplicate", operation="event", reference=order["reference"])
    factory.advance(order["reference"])
    wait_until(lambda: factory.types(order["reference"]).count("order.built") == 3, "the event three times")
    names = {name for kind, name in factory.told(order["reference"]) if kind == "order.built"}
    assert len(names) == 2


def test_an_event_that_is_held_back_is_overtaken(supplier: Callable[[str], Supplier]) -> None:
    factory, order = supplier("factory"), an_order()
    factory.post("/orders", order)
    factory.receiver.wait_for("order.accepted", order["reference"])
    factory.fault(kind="held_back", operation="event", reference=order["reference"], hold_s=1)
    factory.advance(order["reference"])
    factory.advance(order["reference"])
    factory.receiver.wait_for("order.built", order["reference"])
    assert factory.types(order["reference"]) == ["order.accepted", "order.arrived", "order.built"]


def test_an_order_that_is_rejected_leaves_nothing(supplier: Callable[[str], Supplier]) -> None:
    factory, order = supplier("factory"), an_order()
    factory.fault(kind="rejection", operation="place", reason="model_discontinued")
    refused = factory.post("/orders", order)
    assert (refused.status_code, refused.json()["code"]) == (409, "model_discontinued")
    assert factory.found("orders", order["reference"]) == []


def test_an_application_is_decided_after_days_and_plates_differ(supplier: Callable[[str], Supplier]) -> None:
    administration = supplier("registration")
    applications = [an_application(f"VSC0000000000000{n}") for n in range(3)]
    for application in applications:
        assert administration.post("/registrations", application).json()["status"] == "submitted"
    administration.days_later(2.1)
    granted = [administration.receiver.wait_for("registration.registered", one["reference"]) for one in applications]
    assert len({one["plates"] for one in granted}) == 3


def test_a_rejected_application_can_be_corrected_and_made_again(supplier: Callable[[str], Supplier]) -> None:
    administration, application = supplier("registration"), an_application()
    administration.fault(kind="rejection", operation="step", reason="tax_id_unknown")
    administration.post("/registrations", application)
    corrected = {**application, "reference": application["reference"].replace(":1", ":2")}
    assert administration.post("/registrations", corrected).json()["code"] == "already_known"

    administration.advance(application["reference"])
    rejected = administration.receiver.wait_for("registration.rejected", application["reference"])
    assert (rejected["reason"], rejected["plates"]) == ("tax_id_unknown", None)

    assert administration.post("/registrations", corrected, key="again").status_code == 201
    administration.advance(corrected["reference"])
    assert administration.found("registrations", corrected["reference"])[0]["status"] == "registered"
    assert administration.post("/registrations", an_application()).json()["code"] == "already_known"


def test_a_delivery_is_reported_and_survives_a_kill(supplier: Callable[[str], Supplier]) -> None:
    transport, booking = supplier("transport"), a_booking()
    booked = transport.post("/deliveries", booking).json()
    assert booked["status"] == "booked"
    transport.kill_and_start()
    transport.days_later(3.1)
    delivered = transport.receiver.wait_for("delivery.delivered", booking["reference"])
    assert (delivered["id"], delivered["delivered_at"][:10]) == (booked["id"], booked["delivery_on"])


@pytest.mark.parametrize("name", ["factory", "registration", "transport"])
def test_only_who_has_the_key_may_ask(supplier: Callable[[str], Supplier], name: str) -> None:
    path = {"factory": "/orders", "registration": "/registrations", "transport": "/deliveries"}[name]
    partner = supplier(name)
    assert partner.http.get(path, params={"reference": "r"}, headers={"authorization": "Bearer x"}).status_code == 401
    assert partner.http.post(path, json={}, headers={"idempotency-key": "k"}).status_code == 400
    assert partner.http.post("/sandbox/faults", json={"kind": "wrong_amount"}).status_code == 400
