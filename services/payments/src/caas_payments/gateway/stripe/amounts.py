"""Stripe's units for amounts, which are those of ISO 4217 but for a few currencies.

Invariant: an amount that Stripe cannot express exactly is never sent; nothing is rounded.
"""

from typing import Final

_HUNDREDFOLD: Final = frozenset({"ISK", "UGX"})
"""No minor unit in ISO 4217; Stripe writes them with two digits that must be zero."""

_HUNDREDTH: Final = frozenset({"MGA"})
"""Two digits in ISO 4217; Stripe writes whole units."""

_LAST_DIGIT_ZERO: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Three digits in both; at Stripe the last one must be zero."""


def to_stripe(amount_minor: int, currency: str) -> int | None:
    """Minor units of ISO 4217 in Stripe's unit, or None when Stripe has no such amount."""
    if currency in _HUNDREDFOLD:
        return amount_minor * 100
    if currency in _HUNDREDTH:
        return amount_minor // 100 if amount_minor % 100 == 0 else None
    if currency in _LAST_DIGIT_ZERO and amount_minor % 10:
        return None
    return amount_minor


def from_stripe(amount: int, currency: str) -> int:
    """Stripe's amount in minor units of ISO 4217. Raises ValueError for one that is no whole minor unit."""
    if currency in _HUNDREDFOLD:
        whole, rest = divmod(amount, 100)
        if rest:
            raise ValueError(f"{amount} is no whole amount of {currency}")
        return whole
    return amount * 100 if currency in _HUNDREDTH else amount
