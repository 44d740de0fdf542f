"""What a customer is told about a purchase, each occasion once (NOT-1)."""

from dataclasses import dataclass
from enum import StrEnum


class NoticeKind(StrEnum):
    """The outcomes a customer is told of."""

    ACTIVATED = "activated"
    FAILED_NOT_CHARGED = "failed_not_charged"
    DECLINED = "declined"
    BLOCKED_MAINTENANCE = "blocked_maintenance"
    CANCELLED = "cancelled"
    SCHEDULED = "scheduled"
    FAILED_REFUNDED = "failed_refunded"
    PAYMENT_NOT_SETTLED = "payment_not_settled"
    PAYMENT_CONFIRMATION_NEEDED = "payment_confirmation_needed"
    CONFIRMATION_NEEDED = "confirmation_needed"
    RENEWED = "renewed"
    RENEWAL_FAILED = "renewal_failed"
    RECURRENCE_CANCELLED = "recurrence_cancelled"
    EXPIRED = "expired"
    INVOICE_ISSUED = "invoice_issued"
    WITHDRAWAL_RECEIVED = "withdrawal_received"
    WITHDRAWAL_REFUSED = "withdrawal_refused"
    WITHDRAWN = "withdrawn"
    REFUND_DELAYED = "refund_delayed"
    VEHICLE_STOLEN = "vehicle_stolen"
    SUBSCRIPTION_STARTED = "subscription_started"
    SUBSCRIPTION_CANCELLED = "subscription_cancelled"
    SUBSCRIPTION_PAID = "subscription_paid"
    SUBSCRIPTION_PAYMENT_FAILED = "subscription_payment_failed"
    SUBSCRIPTION_METHOD_NEEDED = "subscription_method_needed"
    SUBSCRIPTION_CONFIRMATION_NEEDED = "subscription_confirmation_needed"
    SUBSCRIPTION_UNPAID = "subscription_unpaid"
    SUBSCRIPTION_PAID_LATE = "subscription_paid_late"

    @property
    def mailed_by_billing(self) -> bool:
        """Billing mails the invoice with its PDF; here it is only listed: nobody is told twice (NOT-1)."""
        return self is NoticeKind.INVOICE_ISSUED


@dataclass(frozen=True, slots=True)
class Letter:
    """Subject and plain text of one message to a person."""

    subject: str
    text: str
