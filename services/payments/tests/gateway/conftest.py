"""Fixtures of the contract suite: every target as it runs, started once and only when a test asks for it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from caas_payments.gateway import PaymentGateway
from services.payments.tests.gateway.processes import (
    FaultProxy,
    running_localstripe,
    running_proxy,
    running_stripe_mock,
)
from services.payments.tests.gateway.programs import Missing, Say, provide_localstripe, provide_stripe_mock
from services.payments.tests.gateway.targets import (
    IN_PROCESS,
    LOCALSTRIPE,
    SANDBOX,
    STRIPE_MOCK,
    STRIPE_TEST_MODE,
    Target,
    give_up,
)
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.sandbox_gateway import running_sandbox

HERE = Path(__file__).parent
NOBODY = "http://127.0.0.1:1"


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install and build before the first test: a first use takes longer than a test may."""
    if session.config.option.collectonly or not any(HERE in item.path.parents for item in session.items):
        return
    say = _say(session.config)
    for provide in (provide_localstripe, provide_stripe_mock):
        try:
            provide(say)
        except Missing as missing:
            # The tests that need it fail or are skipped with this reason.
            say(str(missing))


@dataclass
class Gateways:
    """The processes of this session by their target's name."""

    folder: Path
    say: Say
    stack: ExitStack
    urls: dict[str, str] = field(default_factory=dict)
    proxies: dict[str, FaultProxy] = field(default_factory=dict)

    def url(self, target: Target) -> str:
        """Where the target answers."""
        if target.name not in self.urls:
            self.urls[target.name] = self._start(target)
        return self.urls[target.name]

    def proxy(self, target: Target) -> FaultProxy:
        """The proxy in front of the target."""
        if target.name not in self.proxies:
            self.proxies[target.name] = self.stack.enter_context(running_proxy(self.url(target)))
        return self.proxies[target.name]

    def _start(self, target: Target) -> str:
        folder = self.folder / target.name
        folder.mkdir(exist_ok=True)
        if target is IN_PROCESS:
            return ""
        if target is STRIPE_TEST_MODE:
            return "https://api.stripe.com"
        if target is SANDBOX:
            return self.stack.enter_context(running_sandbox(folder)).url
        run = {LOCALSTRIPE.name: running_localstripe, STRIPE_MOCK.name: running_stripe_mock}[target.name]
        try:
            return self.stack.enter_context(run(folder, self.say))
        except Missing as missing:
            return give_up(missing)


@dataclass(frozen=True)
class Partner:
    """A target that answers, and the adapter that talks to it."""

    target: Target
    url: str
    gateway: PaymentGateway


@pytest.fixture(scope="session")
def gateways(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Gateways]:
    """All targets, none of them started yet."""
    with ExitStack() as stack:
        yield Gateways(tmp_path_factory.mktemp("gateways"), _say(pytestconfig), stack)


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Target:
    """The target of this test."""
    chosen: Target = request.param
    return chosen


@pytest.fixture
async def partner(target: Target, gateways: Gateways) -> AsyncIterator[Partner]:
    """The target of this test with an adapter of the test's own."""
    url = gateways.url(target)
    gateway = InProcessGateway() if target is IN_PROCESS else target.gateway_at(url)
    yield Partner(target, url, gateway)
    await gateway.close()


@pytest.fixture
def proxy(target: Target, gateways: Gateways) -> FaultProxy:
    """The network between the adapter and the target of this test."""
    return gateways.proxy(target)


def _say(config: pytest.Config) -> Say:
    """Progress lines on the terminal, past the capture of the running test."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")

    def say(message: str) -> None:
        if reporter is not None and capture is not None:
            with capture.global_and_fixture_disabled():
                reporter.write_line(f"[gateways] {message}")

    return say
