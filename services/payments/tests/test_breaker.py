"""The circuit breaker, `Retry-After`, and what a refusal about an idempotency key is read as."""

from collections.abc import Callable

import httpx
import pytest
from prometheus_client import REGISTRY
from pydantic import ValidationError

from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.operations import AlertKind, AlertRaised
from caas_payments.app import service_of
from caas_payments.domain.gateway_result import GatewayResult, NotFound, Refused, Unavailable, Unknown
from caas_payments.domain.rules import Rules
from caas_payments.gateway import GatewayClient
from caas_payments.gateway.breaker import CIRCUIT_OPEN, BreakingGateway, Circuit
from caas_payments.gateway.retry_after import retry_after_s
from caas_payments.handlers.circuit import CircuitAlarm
from caas_payments.settings import PaymentsSettings
from services.payments.tests.builders import an_authorization
from services.payments.tests.conftest import migrate
from services.payments.tests.gateway.tasks import an_authorization_of
from services.payments.tests.in_process_gateway import InProcessGateway
from services.payments.tests.reading import rows_of, status_of
from services.payments.tests.web import serving

OUTAGES: list[GatewayResult] = [Unknown("ReadTimeout", outage=True), Unavailable("ConnectError", outage=True)]
OPEN_S = 15.0


class Stopwatch:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def breaker(gateway: InProcessGateway, clock: Callable[[], float]) -> BreakingGateway:
    return BreakingGateway(gateway, 3, OPEN_S, clock)


async def fail(breaker: BreakingGateway, gateway: InProcessGateway, *results: GatewayResult) -> None:
    gateway.script("look_up", *results)
    for _ in results:
        await breaker.look_up("reference")


async def test_failures_in_a_row_open_it_and_nothing_is_asked_then(
    breaker: BreakingGateway, gateway: InProcessGateway, clock: Stopwatch
) -> None:
    await fail(breaker, gateway, OUTAGES[0], OUTAGES[1], OUTAGES[0])
    asked = dict(gateway.calls)
    task = an_authorization_of("tok_approved")
    answers = [
        await breaker.look_up("reference"), await breaker.authorize(task), await breaker.sale(task),
        await breaker.capture(task), await breaker.void(task), await breaker.refund(task),
    ]  # fmt: skip
    assert answers == [Unavailable(CIRCUIT_OPEN, 15)] * 6
    clock.seconds += 10
    assert await breaker.look_up("reference") == Unavailable(CIRCUIT_OPEN, 5)
    assert dict(gateway.calls) == asked
    assert (breaker.state, REGISTRY.get_sample_value("caas_gateway_circuit")) == (Circuit.OPEN, 2.0)


@pytest.mark.parametrize("between", [NotFound(), Unknown("unreadable_answer"), Unavailable("too_many_requests", 3)])
async def test_an_answer_in_between_starts_the_count_anew(
    breaker: BreakingGateway, gateway: InProcessGateway, between: GatewayResult
) -> None:
    await fail(breaker, gateway, *OUTAGES, between, *OUTAGES)
    assert breaker.state is Circuit.CLOSED


async def test_one_probe_is_let_through_and_decides(
    breaker: BreakingGateway, gateway: InProcessGateway, clock: Stopwatch
) -> None:
    await fail(breaker, gateway, *OUTAGES, OUTAGES[0])
    clock.seconds += OPEN_S
    await fail(breaker, gateway, OUTAGES[0])
    assert (breaker.state, breaker.times_opened) == (Circuit.OPEN, 1)
    assert await breaker.look_up("reference") == Unavailable(CIRCUIT_OPEN, 15)
    clock.seconds += OPEN_S
    assert await breaker.look_up("reference") == NotFound()
    assert (breaker.state, REGISTRY.get_sample_value("caas_gateway_circuit")) == (Circuit.CLOSED, 0.0)


class CuriousGateway(InProcessGateway):
    """Asks through the breaker once more while it is being asked."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker: BreakingGateway | None = None
        self.meanwhile: list[GatewayResult] = []

    async def look_up(self, reference: str, transaction_id: str = "", /) -> GatewayResult:
        if self.breaker is not None and self.breaker.state is Circuit.HALF_OPEN:
            self.meanwhile.append(await self.breaker.look_up(reference))
        return await super().look_up(reference, transaction_id)


async def test_while_the_probe_is_under_way_nothing_else_is_asked(clock: Stopwatch) -> None:
    curious = CuriousGateway()
    curious.breaker = BreakingGateway(curious, 1, OPEN_S, clock)
    await fail(curious.breaker, curious, OUTAGES[0])
    clock.seconds += OPEN_S
    assert await curious.breaker.look_up("reference") == NotFound()
    assert curious.meanwhile == [Unavailable(CIRCUIT_OPEN, 1)]


async def test_a_call_that_breaks_off_leaves_the_probe_to_the_next(
    breaker: BreakingGateway, gateway: InProcessGateway, clock: Stopwatch
) -> None:
    await fail(breaker, gateway, *OUTAGES, OUTAGES[0])
    clock.seconds += OPEN_S
    with pytest.raises(KeyError):
        await breaker.capture(an_authorization_of("tok_approved"))
    assert await breaker.look_up("reference") == NotFound()


async def test_operations_are_told_once_each_time_it_opens(
    payments: Harness, breaker: BreakingGateway, gateway: InProcessGateway, clock: Stopwatch
) -> None:
    alarm = CircuitAlarm(breaker, payments.runtime.transaction)
    await alarm.run_once()
    await fail(breaker, gateway, *OUTAGES, OUTAGES[0])
    clock.seconds += OPEN_S
    await fail(breaker, gateway, OUTAGES[0])
    await alarm.run_once()
    await alarm.run_once()
    assert [one.kind for one in await payments.published(AlertRaised)] == [AlertKind.GATEWAY_UNREACHABLE]


async def test_an_open_circuit_is_a_failed_try_that_waits_for_the_next_probe(
    make_database: MakeDatabase, breaker: BreakingGateway, gateway: InProcessGateway, clock: Stopwatch
) -> None:
    url = await make_database("payments", migrate)
    async with Harness(service_of(Rules(jitter=0.0), breaker), url) as payments:
        await fail(breaker, gateway, *OUTAGES, OUTAGES[0])
        command = an_authorization()
        await payments.receive(command)
        await payments.run_effects()
        [call] = await rows_of(payments, "attempt_calls", command.payment_id)
        assert (call["result"], call["retry_in_ms"]) == (CIRCUIT_OPEN, 15_000)
        assert gateway.calls["authorize"] == 0
        clock.seconds += OPEN_S
        await payments.skip_delays()
        await payments.run_effects()
        assert await status_of(payments, command.payment_id) == "AUTHORIZED"


async def test_readiness_says_the_circuit_and_does_not_depend_on_it(
    payments: Harness, gateway: InProcessGateway
) -> None:
    async with serving(payments.runtime.settings.database_url, gateway) as api:
        ready = (await api.get("/health/ready")).json()
    assert ready["details"]["gateway_circuit"] == "closed"
    assert "gateway_circuit" not in ready["checks"]


DATE = "Sun, 22 Nov 2026 05:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": " 7 "}, 7),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "7.5"}, None),
        ({"Retry-After": "-7"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "٧"}, None),
        ({"Retry-After": "86400"}, 3600),
        ({"Retry-After": "9" * 5000}, 3600),
        ({"Retry-After": "Sun, 22 Nov 2026 05:00:30 GMT", "Date": DATE}, 30),
        ({"Retry-After": "Sunday, 22-Nov-26 05:00:30 GMT", "Date": DATE}, 30),
        ({"Retry-After": "Sun, 22 Nov 2026 04:59:00 GMT", "Date": DATE}, 0),
        ({"Retry-After": "Mon, 23 Nov 2026 05:00:00 GMT", "Date": DATE}, 3600),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT", "Date": "nonsense"}, 3600),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_and_at_most_an_hour(
    headers: dict[str, str], seconds: int | None
) -> None:
    assert retry_after_s(httpx.Headers([(name.encode(), value.encode()) for name, value in headers.items()])) == seconds


def a_client(status: int, body: dict[str, str], **headers: str) -> GatewayClient:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=body, headers=named))
    return GatewayClient(httpx.AsyncClient(transport=transport, base_url="http://gateway"))


@pytest.mark.parametrize("code", ["idempotency_key_expired", "request_in_progress", "never_heard_of"])
async def test_a_refusal_that_is_not_about_the_transaction_is_unknown(code: str) -> None:
    client = a_client(409, {"code": code})
    task = an_authorization_of("tok_approved")
    for ask in (client.authorize, client.sale, client.capture, client.void, client.refund):
        assert await ask(task) == Unknown(code)


@pytest.mark.parametrize("code", ["already_captured", "hold_expired", "amount_too_large"])
async def test_a_refusal_that_is_about_the_transaction_is_final(code: str) -> None:
    assert await a_client(409, {"code": code}).capture(an_authorization_of("tok_approved")) == Refused(code)


async def test_429_is_waited_for_until_its_date() -> None:
    client = a_client(429, {}, Retry_After="Sun, 22 Nov 2026 05:00:12 GMT", Date=DATE)
    assert await client.authorize(an_authorization_of("tok_approved")) == Unavailable("too_many_requests", 12)


@pytest.mark.parametrize(("status", "outage"), [(500, True), (503, True), (422, False), (409, False)])
async def test_only_5xx_of_the_answers_counts_as_an_outage(status: int, outage: bool) -> None:
    result = await a_client(status, {"code": "x"}).authorize(an_authorization_of("tok_approved"))
    assert isinstance(result, Unknown)
    assert result.outage is outage


def test_absence_cannot_be_believed_while_a_call_may_be_under_way() -> None:
    with pytest.raises(ValidationError, match="believe_absence_after_s"):
        PaymentsSettings(database_url="postgresql://nobody", gateway_timeout_s=20, believe_absence_after_s=20)
    with pytest.raises(ValidationError, match="key_safety_s"):
        PaymentsSettings(database_url="postgresql://nobody", key_life_s=3600, key_safety_s=3600)
