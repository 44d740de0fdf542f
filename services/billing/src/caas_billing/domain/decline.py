"""What refusals ask for: another payment method, the customer's own word to the bank, or only time (SUB-6, PAY-9)."""

from typing import Final

METHOD_REFUSED: Final = "payment_method_refused"
"""Why an attempt was not asked for: the method was refused for good, and there is no other one."""

_HARD: Final = frozenset(
    {
        "account_closed",
        "card_not_supported",
        "closed_account",
        "expired_card",
        "invalid_account",
        "invalid_card",
        "invalid_payment_method",
        "lost_card",
        "pickup_card",
        "restricted_card",
        "revocation_of_authorization",
        "stolen_card",
        "stop_payment_order",
    }
)


_WANTS_CUSTOMER: Final = frozenset({"authentication_required", "authentication_not_handled"})


def wants_customer(reason: str) -> bool:
    """Whether the bank refused only because the customer took no part: it will ask them when they do (PAY-9)."""
    return reason in _WANTS_CUSTOMER


def is_hard(reason: str) -> bool:
    """Whether charging the same method again is pointless; a code that is not known is a soft refusal."""
    return reason in _HARD
