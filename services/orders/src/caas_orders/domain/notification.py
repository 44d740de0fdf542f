"""What a customer is told about a purchase, each kind once (NOT-1)."""

from dataclasses import dataclass
from enum import StrEnum


class NoticeKind(StrEnum):
    """The outcomes a customer is told of."""

    ACTIVATED = "activated"
    FAILED_NOT_CHARGED = "failed_not_charged"
    DECLINED = "declined"
    BLOCKED_MAINTENANCE = "blocked_maintenance"
    CANCELLED = "cancelled"
    INVOICE_ISSUED = "invoice_issued"

    @property
    def mailed_by_billing(self) -> bool:
        """Billing mails the invoice with its PDF; here it is only listed: nobody is told twice (NOT-1)."""
        return self is NoticeKind.INVOICE_ISSUED


@dataclass(frozen=True, slots=True)
class Letter:
    """Subject and plain text of one message to a person."""

    subject: str
    text: str
