"""The refusals of payments, each with its stable code and the HTTP status it is answered with."""

from enum import StrEnum

from caas_chassis.errors import Problem


class PaymentNotFound(Problem):
    """There is no such payment, or it is another customer's."""

    status = 404
    code = "payment_not_found"
    title = "No such payment"


class VoidRefused(Problem):
    """The charge fence does not allow a void: the activation may still have to be paid."""

    status = 409
    code = "void_refused"
    title = "This payment cannot be voided now"


class CaptureRefused(Problem):
    """The charge fence, or what was captured, does not allow this capture (SVC-6)."""

    status = 409
    code = "capture_refused"
    title = "This payment cannot be captured so"


class IntentConflict(Problem):
    """The idempotency key, or the activation, already has a payment with other content (PAY-7)."""

    status = 409
    code = "idempotency_conflict"
    title = "This key has another payment"


class SettlementRefused(Problem):
    """The line contradicts what was captured, or what was recorded under its id."""

    status = 409
    code = "settlement_refused"
    title = "This settlement cannot be recorded"


class RefundRefused(Problem):
    """There is not that much captured money left to give back (PAY-8)."""

    status = 409
    code = "refund_refused"
    title = "This refund is not possible"


class WebhookFault(StrEnum):
    """What is wrong with a refused webhook; counted, not told."""

    FORGED = "forged"
    STALE = "stale"
    MALFORMED = "malformed"


class WebhookRefused(Problem):
    """The webhook is forged, stale or malformed; nothing changed (GW-5). `detail` shows nothing of it."""

    status = 400
    code = "webhook_refused"
    title = "The webhook was not accepted"

    def __init__(self, fault: WebhookFault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


class WebhookTooLarge(Problem):
    """The webhook's body is larger than any the gateway sends (GW-5)."""

    status = 413
    code = "webhook_too_large"
    title = "The webhook is too large"


class LinkNotFound(Problem):
    """No payment has this link."""

    status = 404
    code = "link_not_found"
    title = "No such link"


class LinkUsed(Problem):
    """The link was used before (PAY-9)."""

    status = 410
    code = "link_used"
    title = "This link was used"


class LinkExpired(Problem):
    """The link was not used in time (PAY-9)."""

    status = 410
    code = "link_expired"
    title = "This link has expired"


class LinkOver(Problem):
    """What the link was for is decided."""

    status = 410
    code = "link_over"
    title = "Nothing is left to confirm"


class CaseNotFound(Problem):
    """There is no such case."""

    status = 404
    code = "case_not_found"
    title = "No such case"


class CaseClosed(Problem):
    """The truth was found, or somebody else ruled, before."""

    status = 409
    code = "case_closed"
    title = "This case is closed"


class ResolutionIncomplete(Problem):
    """What is said to have happened at the gateway needs the gateway's name for it."""

    status = 400
    code = "resolution_incomplete"
    title = "The resolution is not complete"


class WebhookTooSlow(Problem):
    """The webhook's body did not arrive in time."""

    status = 408
    code = "webhook_too_slow"
    title = "The webhook did not arrive in time"


class WebhookNotFound(Problem):
    """No webhook with this id was accepted."""

    status = 404
    code = "webhook_not_found"
    title = "No such webhook"


class PolicyRefused(Problem):
    """What is to be tried is no risk policy."""

    status = 400
    code = "policy_refused"
    title = "This is no risk policy"


class ConcurrentChange(Exception):
    """Another transaction changed the same payment between reading and writing: run this one again."""
