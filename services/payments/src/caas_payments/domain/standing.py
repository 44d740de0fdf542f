"""Where a payment stands for its customer, in a word: what is known, and that it is being confirmed when it is not."""

from enum import StrEnum

from caas_payments.domain.payment import Payment
from caas_payments.domain.status import NEVER_HELD, PaymentStatus

_NOT_CHARGED = NEVER_HELD | {PaymentStatus.VOIDED, PaymentStatus.SETTLEMENT_FAILED}


class Standing(StrEnum):
    """What a customer may be told about their money."""

    BEING_CONFIRMED = "being_confirmed"
    HELD = "held"
    PAID = "paid"
    GIVEN_BACK = "given_back"
    NOT_CHARGED = "not_charged"


def standing_of(payment: Payment) -> Standing:
    """The word for it; while the gateway has not said what became of an operation there is no other (GW-4)."""
    if payment.being_confirmed:
        return Standing.BEING_CONFIRMED
    if payment.captured_minor:
        back_minor = payment.refunded_minor + payment.charged_back_minor
        return Standing.GIVEN_BACK if back_minor >= payment.captured_minor else Standing.PAID
    if payment.status in _NOT_CHARGED:
        return Standing.NOT_CHARGED
    return Standing.HELD if payment.status is PaymentStatus.AUTHORIZED else Standing.BEING_CONFIRMED
