"""Stripe's codes in the words of payments; a code that is not listed becomes the general word of its kind."""

from typing import Final

from caas_payments.gateway.stripe.api import StripeError

_INVALID_CARD: Final = frozenset(
    {
        "incorrect_cvc",
        "incorrect_number",
        "incorrect_zip",
        "invalid_cvc",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "invalid_number",
    }
)
_AS_THEY_ARE: Final = (
    "expired_card",
    "invalid_account",
    "lost_card",
    "stolen_card",
    "do_not_honor",
    "try_again_later",
)
"""Dunning reads these: some say that the method is gone for good, some that it may work later (SUB-6)."""
_AUTHENTICATION: Final = frozenset({"authentication_required", "authentication_not_handled"})

_REFUSALS: Final = {
    "amount_too_large": "amount_too_large",
    "amount_too_small": "amount_too_small",
    "charge_already_captured": "already_captured",
    "charge_already_refunded": "amount_too_large",
    "charge_disputed": "charged_back",
    "charge_expired_for_capture": "hold_expired",
    "capture_charge_authorization_expired": "hold_expired",
    "payment_method_unactivated": "invalid_payment_method",
    "payment_method_unexpected_state": "invalid_payment_method",
}


def declined_as(code: str, decline_code: str) -> str:
    """Why a card was declined; a suspicion of fraud is not passed on (RSK-4)."""
    if "insufficient_funds" in (code, decline_code):
        return "insufficient_funds"
    for known in _AS_THEY_ARE:
        if known in (code, decline_code):
            return known
    if code in _INVALID_CARD or decline_code in _INVALID_CARD:
        return "invalid_card"
    if code in _AUTHENTICATION or decline_code in _AUTHENTICATION:
        return "authentication_required"
    if code == "payment_intent_authentication_failure":
        return "authentication_failed"
    return "card_declined"


def is_final(status: int, error: StripeError) -> bool:
    """Whether a refusal says that an operation will never be: of any other word nothing may be concluded."""
    return status == 402 or error.type == "card_error" or error.code in _REFUSALS


def refused_as(status: int, error: StripeError) -> str:
    """Why a request was refused."""
    if status == 402 or error.type == "card_error":
        return declined_as(error.code, error.decline_code)
    if error.param.startswith("payment_method") or error.param == "customer":
        return "invalid_payment_method"
    if error.param.startswith("amount") and error.code not in _REFUSALS:
        return "amount_too_large"
    return _REFUSALS.get(error.code, error.code[:64] or f"http_{status}")
