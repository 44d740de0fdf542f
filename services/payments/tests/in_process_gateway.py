"""A payment gateway in the test's process: honest books, and faults that the test scripts.

It stands in for the partner only; tests/gateway/test_contract.py holds it to what the real client answers.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from caas_payments.domain.gateway_result import (
    Answered,
    GatewayResult,
    NotFound,
    Refused,
    Transaction,
    TransactionStatus,
    Unknown,
)
from caas_payments.gateway import GatewayTask

_TOOK_MONEY = (
    TransactionStatus.CAPTURED,
    TransactionStatus.PARTIALLY_REFUNDED,
    TransactionStatus.REFUNDED,
)


_DECLINED = {
    "tok_declined": "card_declined",
    "tok_insufficient_funds": "insufficient_funds",
    "tok_lost_card": "lost_card",
    "tok_closed_account": "closed_account",
}
_UNDECIDED = (TransactionStatus.PENDING, TransactionStatus.REQUIRES_ACTION)
PAGE = "https://bank.test/confirm/"


class InProcessGateway:
    """`calls` counts what reached it by operation; `books` are its transactions by reference."""

    def __init__(self) -> None:
        self.books: dict[str, Transaction] = {}
        self.calls: dict[str, int] = defaultdict(int)
        self._sales: set[str] = set()
        self._answers: dict[str, GatewayResult] = {}
        self._before: dict[str, deque[Callable[[], None]]] = defaultdict(deque)
        self._script: dict[str, deque[tuple[GatewayResult, bool]]] = defaultdict(deque)

    def script(self, operation: str, *results: GatewayResult, booked: bool = False) -> None:
        """The next answers of an operation; `booked` says whether its effect happens all the same."""
        self._script[operation].extend((result, booked) for result in results)

    def forget_script(self) -> None:
        """No more scripted answers."""
        self._script.clear()

    async def authorize(self, task: GatewayTask) -> GatewayResult:
        return self._answer("authorize", task, lambda: self._authorize(task))

    async def sale(self, task: GatewayTask) -> GatewayResult:
        return self._answer("sale", task, lambda: self._sell(task))

    async def capture(self, task: GatewayTask) -> GatewayResult:
        return self._answer("capture", task, lambda: self._capture(task))

    async def void(self, task: GatewayTask) -> GatewayResult:
        return self._answer("void", task, lambda: self._void(task))

    async def refund(self, task: GatewayTask) -> GatewayResult:
        return self._answer("refund", task, lambda: self._refund(task))

    async def look_up(self, reference: str, _transaction_id: str = "", /) -> GatewayResult:
        self.calls["look_up"] += 1
        if self._script["look_up"]:
            return self._script["look_up"].popleft()[0]
        found = self.books.get(reference)
        return Answered(found) if found else NotFound()

    async def close(self) -> None:
        """Nothing is open."""

    def decide_pending(self, reference: str, *, approved: bool) -> None:
        """What a pending authorization or sale comes to."""
        found = self.books[reference]
        assert found.status in _UNDECIDED, f"{reference} is {found.status}"
        found = replace(found, action_url=None)
        declined = replace(found, status=TransactionStatus.DECLINED, decline_code="card_declined")
        approve = _taken if reference in self._sales else _held
        self.books[reference] = approve(found) if approved else declined

    def require_action(self, reference: str) -> None:
        """A pending payment turns out to need its customer."""
        found = self.books[reference]
        self.books[reference] = replace(found, status=TransactionStatus.REQUIRES_ACTION, action_url=PAGE + found.id)

    def before(self, operation: str, happens: Callable[[], None]) -> None:
        """Something happens right before the next call of an operation has its effect."""
        self._before[operation].append(happens)

    def expire(self, reference: str) -> None:
        """The hold's time is over."""
        self.books[reference] = replace(self.books[reference], status=TransactionStatus.EXPIRED, held_minor=0)

    def _answer(self, operation: str, task: GatewayTask, run: Callable[[], GatewayResult]) -> GatewayResult:
        self.calls[operation] += 1
        if self._before[operation]:
            self._before[operation].popleft()()
        scripted = self._script[operation].popleft() if self._script[operation] else None
        if scripted and not scripted[1]:
            return scripted[0]
        if task.idempotency_key not in self._answers:
            self._answers[task.idempotency_key] = run()
        return scripted[0] if scripted else self._answers[task.idempotency_key]

    def _authorize(self, task: GatewayTask) -> GatewayResult:
        assert task.reference not in self.books, "one reference was authorized under two idempotency keys"
        token = task.payment_method.partition(":")[0]
        transaction = Transaction(
            id=f"txn_{len(self.books) + 1}",
            reference=task.reference,
            status=TransactionStatus.PENDING,
            amount_minor=task.amount_minor,
            currency=task.currency,
        )
        if token in _DECLINED:
            transaction = replace(transaction, status=TransactionStatus.DECLINED, decline_code=_DECLINED[token])
        elif token == "tok_requires_action":
            transaction = replace(
                transaction, status=TransactionStatus.REQUIRES_ACTION, action_url=PAGE + transaction.id
            )
        elif token != "tok_pending":
            transaction = _held(transaction)
        return self._book(transaction)

    def _sell(self, task: GatewayTask) -> GatewayResult:
        self._sales.add(task.reference)
        self._authorize(task)
        found = self.books[task.reference]
        return self._book(_taken(found) if found.status is TransactionStatus.AUTHORIZED else found)

    def _capture(self, task: GatewayTask) -> GatewayResult:
        found = self.books[task.reference]
        if found.status in _TOOK_MONEY:
            return Refused("already_captured")
        if found.status is not TransactionStatus.AUTHORIZED:
            code = "hold_expired" if found.status is TransactionStatus.EXPIRED else f"already_{found.status}"
            return Refused(code)
        if task.payment_method.startswith("tok_capture_fails"):
            self._book(replace(found, capture_failure="capture_failed"))
            return Refused("capture_failed")
        rest_minor = found.amount_minor - task.amount_minor
        captured = replace(
            found,
            status=TransactionStatus.CAPTURED,
            captured_minor=task.amount_minor,
            held_minor=rest_minor if task.payment_method.startswith("tok_keeps_rest") else 0,
        )
        return self._book(captured)

    def _void(self, task: GatewayTask) -> GatewayResult:
        found = self.books[task.reference]
        if found.status in (TransactionStatus.AUTHORIZED, TransactionStatus.REQUIRES_ACTION):
            return self._book(replace(found, status=TransactionStatus.VOIDED, held_minor=0, action_url=None))
        codes = {TransactionStatus.VOIDED: "already_voided", TransactionStatus.EXPIRED: "hold_expired"}
        return Refused(codes.get(found.status, "already_captured"))

    def _refund(self, task: GatewayTask) -> GatewayResult:
        found = self.books[task.reference]
        refunded = found.refunded_minor + task.amount_minor
        if found.status not in _TOOK_MONEY or refunded > found.captured_minor:
            return Refused("amount_too_large")
        whole = refunded == found.captured_minor
        status = TransactionStatus.REFUNDED if whole else TransactionStatus.PARTIALLY_REFUNDED
        return self._book(replace(found, status=status, refunded_minor=refunded))

    def _book(self, transaction: Transaction) -> GatewayResult:
        self.books[transaction.reference] = transaction
        return Answered(transaction)


def _held(transaction: Transaction) -> Transaction:
    now = datetime.now(UTC)
    return replace(
        transaction,
        status=TransactionStatus.AUTHORIZED,
        held_minor=transaction.amount_minor,
        authorized_at=now,
        capture_before=now + timedelta(days=9),
    )


def _taken(transaction: Transaction) -> Transaction:
    return replace(
        transaction,
        status=TransactionStatus.CAPTURED,
        held_minor=0,
        authorized_at=datetime.now(UTC),
        captured_minor=transaction.amount_minor,
    )


TIMEOUT = Unknown("ReadTimeout")
"""What the client makes of an answer that never came."""
