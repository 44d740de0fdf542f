"""What billing refuses, over HTTP and over the broker, with stable codes."""

from typing import ClassVar

from caas_chassis.errors import NotYet, Problem, Refused


class InvoiceNotFound(Problem):
    """No such invoice, or not this customer's."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "invoice_not_found"
    title: ClassVar[str] = "There is no such invoice"


class CreditNoteNotFound(Problem):
    """No such credit note, or not this customer's."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "credit_note_not_found"
    title: ClassVar[str] = "There is no such credit note"


class SubscriptionNotFound(Problem):
    """No such subscription, or not this customer's."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "subscription_not_found"
    title: ClassVar[str] = "There is no such subscription"


class SubscriptionOver(Problem):
    """Nothing of the subscription is to be charged any more."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "subscription_over"
    title: ClassVar[str] = "The subscription is over"


class InvoiceAlreadyPaid(Problem):
    """Nobody pays an invoice twice."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "invoice_already_paid"
    title: ClassVar[str] = "The invoice is paid"


class InvoiceBeingPaid(Problem):
    """An attempt at the invoice is under way: another one could pay it twice."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "invoice_being_paid"
    title: ClassVar[str] = "A payment of the invoice is under way"


class PaymentMethodRefused(Problem):
    """The payment method was refused for good: charging it again is pointless (SUB-6)."""

    status: ClassVar[int] = 422
    code: ClassVar[str] = "payment_method_refused"
    title: ClassVar[str] = "This payment method was refused"


class PaymentDeclined(Problem):
    """The payment that the customer waited for was declined; nothing was taken."""

    status: ClassVar[int] = 402
    code: ClassVar[str] = "payment_declined"
    title: ClassVar[str] = "The payment was declined"


class PaymentUnavailable(Problem):
    """The payment could not be made for a technical reason; nothing was taken."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "payment_unavailable"
    title: ClassVar[str] = "The payment could not be made now"


class DocumentNotReady(Problem):
    """The document is issued, but its PDF is still being made."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "document_not_ready"
    title: ClassVar[str] = "The PDF is not ready yet"


class UnknownSubscription(NotYet):
    """Use of what nobody has subscribed to, as far as billing knows: its start may be on its way (SUB-2)."""

    def __init__(self, subject_id: str, service_code: str | None) -> None:
        what = f"vehicle {subject_id} with service {service_code}" if service_code else f"subscription {subject_id}"
        super().__init__(
            "unknown_subscription",
            f"{what} is not known here: when its start has come replay this message, else discard it",
        )


class UnknownPurchase(Refused):
    """A purchase went on that was never placed: orders tells both in one stream, so something is lost."""

    def __init__(self, purchase_id: object) -> None:
        super().__init__(
            "unknown_purchase",
            f"purchase {purchase_id} is not known here: replay its PurchasePlaced, then this message",
        )


class WrongUnit(Refused):
    """Use in another unit than that of its plan: no rate fits it (SUB-3)."""

    def __init__(self, subject_id: str, unit: str) -> None:
        super().__init__(
            "wrong_unit",
            f"the plan of {subject_id} does not count {unit}: correct the source, which must send it with a "
            "new id or in the right unit, then discard this message",
        )


class UsageInTheFuture(Refused):
    """Use that is to happen more than a day from now: a clock is wrong."""

    def __init__(self, subject_id: str, occurred_at: object) -> None:
        super().__init__(
            "usage_in_the_future",
            f"{subject_id} was used at {occurred_at}, which is to come: check the clock of its source; "
            "replay this message after that instant, or discard it",
        )


class UsageConflict(Refused):
    """Another quantity or instant under the id of use that was counted already (SUB-2): the first one stands."""

    def __init__(self, subject_id: str, usage_id: object) -> None:
        super().__init__(
            "usage_conflict",
            f"use {usage_id} of {subject_id} was counted before with another quantity or instant: ask the source "
            "which is right, have a difference sent under a new id, then discard this message",
        )


class RefundWithoutCapture(Refused):
    """A refund of a payment that billing never saw captured: nothing was invoiced that could be credited."""

    def __init__(self, refund_id: object, payment_id: object) -> None:
        super().__init__(
            "refund_without_capture",
            f"refund {refund_id} is of payment {payment_id}, which was not captured: compare it with "
            "payments, then replay or discard this message",
        )


class RefundExceedsCapture(Refused):
    """Refunds would sum to more than was captured, or are in another currency (PAY-8)."""

    def __init__(self, refund_id: object, payment_id: object) -> None:
        super().__init__(
            "refund_exceeds_capture",
            f"with refund {refund_id} more would be given back than payment {payment_id} captured, or in "
            "another currency: compare it with payments, then replay or discard this message",
        )


class PaymentNotAsAgreed(Refused):
    """A reservation or a final payment is not what its order says: the two invoices would not sum to the price."""

    def __init__(self, order_id: object) -> None:
        super().__init__(
            "payment_not_as_agreed",
            f"vehicle order {order_id} was not paid as agreed (FIN-1): compare its payments with the order, "
            "correct them, then replay this message",
        )


class RatePlanRedefined(Refused):
    """A version of a rate plan that is known with other terms: a version never changes (SUB-3)."""

    def __init__(self, plan_code: str, version: int) -> None:
        super().__init__(
            "rate_plan_redefined",
            f"version {version} of rate plan {plan_code} is known with other terms: publish the change as a new "
            "version, then discard this message",
        )


class RatePlanMalformed(Refused):
    """A version of a rate plan that does not price everything exactly once."""

    def __init__(self, plan_code: str, version: int, problem: str) -> None:
        super().__init__(
            "rate_plan_malformed",
            f"version {version} of rate plan {plan_code} cannot be billed: {problem}; publish a correct version, "
            "then discard this message",
        )


class PeriodMalformed(Problem):
    """What was asked to be closed is no calendar month."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "period_malformed"
    title: ClassVar[str] = "A period is written as year and month"


class PeriodNotEnded(Problem):
    """A month that goes on cannot be closed: its use is not known yet (SUB-4)."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "period_not_ended"
    title: ClassVar[str] = "The period has not ended"


class BillingRunNotFound(Problem):
    """No such run."""

    status: ClassVar[int] = 404
    code: ClassVar[str] = "billing_run_not_found"
    title: ClassVar[str] = "There is no such billing run"


class UnknownCharge(Refused):
    """A fact about the payment of a monthly invoice that billing never asked for."""

    def __init__(self, payment_id: object, subject_id: object) -> None:
        super().__init__(
            "unknown_charge",
            f"payment {payment_id} for {subject_id} is no attempt that billing knows: compare it with "
            "payments, and give its money back if it took any; then discard this message",
        )


class ChargeNotAsAgreed(Refused):
    """A monthly invoice was charged with another amount than it says."""

    def __init__(self, payment_id: object, number: str) -> None:
        super().__init__(
            "charge_not_as_agreed",
            f"payment {payment_id} took another amount than invoice {number} says: correct the payment, then "
            "discard this message",
        )
