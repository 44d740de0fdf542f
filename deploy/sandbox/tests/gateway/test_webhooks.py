"""Webhooks are signed as Standard Webhooks says, and arrive at least once whoever dies meanwhile."""

from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from .harness import WEBHOOK_SECRET, Gateway, WebhookReceiver, wait_until


def test_the_signature_is_that_of_standard_webhooks(gateway: Gateway, receiver: WebhookReceiver) -> None:
    hold = gateway.a_hold()
    receiver.wait_for("transaction.authorized", hold["reference"])
    (delivery,) = receiver.of_type("transaction.authorized", hold["reference"])

    # The library also refuses timestamps that are more than five minutes away from real time.
    verified = Webhook(WEBHOOK_SECRET).verify(delivery.body, delivery.headers)

    assert verified["data"] == hold
    assert set(verified) == {"type", "timestamp", "data"}
    with pytest.raises(WebhookVerificationError):
        Webhook(WEBHOOK_SECRET).verify(delivery.body.replace(b"1000", b"1001"), delivery.headers)


def test_the_signature_has_real_time_though_business_time_was_moved(
    own_gateway: Gateway, own_receiver: WebhookReceiver
) -> None:
    own_gateway.move_clock(days=40)
    hold = own_gateway.a_hold()
    own_receiver.wait_for("transaction.authorized", hold["reference"])

    (delivery,) = own_receiver.deliveries

    assert Webhook(WEBHOOK_SECRET).verify(delivery.body, delivery.headers)["data"] == hold


def test_a_failed_delivery_is_repeated_under_the_same_id(own_gateway: Gateway, own_receiver: WebhookReceiver) -> None:
    own_receiver.failures = 3
    hold = own_gateway.a_hold()

    own_receiver.wait_for("transaction.authorized", hold["reference"])

    assert len(own_receiver.refused) == 3
    assert {delivery.id for delivery in own_receiver.refused} == {own_receiver.deliveries[0].id}
    counts = wait_until(lambda: _counts_without_pending(own_gateway), "the delivery to be noted")
    assert counts == {"pending": 0, "delivered": 1, "given_up": 0}


def test_nothing_is_lost_while_receiver_and_sender_are_down(own_receiver: WebhookReceiver, tmp_path: Path) -> None:
    own_receiver.failures = 10**6
    with Gateway(tmp_path, own_receiver.url).running() as gateway:
        holds = [gateway.a_hold() for _ in range(40)]
        wait_until(lambda: own_receiver.refused, "a first refused delivery")
        gateway.kill()
        own_receiver.failures = 0
        gateway.start()

        for hold in holds:
            own_receiver.wait_for("transaction.authorized", hold["reference"])

        wait_until(lambda: _counts_without_pending(gateway), "all deliveries to be noted")
        assert len({delivery.id for delivery in own_receiver.deliveries}) == 40


def _counts_without_pending(gateway: Gateway) -> dict[str, int] | None:
    counts: dict[str, int] = gateway.get("/sandbox/books")["webhooks"]
    return counts if counts["pending"] == 0 else None
