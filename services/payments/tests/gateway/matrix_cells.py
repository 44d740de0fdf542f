"""The cells of the gateway matrix: every fault of every operation, with every order of its webhook."""

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import product
from typing import Final

from caas_contracts.payments import AuthorizePayment
from services.payments.tests.builders import an_authorization

REFUNDED_MINOR: Final = 500


class Fault(StrEnum):
    """What happens to the first call of the operation."""

    TIMEOUT_BEFORE = "timeout_before_effect"
    TIMEOUT_AFTER = "timeout_after_effect"
    ERROR_BEFORE = "5xx_before_effect"
    ERROR_AFTER = "5xx_after_effect"
    GARBAGE = "garbage_200"
    HALF = "half_answer"
    TOO_MANY = "429"
    KEY_EXPIRED = "key_expired"
    NOT_FOUND = "not_found"
    WRONG_AMOUNT = "wrong_amount_echoed"
    KILLED_BEFORE = "killed_before_the_call"
    KILLED_AFTER = "killed_after_the_call"


class Webhook(StrEnum):
    """When the gateway's webhook about the operation comes, beside the answer of the call that had the effect."""

    FIRST = "webhook_first"
    ANSWER_FIRST = "answer_first"
    MISSING = "webhook_missing"


OPERATIONS: Final = ("authorize", "capture", "void", "refund")
STEPS_TO: Final = {
    "authorize": ("authorize",),
    "capture": ("authorize", "capture"),
    "void": ("authorize", "void"),
    "refund": ("authorize", "capture", "refund"),
}
"""What leads to the operation, and itself."""

WEBHOOK_OF: Final = {
    "authorize": "transaction.authorized",
    "capture": "transaction.captured",
    "void": "transaction.voided",
    "refund": "transaction.refunded",
}
TIMING_OF: Final = {
    Webhook.FIRST: "before_answer",
    Webhook.ANSWER_FIRST: "after_answer",
    Webhook.MISSING: "never",
}
KILLS: Final = frozenset({Fault.KILLED_BEFORE, Fault.KILLED_AFTER})

_SIMPLE: Final = {
    Fault.TIMEOUT_BEFORE: "timeout_before",
    Fault.TIMEOUT_AFTER: "timeout_after",
    Fault.ERROR_BEFORE: "503",
    Fault.ERROR_AFTER: "500_after",
    Fault.GARBAGE: "garbage",
    Fault.HALF: "half",
    Fault.TOO_MANY: "429",
    Fault.WRONG_AMOUNT: "wrong_amount",
    Fault.KILLED_AFTER: "slow",
}
CERTAIN: Final = frozenset({"429"})
"""The sandbox's faults after which nothing has to be looked up."""
NO_EFFECT: Final = frozenset({"timeout_before", "503", "429"})


@dataclass(frozen=True)
class Cell:
    """One payment, one fault, one order."""

    operation: str
    fault: Fault
    webhook: Webhook
    command: AuthorizePayment = field(compare=False)

    @classmethod
    def of(cls, operation: str, fault: Fault, webhook: Webhook) -> "Cell":
        customer_id = f"{operation}-{fault}-{webhook}"
        return cls(operation, fault, webhook, an_authorization(customer_id=customer_id))

    @property
    def name(self) -> str:
        return f"{self.operation}-{self.fault}-{self.webhook}"

    @property
    def reference(self) -> str:
        return str(self.command.payment_id)

    @property
    def steps(self) -> tuple[str, ...]:
        return STEPS_TO[self.operation]

    @cached_property
    def script(self) -> tuple[tuple[str, str, int], ...]:
        """The sandbox's faults: operation, kind, times."""
        if self.fault is Fault.KEY_EXPIRED:
            # Hidden from two look-ups, so that the forgotten key is really used again.
            return ((self.operation, "key_expired", 1), ("lookup", "not_found", 2 + self._hints))
        if self.fault is Fault.NOT_FOUND:
            # An authorization stays hidden until its retries are used up; the last look-up before giving up finds it.
            calls = 4 if self.operation == "authorize" else 2
            return ((self.operation, "timeout_after", calls), ("lookup", "not_found", 2 * calls + self._hints))
        kind = _SIMPLE.get(self.fault)
        return ((self.operation, kind, 1),) if kind else ()

    @property
    def _hints(self) -> int:
        """A webhook causes one look-up more."""
        return 0 if self.webhook is Webhook.MISSING else 1


CELLS: Final = tuple(Cell.of(*names) for names in product(OPERATIONS, Fault, Webhook))
