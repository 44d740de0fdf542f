"""What happens by itself as time passes: pending outcomes, expiries, settlement lines, chargebacks.

Each task is done once: its effect and its removal from the list commit together.
"""

import asyncio
import sqlite3
from datetime import datetime
from typing import assert_never
from uuid import uuid4

from caas_sandbox.clock import BusinessClock, real_now, rfc3339
from caas_sandbox.database import transaction as database_transaction
from caas_sandbox.gateway.books import Books
from caas_sandbox.gateway.calendar import CHARGEBACK_BUSINESS_DAYS, after_business_days
from caas_sandbox.gateway.settlement import (
    SettlementLine,
    capture_line,
    chargeback_lines,
    payout_summaries,
    refund_line,
)
from caas_sandbox.gateway.store import Due, Effect, Store, Task, Timeline
from caas_sandbox.gateway.tokens import token_of
from caas_sandbox.gateway.transaction import Transaction
from caas_sandbox.webhooks import OutgoingWebhooks

# Small enough that requests wait only some milliseconds when the clock jumps over a month.
BATCH = 100
POLL_S = 0.05


class Agenda:
    """The loop that does what is due."""

    def __init__(
        self, connection: sqlite3.Connection, clock: BusinessClock, books: Books, webhooks: OutgoingWebhooks
    ) -> None:
        self.store = Store(connection)
        self._connection = connection
        self._clock = clock
        self._books = books
        self._webhooks = webhooks

    async def run(self) -> None:
        """Looks for ever, twenty times a second."""
        while True:
            await self.catch_up()
            await asyncio.sleep(POLL_S)

    async def catch_up(self) -> None:
        """Does everything that is due now, letting requests in between the batches."""
        # This gives way between batches and waits for nothing, so there is no event to wait for.
        while self.run_once() == BATCH:  # noqa: ASYNC110
            await asyncio.sleep(0)

    def run_once(self) -> int:
        """Does one batch of what is due, in order; returns how many tasks that were."""
        now = self._clock.now()
        due = self.store.due_until(Timeline.REAL, real_now(), BATCH)
        due += self.store.due_until(Timeline.BUSINESS, now, BATCH - len(due))
        if not due:
            return 0
        with database_transaction(self._connection):
            lines: list[SettlementLine] = []
            for key, task in due:
                lines += self._do(task, now)
                self.store.delete_due(key)
            self.store.insert_lines(lines)
            for summary in payout_summaries(lines):
                self._webhooks.enqueue("settlement.created", summary)
        return len(due)

    def _do(self, due: Due, now: datetime) -> list[SettlementLine]:
        found = self.store.transaction(due.transaction_id)
        if found is None:
            raise RuntimeError(f"{due.task} is due for {due.transaction_id}, which is not in the books")
        match due.task:
            case Task.DECIDE_PENDING:
                self._books.decide_pending(found, now)
                return []
            case Task.EXPIRE_HOLD:
                if found.hold_is_over(now):
                    self._books.expire(found, due.due_at)
                return []
            case Task.SETTLE_CAPTURE:
                return [self._settle_capture(found, due)]
            case Task.SETTLE_REFUND:
                return [refund_line(found, due.amount_minor, due.reference or "", due.due_at.date())]
            case Task.CHARGE_BACK:
                return self._charge_back(found, due.due_at)
            case _:
                assert_never(due.task)

    def _settle_capture(self, found: Transaction, due: Due) -> SettlementLine:
        if token_of(found.token).chargeback:
            self.store.insert_due(
                Due(
                    due_at=after_business_days(due.due_at, CHARGEBACK_BUSINESS_DAYS),
                    task=Task.CHARGE_BACK,
                    transaction_id=found.id,
                )
            )
        return capture_line(found, due.amount_minor, due.due_at.date())

    def _charge_back(self, found: Transaction, opened_at: datetime) -> list[SettlementLine]:
        amount_minor = found.captured_minor - found.refunded_minor
        if amount_minor == 0:
            return []
        self.store.insert_effect(found.id, Effect(operation="chargeback", amount_minor=amount_minor, at=opened_at))
        chargeback = {
            "id": f"cb_{uuid4().hex}",
            "transaction_id": found.id,
            "reference": found.reference,
            "amount_minor": amount_minor,
            "currency": found.currency,
            "reason": "fraudulent",
            "opened_at": rfc3339(opened_at),
        }
        self._webhooks.enqueue("chargeback.opened", chargeback)
        return chargeback_lines(found, amount_minor, opened_at.date())
