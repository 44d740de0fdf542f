"""What payments asks of a gateway, and of whoever stands in for one (GW-7)."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from caas_payments.domain.attempt import Operation, Step
from caas_payments.domain.gateway_result import GatewayResult


class GatewayTask(BaseModel):
    """One question to the gateway, as it is kept until it is answered.

    `number` is the attempt's, 0 for a hint; amounts are minor units; `refund_id` names a refund; `opened_at` is
    when the attempt was, in business time; `merchant_initiated` means that nobody is there to confirm it (PAY-9).
    """

    model_config = ConfigDict(frozen=True)

    payment_id: UUID
    number: int
    step: Step
    currency: str
    payment_method: str
    operation: Operation | None = None
    idempotency_key: str = ""
    amount_minor: int = 0
    transaction_id: str = ""
    refund_id: UUID | None = None
    opened_at: datetime | None = None
    merchant_initiated: bool = False

    @property
    def reference(self) -> str:
        """Our name for the transaction at the gateway."""
        return str(self.payment_id)


class PaymentGateway(Protocol):
    """What payments needs of a gateway. Implementations return a value for every foreseen end of a call."""

    async def authorize(self, task: GatewayTask) -> GatewayResult: ...

    async def sale(self, task: GatewayTask) -> GatewayResult: ...

    async def capture(self, task: GatewayTask) -> GatewayResult: ...

    async def void(self, task: GatewayTask) -> GatewayResult: ...

    async def refund(self, task: GatewayTask) -> GatewayResult: ...

    async def look_up(self, reference: str, transaction_id: str = "", /) -> GatewayResult:
        """The gateway's record under our reference; its own id, where it is known, may make that surer."""
        ...

    async def close(self) -> None: ...
