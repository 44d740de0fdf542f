"""What the vehicle service system answers in each state, and that it remembers them (SVC-2)."""

import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from caas_sandbox.clock import move_clock, real_now

type StartPartner = Callable[..., tuple[subprocess.Popen[str], httpx.Client]]

API_KEY = "vss-key"
SLOW_S = 0.5
KEYED = {"authorization": f"Bearer {API_KEY}"}
ARGUMENTS = ("--api-key", API_KEY, "--slow-s", str(SLOW_S))


@pytest.fixture(scope="module")
def vss(start_partner: StartPartner, tmp_path_factory: pytest.TempPathFactory) -> httpx.Client:
    _, http = start_partner("vss", tmp_path_factory.mktemp("vss"), *ARGUMENTS)
    return http


def a_vehicle(http: httpx.Client, state: str) -> str:
    vehicle_id = f"vehicle-{uuid4()}"
    assert http.put(f"/vehicles/{vehicle_id}", json={"state": state}).status_code == 200
    return vehicle_id


def asked(http: httpx.Client, vehicle_id: str, headers: dict[str, str] = KEYED) -> httpx.Response:
    return http.get(f"/vehicles/{vehicle_id}/maintenance", headers=headers)


def maintenance(http: httpx.Client, vehicle_id: str) -> dict[str, Any]:
    answer = asked(http, vehicle_id)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def test_current_maintenance_is_due_in_the_future(vss: httpx.Client) -> None:
    vehicle_id = a_vehicle(vss, "current")
    answer = maintenance(vss, vehicle_id)
    assert (answer["vehicle_id"], answer["current"], answer["reason"]) == (vehicle_id, True, "")
    assert answer["next_due_on"] > real_now().date().isoformat()


def test_overdue_maintenance_was_due_in_the_past(vss: httpx.Client) -> None:
    answer = maintenance(vss, a_vehicle(vss, "overdue"))
    assert (answer["current"], answer["reason"]) == (False, "maintenance_overdue")
    assert answer["next_due_on"] < real_now().date().isoformat()


def test_an_unknown_vehicle_is_not_found(vss: httpx.Client) -> None:
    assert asked(vss, "nobody").status_code == 404


def test_unavailable_answers_503(vss: httpx.Client) -> None:
    assert asked(vss, a_vehicle(vss, "unavailable")).status_code == 503


def test_slow_answers_late_and_then_rightly(vss: httpx.Client) -> None:
    vehicle_id = a_vehicle(vss, "slow")
    start_s = time.monotonic()
    assert maintenance(vss, vehicle_id)["current"] is True
    assert time.monotonic() - start_s >= SLOW_S


def test_the_state_can_change(vss: httpx.Client) -> None:
    vehicle_id = a_vehicle(vss, "overdue")
    vss.put(f"/vehicles/{vehicle_id}", json={"state": "current"})
    assert maintenance(vss, vehicle_id)["current"] is True


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic eDp5"}])
def test_only_who_has_the_key_may_ask(vss: httpx.Client, headers: dict[str, str]) -> None:
    assert asked(vss, a_vehicle(vss, "current"), headers).status_code == 401


def test_a_state_that_does_not_exist_is_refused(vss: httpx.Client) -> None:
    assert vss.put("/vehicles/v", json={"state": "broken"}).status_code == 422


def test_states_survive_a_kill_and_dates_follow_business_time(start_partner: StartPartner, tmp_path: Path) -> None:
    process, http = start_partner("vss", tmp_path, *ARGUMENTS)
    vehicle_id = a_vehicle(http, "overdue")
    process.kill()
    process.wait(10)
    _, http = start_partner("vss", tmp_path, *ARGUMENTS)
    assert maintenance(http, vehicle_id)["current"] is False
    move_clock(tmp_path / "clock.json", 365 * 24 * 3600)
    in_300_days = (real_now() + timedelta(days=300)).date().isoformat()
    assert maintenance(http, vehicle_id)["next_due_on"] > in_300_days
