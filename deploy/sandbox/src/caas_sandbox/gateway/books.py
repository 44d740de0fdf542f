"""What the gateway does when asked; an operation, its effect, its webhook and its answer commit together."""

import hashlib
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from caas_sandbox.clock import BusinessClock, real_now
from caas_sandbox.database import transaction as database_transaction
from caas_sandbox.faults import FaultKind
from caas_sandbox.gateway.calendar import SETTLES_AFTER, SETTLES_LATE_AFTER
from caas_sandbox.gateway.errors import CaptureFailed, RefundRefused
from caas_sandbox.gateway.requests import AuthorizeRequest, CaptureRequest, RefundRequest
from caas_sandbox.gateway.store import Due, Effect, Store, Task, Timeline
from caas_sandbox.gateway.tokens import Token, token_of
from caas_sandbox.gateway.transaction import Status, Transaction
from caas_sandbox.idempotency import Answer, StoredAnswers, problem_answer
from caas_sandbox.problems import NotFound
from caas_sandbox.webhooks import OutgoingWebhooks


@dataclass(frozen=True, slots=True)
class Intent:
    """The idempotency key of a request, and what tells the request from others."""

    key: str
    fingerprint: str


class Books:
    """The operations of GW-1 on one set of books."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        clock: BusinessClock,
        webhooks: OutgoingWebhooks,
        *,
        pending_s: float,
    ) -> None:
        self._connection = connection
        self._clock = clock
        self._webhooks = webhooks
        self._pending = timedelta(seconds=pending_s)
        self._store = Store(connection)
        self._answers = StoredAnswers(connection, clock)

    def disturbance(self, request: AuthorizeRequest) -> FaultKind | None:
        """How the request's test token spoils this attempt; counts the attempt, durably."""
        disturbances = token_of(request.payment_method).disturbances
        if not disturbances:
            return None
        made = self._store.count_attempt(request.reference)
        return disturbances[made] if made < len(disturbances) else None

    def refund_disturbance(self, transaction_id: str, request: RefundRequest) -> FaultKind | None:
        """How the transaction's test token spoils this attempt at a refund; counts the attempt, durably."""
        found = self._store.transaction(transaction_id)
        disturbances = token_of(found.token).refund_disturbances if found else ()
        if not disturbances:
            return None
        made = self._store.count_attempt(f"refund {request.reference}")
        return disturbances[made] if made < len(disturbances) else None

    def authorize(self, request: AuthorizeRequest, intent: Intent, address: str) -> Answer:
        """Holds or sells: 201, or 402 with the declined transaction. `address` is where customers find this gateway."""
        return self._once(intent, lambda: self._authorize(request, intent.key, address))

    def capture(self, transaction_id: str, request: CaptureRequest, intent: Intent) -> Answer:
        """Takes a hold; raises StateForbids, or answers 402 `capture_failed` when refused for good."""
        self.find(transaction_id)
        return self._once(intent, lambda: self._capture(transaction_id, request.amount_minor, intent.key))

    def void(self, transaction_id: str, intent: Intent) -> Answer:
        """Releases a hold; raises StateForbids."""
        self.find(transaction_id)
        return self._once(intent, lambda: self._void(transaction_id, intent.key))

    def refund(self, transaction_id: str, request: RefundRequest, intent: Intent) -> Answer:
        """Gives captured money back; raises StateForbids, or RefundRefused, of which nothing is kept under the key."""
        refusals = token_of(self.find(transaction_id).token).refund_refusals
        if refusals and self._store.count_attempt(f"refund {request.reference}") < refusals:
            raise RefundRefused("refund_refused", "the refund was refused; it may be asked for again")
        return self._once(intent, lambda: self._refund(transaction_id, request, intent.key))

    def awaiting(self, secret: str) -> Transaction:
        """What the customer confirms on a page; raises NotFound, or StateForbids when that is over."""
        found = self._store.transaction_of_action(secret)
        if found is None:
            raise NotFound("action_not_found", "there is nothing to confirm under this link")
        found.require_customer_awaited()
        return found

    def complete_action(self, secret: str, *, approved: bool) -> Transaction:
        """The customer has confirmed the payment, or refused; once. Raises as `awaiting` does."""
        with database_transaction(self._connection):
            found = self.awaiting(secret)
            if not approved:
                return self._book_decline(found, "authentication_failed", None)
            token = token_of(found.token)
            decline_code = token.decline_code or ("capture_failed" if found.sale and token.capture_fails else None)
            if decline_code:
                return self._book_decline(found, decline_code, None)
            return self._book_authorization(found, token, self._clock.now(), None)

    def expire_key(self, key: str) -> None:
        """The answer under this key is not kept any more."""
        with database_transaction(self._connection):
            self._answers.expire(key)

    def find(self, transaction_id: str) -> Transaction:
        """The transaction as it is now, its hold expired if its time has passed; raises NotFound."""
        return self._up_to_date(self._stored(transaction_id))

    def find_by_reference(self, reference: str) -> list[Transaction]:
        """All transactions of a merchant's reference, oldest first; none is not an error."""
        return [self._up_to_date(found) for found in self._store.transactions_of(reference)]

    def expire(self, found: Transaction, at: datetime) -> Transaction:
        """Ends a hold whose time has passed; runs inside the caller's transaction."""
        return self._book(found.expire(), Effect(operation="expire", amount_minor=found.amount_minor, at=at))

    def decide_pending(self, found: Transaction, now: datetime) -> Transaction:
        """Authorizes or declines what was accepted earlier; runs inside the caller's transaction."""
        token = token_of(found.token)
        if token.decline_code:
            return self._book_decline(found, token.decline_code, None)
        return self._book_authorization(found, token, now, None)

    def _once(self, intent: Intent, run: Callable[[], Answer]) -> Answer:
        with database_transaction(self._connection):
            return self._answers.once(intent.key, intent.fingerprint, run)

    def _stored(self, transaction_id: str) -> Transaction:
        found = self._store.transaction(transaction_id)
        if found is None:
            raise NotFound("transaction_not_found", "there is no transaction with this id")
        return found

    def _up_to_date(self, found: Transaction) -> Transaction:
        now = self._clock.now()
        if not found.hold_is_over(now):
            return found
        with database_transaction(self._connection):
            return self.expire(found, now)

    def _authorize(self, request: AuthorizeRequest, key: str, address: str) -> Answer:
        now = self._clock.now()
        token = token_of(request.payment_method)
        new = Transaction(
            id=f"txn_{uuid4().hex}",
            reference=request.reference,
            token=token.name,
            sale=request.capture,
            status=Status.PENDING,
            amount_minor=request.amount_minor,
            currency=request.currency,
            merchant_initiated=request.merchant_initiated,
            created_at=now,
        )
        self._store.insert_transaction(new)
        if token.pending:
            return Answer(status=201, body=self._book_acceptance(new, key).as_json())
        if token.action and not (token.alone and new.merchant_initiated):
            return Answer(status=201, body=self._book_action(new, key, address).as_json())
        decline_code = self._decline_code(request, token)
        if decline_code:
            return Answer(status=402, body=self._book_decline(new, decline_code, key).as_json())
        return Answer(status=201, body=self._book_authorization(new, token, now, key).as_json())

    def _decline_code(self, request: AuthorizeRequest, token: Token) -> str | None:
        """Why the payment is declined at once; a method that fails at first is counted by a digest of its name."""
        if token.alone and request.merchant_initiated:
            return token.alone
        if token.fails is not None:
            digest = hashlib.sha256(request.payment_method.encode()).hexdigest()
            return token.decline_code if self._store.count_decline(digest) < token.fails else None
        return token.decline_code or ("capture_failed" if request.capture and token.capture_fails else None)

    def _book_action(self, new: Transaction, key: str, address: str) -> Transaction:
        secret = secrets.token_urlsafe(24)
        awaiting = new.await_customer(secret, f"{address}/actions/{secret}")
        effect = Effect(operation="action", amount_minor=new.amount_minor, at=new.created_at, idempotency_key=key)
        return self._book(awaiting, effect)

    def _book_acceptance(self, new: Transaction, key: str) -> Transaction:
        due_at = real_now() + self._pending
        self._store.insert_due(
            Due(timeline=Timeline.REAL, due_at=due_at, task=Task.DECIDE_PENDING, transaction_id=new.id)
        )
        effect = Effect(operation="accept", amount_minor=new.amount_minor, at=new.created_at, idempotency_key=key)
        self._store.insert_effect(new.id, effect)
        return new

    def _book_decline(self, found: Transaction, code: str, key: str | None) -> Transaction:
        effect = Effect(
            operation="decline",
            amount_minor=found.amount_minor,
            at=self._clock.now(),
            idempotency_key=key,
        )
        return self._book(found.decline(code), effect)

    def _book_authorization(self, found: Transaction, token: Token, now: datetime, key: str | None) -> Transaction:
        effect = Effect(operation="authorize", amount_minor=found.amount_minor, at=now, idempotency_key=key)
        authorized = self._book(found.authorize(now), effect)
        if authorized.sale:
            return self._book_capture(authorized, token, authorized.amount_minor, key)
        if authorized.capture_before:
            due = Due(due_at=authorized.capture_before, task=Task.EXPIRE_HOLD, transaction_id=authorized.id)
            self._store.insert_due(due)
        return authorized

    def _capture(self, transaction_id: str, amount_minor: int, key: str) -> Answer:
        found = self._stored(transaction_id)
        token = token_of(found.token)
        if not token.capture_fails:
            captured = self._book_capture(found, token, amount_minor, key)
            return Answer(status=200, body=captured.as_json())
        failed = found.fail_capture()
        if found.capture_failure is None:
            effect = Effect(
                operation="capture_failed",
                amount_minor=amount_minor,
                at=self._clock.now(),
                idempotency_key=key,
            )
            self._book(failed, effect)
        return problem_answer(CaptureFailed("capture_failed", "the capture was refused, for good"))

    def _book_capture(self, found: Transaction, token: Token, amount_minor: int, key: str | None) -> Transaction:
        now = self._clock.now()
        effect = Effect(operation="capture", amount_minor=amount_minor, at=now, idempotency_key=key)
        captured = self._book(found.capture(amount_minor), effect)
        gross_minor = amount_minor // 2 if token.settles_half else amount_minor
        due = Due(
            due_at=_settles_at(now, token),
            task=Task.SETTLE_CAPTURE,
            transaction_id=found.id,
            amount_minor=gross_minor,
        )
        self._store.insert_due(due)
        return captured

    def _void(self, transaction_id: str, key: str) -> Answer:
        found = self._stored(transaction_id)
        effect = Effect(operation="void", amount_minor=found.amount_minor, at=self._clock.now(), idempotency_key=key)
        return Answer(status=200, body=self._book(found.void(), effect).as_json())

    def _refund(self, transaction_id: str, request: RefundRequest, key: str) -> Answer:
        now = self._clock.now()
        found = self._stored(transaction_id)
        effect = Effect(
            operation="refund",
            amount_minor=request.amount_minor,
            at=now,
            reference=request.reference,
            idempotency_key=key,
        )
        refunded = self._book(found.refund(request.amount_minor), effect)
        due = Due(
            due_at=_settles_at(now, token_of(found.token)),
            task=Task.SETTLE_REFUND,
            transaction_id=found.id,
            amount_minor=request.amount_minor,
            reference=request.reference,
        )
        self._store.insert_due(due)
        return Answer(status=200, body=refunded.as_json())

    def _book(self, changed: Transaction, effect: Effect) -> Transaction:
        self._store.update_transaction(changed)
        self._store.insert_effect(changed.id, effect)
        self._webhooks.enqueue(_WEBHOOK_OF[effect.operation], changed.as_json())
        return changed


_WEBHOOK_OF = {
    "action": "transaction.requires_action",
    "authorize": "transaction.authorized",
    "decline": "transaction.declined",
    "capture": "transaction.captured",
    "capture_failed": "transaction.capture_failed",
    "void": "transaction.voided",
    "expire": "transaction.expired",
    "refund": "transaction.refunded",
}


def _settles_at(moved_at: datetime, token: Token) -> datetime:
    return moved_at + (SETTLES_LATE_AFTER if token.settles_late else SETTLES_AFTER)
