"""What a customer is told about a vehicle order, each once (NOT-1)."""

from dataclasses import dataclass
from enum import StrEnum


class OrderNoticeKind(StrEnum):
    """The occasions; each names its templates."""

    RESERVED = "order_reserved"
    DECLINED = "order_declined"
    INVITED = "order_invited"
    ORDERED = "order_ordered"
    ESTIMATED = "order_estimated"
    BUILT = "order_built"
    READY = "order_ready"
    PAYMENT_UNAVAILABLE = "order_payment_unavailable"
    PAID = "order_paid"
    FORFEITED = "order_forfeited"
    REFUNDED = "order_refunded"
    REGISTERED = "order_registered"
    SCHEDULED = "order_scheduled"
    DELIVERED = "order_delivered"
    INVOICED = "order_invoiced"

    @property
    def mailed_by_billing(self) -> bool:
        """Billing mails the invoice with its PDF; here it is only listed: nobody is told twice (NOT-1)."""
        return self is OrderNoticeKind.INVOICED


@dataclass(frozen=True, slots=True)
class OrderNotice:
    """One thing to tell. `occasion` tells apart what may happen more than once: an attempt, a day, a number."""

    kind: OrderNoticeKind
    occasion: str = ""
