"""Monthly bills are charged under a mandate, everything else with the customer present (PAY-9)."""

import pytest

from caas_chassis.testing.harness import Harness
from caas_chassis.testing.plugin import MakeDatabase
from caas_contracts.payments import PaymentPurpose, SoldPurpose
from caas_payments.app import service_of
from caas_payments.domain.gateway_result import GatewayResult
from caas_payments.domain.rules import Rules
from caas_payments.gateway import GatewayTask
from services.payments.tests.builders import a_charge
from services.payments.tests.conftest import migrate
from services.payments.tests.in_process_gateway import InProcessGateway


@pytest.mark.parametrize("purpose", [PaymentPurpose.RESERVATION, PaymentPurpose.SUBSCRIPTION])
@pytest.mark.parametrize("customer_present", [True, False])
async def test_the_gateway_is_told_when_nobody_is_there_to_confirm(
    make_database: MakeDatabase, purpose: SoldPurpose, customer_present: bool
) -> None:
    url = await make_database("payments", migrate)
    asked: list[GatewayTask] = []

    class Listening(InProcessGateway):
        async def sale(self, task: GatewayTask) -> GatewayResult:
            asked.append(task)
            return await super().sale(task)

    async with Harness(service_of(Rules(jitter=0.0), Listening()), url) as payments:
        await payments.receive(a_charge(purpose=purpose, customer_present=customer_present))
        await payments.run_effects()
    assert [task.merchant_initiated for task in asked] == [not customer_present]
