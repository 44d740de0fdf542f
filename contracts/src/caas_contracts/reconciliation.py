"""What reconciliation found out: settlement matches, discrepancy cases, finished runs (RCN-2 to RCN-7)."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from caas_contracts.message import UUID, Code, Instant, Message, NoCardData, Text
from caas_contracts.money import Money
from caas_contracts.topics import RECONCILIATION_EVENTS


class DiscrepancyKind(StrEnum):
    """RCN-3."""

    DELAYED = "delayed"
    PARTIAL = "partial"
    FAILED = "failed"
    CHARGEBACK = "chargeback"
    AMOUNT_MISMATCH = "amount_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    UNKNOWN_TRANSACTION = "unknown_transaction"
    MISSING = "missing"
    DUPLICATE = "duplicate"


class DiscrepancyOpened(Message):
    """The gateway's feed and our records differ; one case per fact (RCN-4)."""

    TYPE: ClassVar[str] = "caas.reconciliation.DiscrepancyOpened.v1"
    TOPIC: ClassVar = RECONCILIATION_EVENTS
    KEY: ClassVar[str] = "case_id"

    case_id: UUID
    kind: DiscrepancyKind
    payment_id: UUID | None
    settlement_line_id: Code | None
    difference_minor: Annotated[int, Field(description="theirs minus ours, signed, minor units of `currency`")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    detail: Text
    opened_at: Instant


class DiscrepancyResolved(Message):
    """A case is closed, by a person or by a later line that explains it, with the reason (RCN-4)."""

    TYPE: ClassVar[str] = "caas.reconciliation.DiscrepancyResolved.v1"
    TOPIC: ClassVar = RECONCILIATION_EVENTS
    KEY: ClassVar[str] = "case_id"

    case_id: UUID
    resolution: Code
    resolved_by: Annotated[str, Field(max_length=200), NoCardData]
    reason: Text
    resolved_at: Instant


class ReconciliationCompleted(Message):
    """A run is finished: what was matched, what is open, and whether the proof of RCN-7 holds."""

    TYPE: ClassVar[str] = "caas.reconciliation.ReconciliationCompleted.v1"
    TOPIC: ClassVar = RECONCILIATION_EVENTS
    KEY: ClassVar[str] = "run_id"

    run_id: UUID
    lines: Annotated[int, Field(ge=0)]
    matched: Annotated[int, Field(ge=0)]
    matched_gross: Money
    cases_opened: Annotated[int, Field(ge=0)]
    cases_open: Annotated[int, Field(ge=0)]
    proof_difference_minor: int
    completed_at: Instant


MESSAGES: tuple[type[Message], ...] = (DiscrepancyOpened, DiscrepancyResolved, ReconciliationCompleted)
