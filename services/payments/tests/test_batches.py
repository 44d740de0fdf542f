"""The hot path is set-based: a batch executes the same statements however many payments it holds."""

from collections import Counter

import pytest

from caas_chassis.testing.harness import Harness
from caas_chassis.transaction import Tx
from caas_contracts import Message
from caas_contracts.payments import AuthorizePayment
from caas_payments.store.audit import verify_audit_log
from services.payments.tests.builders import a_failure, a_settlement, a_success, an_authorization
from services.payments.tests.in_process_gateway import InProcessGateway


class StatementCount:
    """Counts what transactions execute through their own methods."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.executed: Counter[str] = Counter()
        for name in ("fetch", "fetchrow", "fetchval", "execute"):
            self._watch(monkeypatch, name)

    def take(self) -> Counter[str]:
        """The statements since the last call."""
        taken, self.executed = self.executed, Counter()
        return taken

    def _watch(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        original = getattr(Tx, name)

        async def counted(tx: Tx, sql: str, *arguments: object) -> object:
            self.executed[sql] += 1
            return await original(tx, sql, *arguments)

        monkeypatch.setattr(Tx, name, counted)


async def sell(payments: Harness, count: StatementCount, size: int) -> list[Counter[str]]:
    """The statements of each batch of `size` purchases on their way to settlement, and of half as many voids."""
    commands = [an_authorization(customer_id=f"customer-{number}") for number in range(size)]
    delivered, rejected = commands[: size // 2], commands[size // 2 :]
    taken = []

    async def step(*messages: Message) -> None:
        count.take()
        await payments.receive(*messages)
        taken.append(count.take())
        await payments.run_effects()
        taken.append(count.take())

    await step(*commands)
    await step(*(a_success(one) for one in delivered))
    await step(*(a_failure(one) for one in rejected))
    await step(*(a_settlement(one) for one in delivered))
    return taken


async def test_a_batch_executes_the_same_statements_for_2_and_for_60_purchases(
    payments: Harness, gateway: InProcessGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = StatementCount(monkeypatch)
    assert await sell(payments, count, 60) == await sell(payments, count, 2)
    assert gateway.calls["capture"] == 31
    async with payments.transaction() as tx:
        assert (await verify_audit_log(tx)).broken == []


async def test_a_message_that_fails_costs_its_batch_nothing(payments: Harness, gateway: InProcessGateway) -> None:
    commands: list[AuthorizePayment] = [an_authorization() for _ in range(5)]
    await payments.receive(*commands)
    await payments.run_effects()
    await payments.receive(*(a_success(one) for one in [*commands, an_authorization()]))
    await payments.run_effects()
    assert gateway.calls["capture"] == 5
    assert len(await payments.parked()) == 1
