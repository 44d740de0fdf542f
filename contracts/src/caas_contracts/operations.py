"""What a person in operations has to look at (NOT-2)."""

from enum import StrEnum
from typing import ClassVar

from caas_contracts.message import Code, Instant, Message, Text
from caas_contracts.topics import OPERATIONS_ALERTS


class AlertKind(StrEnum):
    """The occasions of NOT-2."""

    PAYMENT_ABANDONED = "payment_abandoned"
    OUTCOME_UNKNOWN = "outcome_unknown"
    RETRIES_EXHAUSTED = "retries_exhausted"
    MESSAGE_PARKED = "message_parked"
    STREAM_BLOCKED = "stream_blocked"
    LOG_SHRANK = "log_shrank"
    DEACTIVATION_FAILED = "deactivation_failed"
    LATE_SUCCESS = "late_success"
    CAPTURE_FAILED = "capture_failed"
    HOLD_NOT_RELEASED = "hold_not_released"
    OVER_REFUNDED = "over_refunded"
    CASE_OVERDUE = "case_overdue"
    TASK_FAILING = "task_failing"
    SETTLEMENT_FAILED = "settlement_failed"
    LATE_PAYMENT = "late_payment"
    LATE_CANCELLATION = "late_cancellation"
    PARTNER_REFUSED = "partner_refused"
    GATEWAY_UNREACHABLE = "gateway_unreachable"


class AlertRaised(Message):
    """Something a person has to look at: what, about which thing, and what to do."""

    TYPE: ClassVar[str] = "caas.operations.AlertRaised.v1"
    TOPIC: ClassVar = OPERATIONS_ALERTS
    KEY: ClassVar[str] = "service"

    service: Code
    kind: AlertKind
    subject: Code
    detail: Text
    raised_at: Instant


MESSAGES: tuple[type[Message], ...] = (AlertRaised,)
