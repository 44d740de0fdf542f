"""What billing refuses, over HTTP and over the broker, with stable codes."""

from typing import ClassVar

from caas_chassis.errors import Problem, Refused


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


class DocumentNotReady(Problem):
    """The document is issued, but its PDF is still being made."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "document_not_ready"
    title: ClassVar[str] = "The PDF is not ready yet"


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
