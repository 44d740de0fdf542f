"""The states of a purchase and the transitions between them, and no others."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class PurchaseStatus(StrEnum):
    """Where a purchase stands."""

    REQUESTED = "requested"  # the maintenance system is being asked (SVC-2)
    AUTHORIZING = "authorizing"  # payments was asked to hold the amount (SVC-3), or to take it ahead (PLN-1)
    SETTLING = "settling"  # paid ahead; delivered when the money has reached the bank (RSK-2)
    SCHEDULED = "scheduled"  # paid ahead; activated on its date (PLN-1)
    ACTIVATING = "activating"  # ota was asked to activate; the result and its capture are awaited
    CANCELLING = "cancelling"  # given up; waiting to learn that nothing is charged, or that success won (SVC-11)
    ACTIVE = "active"  # in the car, and paid or written off (SVC-4, SVC-8)
    FAILED = "failed"  # not active and never charged (SVC-5)
    DECLINED = "declined"  # payment declined or delivery refused (SVC-7)
    BLOCKED = "blocked"  # stopped by the maintenance gate (SVC-2)
    CANCELLED = "cancelled"  # given up by the customer in time (SVC-11)
    EXPIRED = "expired"  # a service that came to its end (SVC-9)
    WITHDRAWING = "withdrawing"  # the customer has withdrawn; the money is on its way back (DES-4)
    WITHDRAWN = "withdrawn"  # withdrawn from, and paid back (DES-4)
    ENDED = "ended"  # a subscription that its customer cancelled (SUB-7) or did not pay (SUB-6)


_S = PurchaseStatus

TRANSITIONS: Final[Mapping[PurchaseStatus, frozenset[PurchaseStatus]]] = {
    _S.REQUESTED: frozenset({_S.AUTHORIZING, _S.ACTIVATING, _S.BLOCKED, _S.CANCELLED}),
    _S.AUTHORIZING: frozenset({_S.ACTIVATING, _S.SETTLING, _S.SCHEDULED, _S.DECLINED, _S.FAILED, _S.CANCELLING}),
    _S.SETTLING: frozenset({_S.ACTIVATING, _S.SCHEDULED, _S.CANCELLING}),
    _S.SCHEDULED: frozenset({_S.ACTIVATING, _S.CANCELLING}),
    _S.ACTIVATING: frozenset({_S.ACTIVE, _S.FAILED, _S.CANCELLING}),
    _S.CANCELLING: frozenset({_S.CANCELLED, _S.DECLINED, _S.ACTIVE}),
    _S.ACTIVE: frozenset({_S.EXPIRED, _S.ENDED, _S.WITHDRAWING}),
    _S.WITHDRAWING: frozenset({_S.WITHDRAWN}),
    _S.WITHDRAWN: frozenset(),
    _S.FAILED: frozenset(),
    _S.DECLINED: frozenset(),
    _S.BLOCKED: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.ENDED: frozenset(),
}

IN_PROGRESS: Final = frozenset(
    {
        _S.REQUESTED,
        _S.AUTHORIZING,
        _S.SETTLING,
        _S.SCHEDULED,
        _S.ACTIVATING,
        _S.CANCELLING,
    }
)
OCCUPYING: Final = IN_PROGRESS | {_S.ACTIVE}  # the service cannot be bought again meanwhile
ENDED_WITHOUT_SERVICE: Final = frozenset({_S.FAILED, _S.DECLINED, _S.BLOCKED, _S.CANCELLED})


class MoneyOutcome(StrEnum):
    """What has become of the money, for good: as payments has said, or later by billing."""

    CAPTURED = "captured"
    WRITTEN_OFF = "written_off"
    VOIDED = "voided"
    REFUNDED = "refunded"  # taken ahead or captured, and given back wholly (PLN-1, DES-4)
    NEVER_HELD = "never_held"
    BILLED_MONTHLY = "billed_monthly"  # a subscription: nothing is taken for the purchase itself (SUB-1)
