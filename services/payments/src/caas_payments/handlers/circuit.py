"""Tells operations once that the circuit to the gateway has opened (NOT-2)."""

from caas_chassis.cause import Cause
from caas_chassis.loops import PeriodicLoop
from caas_chassis.processing import OpenTransaction
from caas_contracts.operations import AlertKind
from caas_payments.gateway.breaker import BreakingGateway

LOOK_EVERY_S = 1.0


class CircuitAlarm(PeriodicLoop):
    """Looks every second whether the circuit was opened since; reopening after a failed probe is no news."""

    name = "circuit-alarm"

    def __init__(self, breaker: BreakingGateway, transaction: OpenTransaction) -> None:
        super().__init__(idle_s=LOOK_EVERY_S)
        self._breaker = breaker
        self._transaction = transaction
        self._told = 0

    async def run_once(self) -> bool:
        """Publish one alert for each time that a closed circuit has opened."""
        opened = self._breaker.times_opened
        if opened == self._told:
            return False
        async with self._transaction(Cause.of_person("payments"), ("circuit",)) as tx:
            detail = "the payment gateway fails again and again: it is asked once every few seconds until it answers"
            tx.alert(AlertKind.GATEWAY_UNREACHABLE, "gateway", detail)
        self._told = opened
        return False
