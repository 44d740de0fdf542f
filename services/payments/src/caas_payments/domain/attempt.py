"""One operation asked of the gateway, under one idempotency key that is equal on every retry (GW-3).

Invariant: an attempt is closed by an answer of the gateway or by what the gateway's own record says, never
by time (GW-4). A payment has at most one open attempt.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from uuid import UUID


class Operation(StrEnum):
    """What can be asked of the gateway."""

    AUTHORIZE = "authorize"
    SALE = "sale"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"


GIVEN_UP_IN_THE_END = frozenset({Operation.AUTHORIZE, Operation.SALE})
"""What begins a payment is abandoned when its retries are used up; everything later must happen in the end."""


class AttemptState(StrEnum):
    """An unknown outcome leaves an attempt open."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    ABANDONED = "abandoned"


class Step(StrEnum):
    """What a task asks of the gateway: the operation itself, or what became of it.

    A `hint` is a look-up beside the attempt's own chain, caused by a webhook: it can settle the attempt but
    never prolongs the chain. A `last_look_up` and the `cancel` behind it end what a customer has not confirmed in time
    (PAY-9); the attempt's own look-ups go on beside them.
    """

    CALL = "call"
    LOOK_UP = "look_up"
    HINT = "hint"
    LAST_LOOK_UP = "last_look_up"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """`calls` counts answers and silences to the operation itself; `misses` are look-ups in a row that found
    nothing; `silences` are look-ups in a row without an answer. `proof_id` is the fence's (capture, void).

    `uncertain`: one of its calls may have reached the gateway; `called_at`: when the last one ended;
    `frozen_at`: since when it waits for the truth or for a person. All three in business time.
    """

    payment_id: UUID
    number: int
    operation: Operation
    amount_minor: int
    state: AttemptState
    opened_at: datetime
    proof_id: UUID | None = None
    refund_id: UUID | None = None
    calls: int = 0
    misses: int = 0
    silences: int = 0
    alerted: bool = False
    last_result: str = ""
    resolved_at: datetime | None = None
    uncertain: bool = False
    called_at: datetime | None = None
    frozen_at: datetime | None = None

    @property
    def idempotency_key(self) -> str:
        """Equal on every retry, different for every attempt (GW-3)."""
        return f"{self.payment_id}:{self.operation}:{self.number}"

    def close(self, state: AttemptState, result: str, now: datetime) -> Self:
        """The attempt with its final outcome."""
        return replace(self, state=state, last_result=result, resolved_at=now)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait between questions to the gateway; real time unless named.

    `call_delays` are GW-2's (2, 4 and 8 s), their number is the number of retries of an authorization.
    `action_poll` is how often a payment is looked up that waits for its customer, should the webhook not come.
    Operations that must happen in the end (capture, void, refund) go on at growing intervals up to `longest`.
    `key_life` (how long the gateway remembers a key), `key_safety` and `believe_absence_after` are business time.
    """

    call_delays: tuple[timedelta, ...] = (timedelta(seconds=2), timedelta(seconds=4), timedelta(seconds=8))
    pending_poll: timedelta = timedelta(seconds=30)
    action_poll: timedelta = timedelta(minutes=5)
    longest: timedelta = timedelta(seconds=60)
    first_look_up: timedelta = timedelta(seconds=1)
    while_frozen: timedelta = timedelta(hours=1)
    longest_retry_after: timedelta = timedelta(hours=1)
    key_life: timedelta = timedelta(hours=24)
    key_safety: timedelta = timedelta(hours=4)
    believe_absence_after: timedelta = timedelta(seconds=60)
    silences_before_alert: int = 3

    def before_retry(self, calls: int, retry_after: timedelta = timedelta(0)) -> timedelta:
        """The pause after the `calls`-th call failed, at least what the gateway asked for (GW-2)."""
        return max(self._call_delay(calls), min(retry_after, self.longest_retry_after))

    def before_refund(self, refusals: int) -> timedelta:
        """The pause after the gateway's `refusals`-th no to a refund, from seconds to an hour (DES-4)."""
        first = self._call_delay(1) or timedelta(seconds=1)
        return min(self.while_frozen, first * (1 << min(max(refusals, 1) - 1, 20)))

    def before_look_up(self, silences: int) -> timedelta:
        """The pause after the `silences`-th look-up in a row without an answer."""
        return min(self.longest, self.first_look_up * (1 << min(silences, 10)))

    def exhausted(self, attempt: Attempt) -> bool:
        """Whether the first call and all its retries are used up (GW-2)."""
        return attempt.calls > len(self.call_delays)

    def ends_at(self, opened_at: datetime) -> datetime:
        """From this business instant on the operation is not called under its key: the gateway may forget it."""
        return opened_at + self.key_life - self.key_safety

    def until_belief(self, attempt: Attempt, now: datetime) -> timedelta:
        """How long absence is not believed yet; not positive when it is (GW-4)."""
        return (attempt.called_at or attempt.opened_at) + self.believe_absence_after - now

    def _call_delay(self, calls: int) -> timedelta:
        if not self.call_delays:
            return timedelta(0)
        if calls <= len(self.call_delays):
            return self.call_delays[max(calls, 1) - 1]
        doublings = min(calls - len(self.call_delays), 10)
        return min(self.longest, self.call_delays[-1] * (1 << doublings))
