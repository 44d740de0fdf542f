"""The books survive the process: no effect is lost, none is doubled, and what was due still happens."""

import threading
from collections.abc import Sized
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx

from .harness import Gateway, WebhookReceiver, a_reference, an_authorization, wait_until


def test_sigterm_ends_the_process_with_status_zero(own_gateway: Gateway) -> None:
    own_gateway.a_hold()

    assert own_gateway.stop() == 0


def test_a_broken_clock_file_ends_the_process_instead_of_going_on_with_a_wrong_time(
    own_gateway: Gateway,
) -> None:
    own_gateway.clock_file.write_text('{"offset_s": "tomorrow"}')

    assert own_gateway.wait() != 0


def test_a_kill_in_the_middle_of_load_loses_and_doubles_nothing(own_gateway: Gateway) -> None:
    """Clients repeat what got no answer under the same key, as CaaS does (GW-3)."""
    up = threading.Event()
    up.set()
    answered: list[dict[str, Any]] = []
    unanswered: list[str] = []
    bodies = [an_authorization(amount_minor=1000 + number) for number in range(400)]

    def until_answered(path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
        for _ in range(20):
            assert up.wait(15)
            try:
                answer = own_gateway.post(path, body, key)
            except (
                httpx.HTTPError,
                RuntimeError,
            ):  # RuntimeError: the client of the killed process is closed
                unanswered.append(key)
                up.wait(0.02)
                continue
            assert answer.status_code in (200, 201), answer.text
            content: dict[str, Any] = answer.json()
            return content
        raise AssertionError(f"{key} was never answered")

    def purchase(body: dict[str, Any]) -> None:
        hold = until_answered("/transactions", body, f"authorize-{body['reference']}")
        amount = {"amount_minor": body["amount_minor"]}
        path = f"/transactions/{hold['id']}/capture"
        answered.append(until_answered(path, amount, f"capture-{body['reference']}"))

    with ThreadPoolExecutor(8) as clients:
        purchases = [clients.submit(purchase, body) for body in bodies]
        for done in (60, 150, 260):
            wait_until(partial(_has, answered, done), f"{done} purchases")
            up.clear()
            own_gateway.kill()
            own_gateway.start()
            up.set()
        for future in purchases:
            future.result(timeout=30)

    assert unanswered, "the kills hit no request: the test proves nothing"
    totals = own_gateway.get("/sandbox/books")
    assert totals["transactions"] == totals["captures"] == 400
    assert totals["captures_by_reference_max"] == 1
    assert totals["captured_minor"] == sum(body["amount_minor"] for body in bodies)
    kept = {found["id"]: found for found in own_gateway.books()}
    assert all(kept[told["id"]]["captured_minor"] == told["captured_minor"] for told in answered)
    assert all(
        [effect["operation"] for effect in found["effects"]] == ["authorize", "capture"] for found in kept.values()
    )


def test_what_was_pending_is_decided_after_a_restart(own_gateway: Gateway, own_receiver: WebhookReceiver) -> None:
    pending = own_gateway.a_hold("tok_pending")
    own_gateway.kill()
    own_gateway.start()

    assert own_receiver.wait_for("transaction.authorized", pending["reference"])["status"] == "authorized"


def test_what_fell_due_while_it_was_down_happens_once(own_gateway: Gateway) -> None:
    own_gateway.a_captured()
    hold = own_gateway.a_hold()
    own_gateway.kill()
    own_gateway.move_clock(days=11)
    own_gateway.start()

    assert own_gateway.found(hold)["status"] == "expired"
    lines = own_gateway.feed()
    assert [line["kind"] for line in lines] == ["capture"]
    own_gateway.kill()
    own_gateway.start()
    assert own_gateway.feed() == lines


def test_a_test_token_remembers_its_attempts_over_a_restart(own_gateway: Gateway) -> None:
    reference = a_reference()
    first = own_gateway.authorize("tok_503_twice", reference=reference).status_code
    own_gateway.kill()
    own_gateway.start()

    later = [own_gateway.authorize("tok_503_twice", reference=reference).status_code for _ in range(2)]

    assert [first, *later] == [503, 503, 201]


def _has(found: Sized, at_least: int) -> bool:
    return len(found) >= at_least
