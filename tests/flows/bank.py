"""A payment gateway played in the test's process: its own books, its settlements and webhooks, and faults.

Invariant: what it answers may be lost or late, but its books say what really happened to the money.
"""

import base64
import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from standardwebhooks import Webhook

from caas_payments.domain.attempt import Operation
from caas_payments.domain.gateway_result import (
    Answered,
    GatewayResult,
    NotFound,
    Refused,
    Transaction,
    TransactionStatus,
    Unavailable,
    Unknown,
)
from caas_payments.gateway import GatewayTask
from caas_reconciliation.domain.settlement import SettlementLine
from caas_reconciliation.gateway import FeedAnswer, Page
from caas_reconciliation.gateway import Unavailable as FeedUnavailable

WEBHOOK_SECRET: Final = "whsec_" + base64.b64encode(b"a secret of this test's gateway").decode()
HOLD_TIME: Final = timedelta(days=9)
SETTLED_AFTER: Final = timedelta(days=2)
REFUND_REFUSED: Final = "refund_refused"

type Now = Callable[[], datetime]


class Fault(StrEnum):
    """What may become of one call; the names say whether the gateway's books know of it."""

    TIMEOUT_BEFORE = "timeout, nothing booked"
    TIMEOUT_AFTER = "timeout, booked"
    ERROR_BEFORE = "503, nothing booked"
    ERROR_AFTER = "500, booked"
    UNREACHABLE = "nothing sent"
    TURNED_AWAY = "429"
    ARRIVES_LATER = "timeout, booked much later"


_ANSWER_OF: Final[dict[Fault, GatewayResult]] = {
    Fault.TIMEOUT_BEFORE: Unknown("ReadTimeout"),
    Fault.TIMEOUT_AFTER: Unknown("ReadTimeout"),
    Fault.ERROR_BEFORE: Unknown("http_503"),
    Fault.ERROR_AFTER: Unknown("http_500"),
    Fault.UNREACHABLE: Unavailable("ConnectError"),
    Fault.TURNED_AWAY: Unavailable("too_many_requests", 1),
    Fault.ARRIVES_LATER: Unknown("ReadTimeout"),
}
_BOOKED: Final = frozenset({Fault.TIMEOUT_AFTER, Fault.ERROR_AFTER})


@dataclass
class Account:
    """One transaction in the books. `captures` are the amounts taken, one entry for each time."""

    id: str
    task: GatewayTask
    status: TransactionStatus = TransactionStatus.PENDING
    decline_code: str | None = None
    capture_failure: str | None = None
    authorized_at: datetime | None = None
    captures: list[int] = field(default_factory=list)
    captured_at: datetime | None = None
    refunded_minor: int = 0

    @property
    def reference(self) -> str:
        return self.task.reference

    @property
    def kept_minor(self) -> int:
        """What the customer has paid and not got back."""
        return sum(self.captures) - self.refunded_minor

    def shown(self) -> Transaction:
        """The transaction as the API shows it."""
        return Transaction(
            id=self.id,
            reference=self.reference,
            status=self.status,
            amount_minor=self.task.amount_minor,
            currency=self.task.currency,
            captured_minor=sum(self.captures),
            refunded_minor=self.refunded_minor,
            decline_code=self.decline_code,
            capture_failure=self.capture_failure,
            authorized_at=self.authorized_at,
            capture_before=self.authorized_at and self.authorized_at + HOLD_TIME,
        )


@dataclass(frozen=True, slots=True)
class Refund:
    """Money that went back, until the feed says so; `reference` is the merchant's name of it."""

    account: Account
    amount_minor: int
    reference: str
    made_at: datetime


class Bank:
    """The gateway. Faults are used up one per call; `webhooks` wait to be posted."""

    def __init__(self, now: Now) -> None:
        self._now = now
        self._books: dict[str, Account] = {}
        self._answers: dict[str, GatewayResult] = {}
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._stragglers: list[GatewayTask] = []
        self._lines: list[SettlementLine] = []
        self._settled: set[str] = set()
        self._refunds: list[Refund] = []
        self._refusals: Counter[str] = Counter()
        self.happened: Counter[str] = Counter()
        self.webhooks: deque[tuple[dict[str, str], bytes]] = deque()

    @property
    def accounts(self) -> list[Account]:
        """The books as of now: a hold's time may have run out."""
        for account in self._books.values():
            held = account.status is TransactionStatus.AUTHORIZED and account.authorized_at is not None
            if held and account.authorized_at and self._now() > account.authorized_at + HOLD_TIME:
                account.status = TransactionStatus.EXPIRED
        return list(self._books.values())

    def will(self, operation: str, fault: Fault, times: int) -> None:
        """The next calls of this operation (or `look_up`, `feed`) meet a fault."""
        self._faults[operation].extend([fault] * times)

    def heal(self) -> None:
        """No more faults, and what is under way arrives."""
        self._faults.clear()
        self.let_stragglers_arrive()

    def let_stragglers_arrive(self) -> None:
        """Requests that were given up long ago reach the gateway."""
        stragglers, self._stragglers = self._stragglers, []
        for task in stragglers:
            self._booked(task)

    def decide(self, which: int, *, approved: bool) -> bool:
        """What one pending authorization comes to; False when none is pending."""
        pending = [account for account in self.accounts if account.status is TransactionStatus.PENDING]
        if not pending:
            return False
        account = pending[which % len(pending)]
        if approved:
            self._approve(account)
        else:
            self._decline(account, "card_declined")
        return True

    async def authorize(self, task: GatewayTask) -> GatewayResult:
        return self._call(task)

    async def sale(self, task: GatewayTask) -> GatewayResult:
        return self._call(task)

    async def capture(self, task: GatewayTask) -> GatewayResult:
        return self._call(task)

    async def void(self, task: GatewayTask) -> GatewayResult:
        return self._call(task)

    async def refund(self, task: GatewayTask) -> GatewayResult:
        return self._call(task)

    async def look_up(self, reference: str, _transaction_id: str = "", /) -> GatewayResult:
        fault = self._next_fault("look_up")
        if fault is not None:
            return _ANSWER_OF[fault]
        found = [account for account in self.accounts if account.reference == reference]
        return Answered(found[-1].shown()) if found else NotFound()

    async def close(self) -> None:
        """Nothing is open."""

    async def page(self, cursor: str, limit: int) -> FeedAnswer:
        """The settlement feed: captured money reaches us two days later."""
        if self._next_fault("feed") is not None:
            return FeedUnavailable("no answer")
        self._settle()
        start = int(cursor or 0)
        lines = self._lines[start : start + limit]
        end = start + len(lines)
        return Page(tuple(lines), str(end), end < len(self._lines))

    def _next_fault(self, operation: str) -> Fault | None:
        waiting = self._faults[operation]
        fault = waiting.popleft() if waiting else None
        self.happened[f"{operation}: {fault or 'answered'}"] += 1
        return fault

    def _call(self, task: GatewayTask) -> GatewayResult:
        assert task.operation is not None
        fault = self._next_fault(task.operation)
        if fault is None:
            return self._booked(task)
        if fault in _BOOKED:
            self._booked(task)
        elif fault is Fault.ARRIVES_LATER:
            self._stragglers.append(task)
        return _ANSWER_OF[fault]

    def _booked(self, task: GatewayTask) -> GatewayResult:
        """The same key gets the same answer and has no second effect (GW-3)."""
        if task.idempotency_key not in self._answers:
            answer = self._operate(task)
            if answer == Refused(REFUND_REFUSED):  # It may be asked for again, under any key.
                return answer
            self._answers[task.idempotency_key] = answer
        return self._answers[task.idempotency_key]

    def _operate(self, task: GatewayTask) -> GatewayResult:
        if task.operation in (Operation.AUTHORIZE, Operation.SALE):
            return self._authorize(task)
        account = next(account for account in self.accounts if account.id == task.transaction_id)
        operations = {Operation.CAPTURE: self._capture, Operation.VOID: self._void, Operation.REFUND: self._refund}
        assert task.operation is not None
        refusal = operations[task.operation](account, task)
        return Refused(refusal) if refusal else Answered(account.shown())

    def _authorize(self, task: GatewayTask) -> GatewayResult:
        account = Account(f"txn_{len(self._books) + 1}", task)
        self._books[account.id] = account
        decline_code = _decline_code(task)
        if decline_code:
            self._decline(account, decline_code)
        elif task.payment_method != "tok_pending":
            self._approve(account)
        return Answered(account.shown())

    def _capture(self, account: Account, task: GatewayTask) -> str | None:
        if account.status is not TransactionStatus.AUTHORIZED:
            return _refusal_of(account.status)
        if task.payment_method == "tok_capture_fails":
            account.capture_failure = "capture_failed"
            return "capture_failed"
        self._take(account, task.amount_minor)
        return None

    def _void(self, account: Account, _: GatewayTask) -> str | None:
        if account.status is not TransactionStatus.AUTHORIZED:
            return _refusal_of(account.status)
        account.status = TransactionStatus.VOIDED
        self._tell("transaction.voided", account)
        return None

    def _refund(self, account: Account, task: GatewayTask) -> str | None:
        if task.amount_minor > account.kept_minor:
            return "amount_too_large"
        if task.payment_method == "tok_refund_refused_twice" and self._refusals[account.id] < 2:
            self._refusals[account.id] += 1
            self.happened["refund refused"] += 1
            return REFUND_REFUSED
        account.refunded_minor += task.amount_minor
        account.status = TransactionStatus.PARTIALLY_REFUNDED if account.kept_minor else TransactionStatus.REFUNDED
        self._refunds.append(Refund(account, task.amount_minor, str(task.refund_id), self._now()))
        self._tell("transaction.refunded", account)
        return None

    def _approve(self, account: Account) -> None:
        """A hold, or with a sale the money at once."""
        if account.task.operation is Operation.SALE:
            account.authorized_at = self._now()
            self._take(account, account.task.amount_minor)
        else:
            self._hold(account)

    def _take(self, account: Account, amount_minor: int) -> None:
        account.status, account.captured_at = TransactionStatus.CAPTURED, self._now()
        account.captures.append(amount_minor)
        self._tell("transaction.captured", account)

    def _hold(self, account: Account) -> None:
        account.status, account.authorized_at = TransactionStatus.AUTHORIZED, self._now()
        self._tell("transaction.authorized", account)

    def _decline(self, account: Account, code: str) -> None:
        account.status, account.decline_code = TransactionStatus.DECLINED, code
        self._tell("transaction.declined", account)

    def _tell(self, event_type: str, account: Account) -> None:
        body = json.dumps({"type": event_type, "data": {"id": account.id, "reference": account.reference}})
        name = f"wh_{account.id}_{event_type}"
        at = datetime.now(UTC)
        signature = Webhook(WEBHOOK_SECRET).sign(name, at, body)
        stamp = str(int(at.timestamp()))
        headers = {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": signature}
        self.webhooks.append((headers, body.encode()))

    def _settle(self) -> None:
        for account in self.accounts:
            due = account.captured_at is not None and account.captured_at + SETTLED_AFTER <= self._now()
            if due and account.id not in self._settled:
                self._settled.add(account.id)
                self._lines.append(_line(account, self._now()))
        waiting = [refund for refund in self._refunds if refund.made_at + SETTLED_AFTER > self._now()]
        self._lines += [_refund_line(refund, self._now()) for refund in self._refunds if refund not in waiting]
        self._refunds = waiting


def _refusal_of(status: TransactionStatus) -> str:
    match status:
        case TransactionStatus.EXPIRED:
            return "hold_expired"
        case TransactionStatus.VOIDED:
            return "already_voided"
        case TransactionStatus.CAPTURED | TransactionStatus.PARTIALLY_REFUNDED | TransactionStatus.REFUNDED:
            return "already_captured"
        case _:
            return "not_authorized"


def _decline_code(task: GatewayTask) -> str | None:
    """A sale of a method that cannot be captured is declined, and one that fails alone without its customer."""
    if task.payment_method == "tok_declined":
        return "card_declined"
    if task.payment_method == "tok_capture_fails" and task.operation is Operation.SALE:
        return "capture_failed"
    if task.payment_method == "tok_fails_alone" and task.merchant_initiated:
        return "insufficient_funds"
    return None


def _line(account: Account, now: datetime) -> SettlementLine:
    gross = sum(account.captures)
    fee = gross * 14 // 1000 + 25
    return SettlementLine(
        line_id=f"stl_{account.id}",
        transaction_id=account.id,
        reference=account.reference,
        operation_reference=None,
        kind="capture",
        gross_minor=gross,
        fee_minor=fee,
        net_minor=gross - fee,
        currency=account.task.currency,
        settled_on=now.date(),
        payout_id="po_1",
        raw="{}",
    )


def _refund_line(refund: Refund, now: datetime) -> SettlementLine:
    return replace(
        _line(refund.account, now),
        line_id=f"stl_{refund.reference}",
        operation_reference=refund.reference,
        kind="refund",
        gross_minor=-refund.amount_minor,
        fee_minor=0,
        net_minor=-refund.amount_minor,
    )


def captured_minor(accounts: Sequence[Account]) -> int:
    """What the gateway took in all, net of refunds."""
    return sum(account.kept_minor for account in accounts)
