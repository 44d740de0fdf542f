"""Which refusals are of the payment method itself: it is not charged again, another one is needed (SUB-6)."""

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


def is_hard(reason: str) -> bool:
    """Whether charging the same method again is pointless; a code that is not known is a soft refusal."""
    return reason in _HARD
