"""A circuit breaker around a gateway: after many failures in a row it is spared, and asked again one by one.

Invariant: what is not put to the gateway is answered as certainly not done.
"""

import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

import structlog
from prometheus_client import Gauge

from caas_payments.domain.gateway_result import GatewayResult, Unavailable, Unknown
from caas_payments.gateway.port import GatewayTask, PaymentGateway

CIRCUIT_OPEN: Final = "circuit_open"

_log = structlog.get_logger(__name__)
_gauge = Gauge("caas_gateway_circuit", "Circuit to the payment gateway: 0 closed, 1 half-open, 2 open")


class Circuit(StrEnum):
    """Closed lets everything through, open nothing, half-open one question at a time."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


_LEVELS: Final = {Circuit.CLOSED: 0, Circuit.HALF_OPEN: 1, Circuit.OPEN: 2}


class BreakingGateway:
    """A gateway behind its breaker. It opens after `failures` outages in a row, for `open_s` seconds of real time."""

    def __init__(
        self,
        gateway: PaymentGateway,
        failures: int,
        open_s: float,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._limit = failures
        self._open_s = open_s
        self._seconds = seconds
        self._failed = 0
        self._opened_at = 0.0
        self.state = Circuit.CLOSED
        self.times_opened = 0
        _gauge.set(_LEVELS[self.state])

    async def authorize(self, task: GatewayTask) -> GatewayResult:
        return await self._ask(lambda: self._gateway.authorize(task))

    async def sale(self, task: GatewayTask) -> GatewayResult:
        return await self._ask(lambda: self._gateway.sale(task))

    async def capture(self, task: GatewayTask) -> GatewayResult:
        return await self._ask(lambda: self._gateway.capture(task))

    async def void(self, task: GatewayTask) -> GatewayResult:
        return await self._ask(lambda: self._gateway.void(task))

    async def refund(self, task: GatewayTask) -> GatewayResult:
        return await self._ask(lambda: self._gateway.refund(task))

    async def look_up(self, reference: str, transaction_id: str = "", /) -> GatewayResult:
        return await self._ask(lambda: self._gateway.look_up(reference, transaction_id))

    async def close(self) -> None:
        """Close the gateway's connections."""
        await self._gateway.close()

    async def _ask(self, question: Callable[[], Awaitable[GatewayResult]]) -> GatewayResult:
        if self.state is not Circuit.CLOSED and not self._may_probe():
            return Unavailable(CIRCUIT_OPEN, self._retry_after_s())
        try:
            result = await question()
        except BaseException:
            # A defect of ours or a cancelled call says nothing about the gateway: the next question probes.
            self._move(Circuit.OPEN if self.state is Circuit.HALF_OPEN else self.state)
            raise
        self._learn(failed=isinstance(result, Unavailable | Unknown) and result.outage)
        return result

    def _may_probe(self) -> bool:
        if self.state is Circuit.HALF_OPEN or self._seconds() < self._opened_at + self._open_s:
            return False
        self._move(Circuit.HALF_OPEN)
        return True

    def _learn(self, *, failed: bool) -> None:
        if not failed:
            self._failed = 0
            self._move(Circuit.CLOSED)
            return
        self._failed += 1
        if self.state is Circuit.HALF_OPEN or self._failed >= self._limit:
            self._opened_at = self._seconds()
            self.times_opened += self.state is Circuit.CLOSED
            self._move(Circuit.OPEN)

    def _retry_after_s(self) -> int:
        return max(1, round(self._opened_at + self._open_s - self._seconds()))

    def _move(self, state: Circuit) -> None:
        if state is not self.state:
            _log.warning("gateway_circuit", state=state, failures=self._failed)
        self.state = state
        _gauge.set(_LEVELS[state])
