"""One gateway that all tests share, and gateways of their own for tests that kill or move the clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Gateway, WebhookReceiver


@pytest.fixture(scope="session")
def receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver().running() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def gateway(receiver: WebhookReceiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway"), receiver.url).running() as gateway:
        yield gateway


@pytest.fixture
def own_receiver() -> Iterator[WebhookReceiver]:
    with WebhookReceiver().running() as receiver:
        yield receiver


@pytest.fixture
def own_gateway(own_receiver: WebhookReceiver, tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path, own_receiver.url).running() as gateway:
        yield gateway
