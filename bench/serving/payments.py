"""Payments with a gateway that approves everything. It keeps no books: its answer follows from the question."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from caas_chassis.clock import BusinessClock
from caas_chassis.main import run
from caas_payments.app import build
from caas_payments.domain.gateway_result import Answered, GatewayResult, NotFound, Transaction, TransactionStatus
from caas_payments.gateway import GatewayTask
from caas_payments.settings import PaymentsSettings

HOLD: Final = timedelta(days=9)


class ApprovingGateway:
    """A payment gateway that approves everything."""

    def __init__(self) -> None:
        self._clock = BusinessClock()

    async def authorize(self, task: GatewayTask) -> GatewayResult:
        now = self._clock.now()
        held = self._transaction(task, TransactionStatus.AUTHORIZED)
        return Answered(replace(held, authorized_at=now, capture_before=now + HOLD))

    async def sale(self, task: GatewayTask) -> GatewayResult:
        sold = self._transaction(task, TransactionStatus.CAPTURED)
        return Answered(replace(sold, captured_minor=task.amount_minor, authorized_at=self._clock.now()))

    async def capture(self, task: GatewayTask) -> GatewayResult:
        captured = self._transaction(task, TransactionStatus.CAPTURED)
        return Answered(replace(captured, captured_minor=task.amount_minor))

    async def void(self, task: GatewayTask) -> GatewayResult:
        return Answered(self._transaction(task, TransactionStatus.VOIDED))

    async def refund(self, task: GatewayTask) -> GatewayResult:
        return Answered(self._transaction(task, TransactionStatus.REFUNDED))

    async def look_up(self, _reference: str, _transaction_id: str = "", /) -> GatewayResult:
        return NotFound()

    async def close(self) -> None:
        """Nothing is open."""

    def _transaction(self, task: GatewayTask, status: TransactionStatus) -> Transaction:
        return Transaction(
            id=f"txn_{task.payment_id.hex}",
            reference=task.reference,
            status=status,
            amount_minor=task.amount_minor,
            currency=task.currency,
        )


if __name__ == "__main__":
    run(PaymentsSettings, lambda settings: build(settings, ApprovingGateway()))
