"""What a partner does when asked and by itself; an act, its event and its answer commit together.

A reference may be commissioned twice under two idempotency keys: the partner then does it twice, as real ones do.
"""

import asyncio
import sqlite3
from datetime import datetime, timedelta
from uuid import uuid4

from caas_sandbox.clock import BusinessClock
from caas_sandbox.commissions.commission import Commission, CommissionRequest, Operation, Step, Trade
from caas_sandbox.commissions.store import Store
from caas_sandbox.database import transaction
from caas_sandbox.fault_script import FaultScript
from caas_sandbox.faults import FaultKind
from caas_sandbox.idempotency import Answer, StoredAnswers
from caas_sandbox.problems import NotFound, StateForbids
from caas_sandbox.webhooks import OutgoingWebhooks

BATCH = 100
POLL_S = 0.05
DEFAULT_HOLD_S = 2.0
"""How long an event is held back: longer than everything that is sent meanwhile takes to arrive."""


class Books:
    """The acts of one partner on one set of books."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        clock: BusinessClock,
        trade: Trade,
        webhooks: OutgoingWebhooks,
        script: FaultScript,
    ) -> None:
        self.store = Store(connection)
        self._connection = connection
        self._clock = clock
        self._trade = trade
        self._webhooks = webhooks
        self._script = script
        self._answers = StoredAnswers(connection, clock)

    def place(self, request: CommissionRequest, key: str, fingerprint: str) -> Answer:
        """201 with the commission; raises StateForbids when the partner says no."""
        with transaction(self._connection):
            return self._answers.once(key, fingerprint, lambda: self._place(request, key))

    def find(self, commission_id: str) -> Commission:
        """The commission with that id; raises NotFound."""
        found = self.store.find(commission_id)
        if found is None:
            raise NotFound("not_found", f"there is no {self._trade.noun} with this id")
        return found

    def advance(self, reference: str) -> list[Commission]:
        """Does the next step of a reference now, whatever the time; raises NotFound when there is none to do."""
        now = self._clock.now()
        waiting = [one for one in self.store.of_reference(reference) if self._next_step(one)]
        if not waiting:
            raise NotFound("not_found", f"no {self._trade.noun} with this reference has a next step")
        with transaction(self._connection):
            return [self._step(one, now) for one in waiting]

    async def run(self) -> None:
        """Does what is due for ever, letting requests in between the batches."""
        while True:
            if self.run_once() < BATCH:
                await asyncio.sleep(POLL_S)
            else:
                await asyncio.sleep(0)

    def run_once(self) -> int:
        """Does one batch of what is due, in order; returns how many steps that were."""
        due = self.store.due_until(self._clock.now(), BATCH)
        if due:
            with transaction(self._connection):
                for at, commission in due:
                    self._step(commission, at)
        return len(due)

    def _place(self, request: CommissionRequest, key: str) -> Answer:
        rejection = self._script.take(Operation.PLACE, request.reference, {FaultKind.REJECTION})
        if rejection:
            raise StateForbids(rejection.reason or "rejected", f"this {self._trade.noun} is not accepted")
        asked = request.model_dump(mode="json", exclude={"reference"})
        self._check_exclusive(asked)
        now = self._clock.now()
        new = Commission(
            id=f"{self._trade.id_prefix}_{uuid4().hex}",
            serial=self.store.next_serial(),
            reference=request.reference,
            status=self._trade.first_status,
            steps_done=0,
            facts={**asked, **self._trade.begun(now)},
            created_at=now,
            changed_at=now,
        )
        self.store.insert(new, self._due_after(new, now))
        self.store.insert_effect(new.id, new.status, now, key)
        self._tell(new, new.status)
        return Answer(status=201, body=new.as_json())

    def _check_exclusive(self, asked: dict[str, object]) -> None:
        fact = self._trade.exclusive
        refused = tuple(step.rejected for step in self._trade.steps if step.rejected)
        if fact and self.store.has(fact, asked[fact], refused):
            raise StateForbids("already_known", f"there is a {self._trade.noun} with this {fact}")

    def _step(self, commission: Commission, at: datetime) -> Commission:
        """The next step of a commission, or what the script wants instead of it."""
        step = self._next_step(commission)
        if step is None:
            raise RuntimeError(f"{commission.id} has nothing left to do, but was due")
        delay = self._script.take(Operation.STEP, commission.reference, {FaultKind.DELAY})
        if delay:
            return self._delay(commission, at, delay.days or 1)
        rejection = step.rejected and self._script.take(Operation.STEP, commission.reference, {FaultKind.REJECTION})
        if step.rejected and rejection:
            reason = {"reason": rejection.reason or "data_incomplete"}
            return self._done(commission.now(step.rejected, at, reason, steps_done=len(self._trade.steps)))
        facts = self._trade.learned(commission, step.status, at)
        return self._done(commission.now(step.status, at, facts, steps_done=commission.steps_done + 1))

    def _delay(self, commission: Commission, at: datetime, days: int) -> Commission:
        facts = self._trade.delayed(commission, days)
        late = commission.now(commission.status, at, facts)
        self.store.update(late, at + timedelta(days=days))
        self.store.insert_effect(late.id, "delayed", at)
        self._tell(late, "delayed")
        return late

    def _done(self, commission: Commission) -> Commission:
        self.store.update(commission, self._due_after(commission, commission.changed_at))
        self.store.insert_effect(commission.id, commission.status, commission.changed_at)
        self._tell(commission, commission.status)
        return commission

    def _next_step(self, commission: Commission) -> Step | None:
        remaining = self._trade.steps[commission.steps_done :]
        return remaining[0] if remaining else None

    def _due_after(self, commission: Commission, at: datetime) -> datetime | None:
        step = self._next_step(commission)
        return at + step.after if step else None

    def _tell(self, commission: Commission, what: str) -> None:
        """Sends an event; a scripted fault holds it back, or sends it three times, once as if it were another."""
        kind, data = f"{self._trade.noun}.{what}", commission.as_json()
        held = self._script.take(Operation.EVENT, commission.reference, {FaultKind.HELD_BACK})
        hold_s = (held.hold_s or DEFAULT_HOLD_S) if held else 0.0
        if self._script.take(Operation.EVENT, commission.reference, {FaultKind.DUPLICATE}):
            self._webhooks.enqueue(kind, data, hold_s=hold_s, repeats=1)
        self._webhooks.enqueue(kind, data, hold_s=hold_s)
