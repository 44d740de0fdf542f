"""The states of a payment and the only transitions between them (PAY-1, PAY-2)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class PaymentStatus(StrEnum):
    """PAY-1."""

    INITIATED = "INITIATED"
    PROCESSING = "PROCESSING"
    PENDING = "PENDING"
    AUTHORIZED = "AUTHORIZED"
    CONFIRMED = "CONFIRMED"
    CAPTURING = "CAPTURING"
    SETTLED = "SETTLED"
    SETTLEMENT_FAILED = "SETTLEMENT_FAILED"
    REFUNDING = "REFUNDING"
    REFUNDED = "REFUNDED"
    VOIDED = "VOIDED"
    RETRY = "RETRY"
    FAILED = "FAILED"
    ABANDONED = "ABANDONED"


_S = PaymentStatus

TRANSITIONS: Final[Mapping[PaymentStatus, frozenset[PaymentStatus]]] = {
    _S.INITIATED: frozenset({_S.PROCESSING}),
    _S.PROCESSING: frozenset({_S.AUTHORIZED, _S.CONFIRMED, _S.PENDING, _S.FAILED, _S.RETRY}),
    _S.RETRY: frozenset({_S.PROCESSING, _S.ABANDONED}),
    _S.PENDING: frozenset({_S.AUTHORIZED, _S.SETTLED, _S.FAILED}),
    _S.AUTHORIZED: frozenset({_S.CAPTURING, _S.VOIDED}),
    _S.CONFIRMED: frozenset({_S.SETTLED, _S.SETTLEMENT_FAILED, _S.REFUNDING}),
    _S.CAPTURING: frozenset({_S.SETTLED, _S.SETTLEMENT_FAILED, _S.REFUNDING}),
    _S.SETTLED: frozenset({_S.REFUNDING}),
    _S.SETTLEMENT_FAILED: frozenset({_S.REFUNDING}),
    _S.REFUNDING: frozenset({_S.REFUNDED}),
    _S.REFUNDED: frozenset(),
    _S.VOIDED: frozenset(),
    _S.FAILED: frozenset(),
    _S.ABANDONED: frozenset(),
}

UNRESOLVED: Final = frozenset({_S.INITIATED, _S.PROCESSING, _S.RETRY, _S.PENDING})
"""The gateway has not said yet whether the amount is held."""

NEVER_HELD: Final = frozenset({_S.FAILED, _S.ABANDONED})
"""Ended without a hold: what the gateway should hold all the same is to be released."""


class IllegalTransition(ValueError):
    """A verb asked for a transition that PAY-2 does not have: a bug, never a business case."""

    def __init__(self, current: PaymentStatus, wanted: PaymentStatus) -> None:
        super().__init__(f"PAY-2 has no transition {current} -> {wanted}")
