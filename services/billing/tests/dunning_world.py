"""A subscription whose month was invoiced and is being charged, and the answers that payments may give."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from asyncpg import Record

from caas_chassis.testing.harness import Harness
from caas_contracts import Message, Money
from caas_contracts.payments import (
    ChargePayment,
    PaymentAbandoned,
    PaymentActionRequired,
    PaymentConfirmed,
    PaymentFailed,
    PaymentPurpose,
    RefundPayment,
)
from caas_contracts.subscriptions import SubscriptionStarted
from services.billing.tests.builders import euros
from services.billing.tests.subscription_builders import a_start

CLOSED_AT = datetime(2026, 11, 1, 3, 0, tzinfo=UTC)

INVOICE = """
WITH numbered AS (
    INSERT INTO series AS s (series, year, last_position, last_issued_at) VALUES ('M', 2026, 1, $6)
    ON CONFLICT (series, year) DO UPDATE SET last_position = s.last_position + 1 RETURNING last_position
)
INSERT INTO invoice SELECT $1, 'M', 2026, last_position, 'M-2026-' || lpad(last_position::text, 6, '0'),
    'subscription', $2, $3, $4, 'María Núñez', 'maria@example.org', '12345678Z', 'es', 'EUR', $5, 0, $5, $6, $6
FROM numbered
"""
RECEIVABLE = """
INSERT INTO receivable (invoice_id, subscription_id, period, amount_minor, currency, due_on, status, attempts,
    changed_at)
VALUES ($1, $2, $3, $4, 'EUR', '2026-11-15', 'processing', 1, $5)
"""
ATTEMPT = """
INSERT INTO charge_attempt (invoice_id, attempt, payment_id, payment_method, asked_at)
SELECT $1, 1, $2, payment_method, $4 FROM subscription_standing WHERE subscription_id = $3
"""
STANDING = """
UPDATE subscription_standing SET status = CASE WHEN status LIKE 'cancelled%' THEN status ELSE 'payment_processing' END,
    next_period = ($2::date + interval '1 month')::date WHERE subscription_id = $1
"""


@dataclass(frozen=True, slots=True)
class Bill:
    """One monthly invoice under dunning."""

    billing: Harness
    started: SubscriptionStarted
    payment_id: UUID
    amount: Money
    invoice_id: UUID = field(default_factory=uuid4)

    @property
    def subscription_id(self) -> UUID:
        return self.started.subscription_id

    def confirmed(self, payment_id: UUID | None = None, **changes: Any) -> PaymentConfirmed:
        return PaymentConfirmed(**self._payment(payment_id) | {"gateway_transaction_id": "tx_1"} | changes)

    def failed(self, reason: str = "insufficient_funds", payment_id: UUID | None = None) -> PaymentFailed:
        return PaymentFailed(**self._payment(payment_id), reason=reason, customer_may_retry=True)

    def abandoned(self, payment_id: UUID | None = None) -> PaymentAbandoned:
        return PaymentAbandoned(**self._payment(payment_id), reason="gateway_unreachable")

    def action_required(self, payment_id: UUID | None = None) -> PaymentActionRequired:
        return PaymentActionRequired(
            **self._payment(payment_id),
            action_url="https://pay.caas.example/actions/9f2c1e7d",
            expires_at=self.billing.clock.now() + timedelta(hours=24),
        )

    async def charges(self) -> list[ChargePayment]:
        """What payments were asked to charge since the first attempt."""
        asked = await self.billing.published(ChargePayment)
        return [one for one in asked if one.subject_id == self.invoice_id]

    async def last_payment(self) -> UUID:
        """The latest attempt that was asked for."""
        asked = await self.charges()
        return asked[-1].payment_id if asked else self.payment_id

    async def receivable(self) -> Record:
        return await self._row("SELECT * FROM receivable WHERE invoice_id = $1", self.invoice_id)

    async def standing(self) -> Record:
        return await self._row("SELECT * FROM subscription_standing WHERE subscription_id = $1", self.subscription_id)

    async def states(self) -> tuple[str, str]:
        """Of the invoice's money and of the subscription."""
        return (await self.receivable())["status"], (await self.standing())["status"]

    async def outcomes(self) -> list[tuple[int, str]]:
        async with self.billing.transaction() as tx:
            rows = await tx.fetch(
                "SELECT attempt, outcome FROM charge_outcome WHERE invoice_id = $1 ORDER BY known_at, attempt",
                self.invoice_id,
            )
        return [(row["attempt"], row["outcome"]) for row in rows]

    async def refunds(self) -> list[RefundPayment]:
        return await self.billing.published(RefundPayment)

    async def wait_for_next_attempt(self) -> None:
        """Move to the day on which the schedule charges again."""
        due = (await self.receivable())["next_attempt_at"]
        await self.billing.move_clock(due - self.billing.clock.now() + timedelta(seconds=1))

    async def fail_to_the_end(self, reason: str = "insufficient_funds") -> None:
        """All attempts of the schedule fail."""
        await self.billing.receive(self.failed(reason))
        while (await self.receivable())["status"] == "retry":
            await self.wait_for_next_attempt()
            if (await self.receivable())["status"] == "processing":
                await self.billing.receive(self.failed(reason, await self.last_payment()))

    async def _row(self, sql: str, name: UUID) -> Record:
        async with self.billing.transaction() as tx:
            (row,) = await tx.fetch(sql, name)
        return row

    def _payment(self, payment_id: UUID | None) -> dict[str, Any]:
        return {
            "payment_id": payment_id or self.payment_id,
            "purpose": PaymentPurpose.SUBSCRIPTION,
            "customer_id": self.started.customer_id,
            "subject_id": self.invoice_id,
            "amount": self.amount,
            "occurred_at": self.billing.clock.now(),
        }


def at(billing: Harness, instant: datetime) -> None:
    """Put business time to an instant."""
    billing.clock.move(instant - billing.clock.now())


async def a_bill(
    billing: Harness, started: SubscriptionStarted | None = None, *, amount_minor: int = 1485, month: date | None = None
) -> Bill:
    """A subscription whose October was closed on 1 November: invoiced, and being charged."""
    at(billing, CLOSED_AT)
    agreed = started or a_start()
    if started is None:
        await billing.receive(agreed)
    return await another_bill(billing, agreed, amount_minor, month or date(2026, 10, 1))


async def another_bill(billing: Harness, started: SubscriptionStarted, amount_minor: int, month: date) -> Bill:
    """One more month of a subscription, as the cycle closes it."""
    bill = Bill(billing, started, uuid4(), euros(amount_minor))
    now, name = billing.clock.now(), started.subscription_id
    async with billing.transaction() as tx:
        await tx.execute(INVOICE, bill.invoice_id, bill.payment_id, name, started.customer_id, amount_minor, CLOSED_AT)
        await tx.execute(RECEIVABLE, bill.invoice_id, name, month, amount_minor, now)
        await tx.execute(ATTEMPT, bill.invoice_id, bill.payment_id, name, now)
        await tx.execute(STANDING, name, month)
    return bill


async def told(billing: Harness, *kinds: type[Message]) -> list[Message]:
    """What was published of these kinds, in order."""
    return [message for message in await billing.take() if isinstance(message, kinds)]
