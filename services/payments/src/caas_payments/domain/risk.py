"""The risk rating and the immediate-delivery decision (RSK-1, RSK-2); every policy has a version."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from caas_contracts.payments import Delivery, DeliveryDecision, PaymentPurpose, RiskRating


class Wish(StrEnum):
    """How the money is asked for: what there is to deliver for it, and when, depends on that (RSK-2)."""

    HOLD = "hold"
    SALE = "sale"
    AHEAD = "ahead"
    RENEWAL = "renewal"


RATINGS: Final[Mapping[PaymentPurpose, RiskRating]] = {
    PaymentPurpose.RESERVATION: RiskRating.LOW,
    PaymentPurpose.FINAL: RiskRating.NONE,
    PaymentPurpose.SERVICE: RiskRating.MEDIUM,
    PaymentPurpose.SUBSCRIPTION: RiskRating.HIGH,
}
"""RSK-1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPolicy:
    """The limits of one version of the policy, in minor units of its currency.

    `max_exposure_minor` bounds what a customer may have under way or delivered without settlement, this
    payment included; `max_write_offs` bounds how many losses a customer may have caused before. `owed_already` are
    purposes of what was delivered before: only the amount is limited, because not charging it delivers nothing less.
    """

    version: int
    currency: str
    max_amount_minor: int
    max_exposure_minor: int
    max_write_offs: int
    owed_already: frozenset[PaymentPurpose] = frozenset()


POLICIES: Final[Mapping[int, RiskPolicy]] = {
    1: RiskPolicy(
        version=1,
        currency="EUR",
        max_amount_minor=1_000_000,
        max_exposure_minor=5_000_000,
        max_write_offs=10,
    ),
    2: RiskPolicy(
        version=2,
        currency="EUR",
        max_amount_minor=1_000_000,
        max_exposure_minor=5_000_000,
        max_write_offs=10,
        owed_already=frozenset({PaymentPurpose.SUBSCRIPTION}),
    ),
}
"""A released version never changes: decisions refer to it. A change of mind is a new version."""


@dataclass(frozen=True, slots=True)
class CustomerHistory:
    """What a customer has at risk now, in minor units, and how many losses were written off."""

    at_risk_minor: int = 0
    write_offs: int = 0

    def with_another(self, amount_minor: int) -> "CustomerHistory":
        """The history when one more payment is under way."""
        return CustomerHistory(self.at_risk_minor + amount_minor, self.write_offs)


def decide_delivery(
    policy: RiskPolicy, purpose: PaymentPurpose, amount_minor: int, currency: str, history: CustomerHistory
) -> Delivery:
    """RSK-2: deliver on authorisation (CaaS assumes the settlement risk) unless a limit says refuse.

    A final payment has no rating and no limit (RSK-1): it blocks, and the price of a vehicle exceeds them all. A
    monthly bill is rated high, and is for use that was delivered: what its customer owes besides refuses no bill.
    """
    reasons = _unpayable(policy, amount_minor, currency)
    if not reasons and RATINGS[purpose] is not RiskRating.NONE:
        reasons = _over_limits(policy, amount_minor, CustomerHistory() if purpose in policy.owed_already else history)
    return Delivery(
        decision=DeliveryDecision.REFUSE if reasons else DeliveryDecision.ON_AUTHORIZATION,
        rating=RATINGS[purpose],
        reasons=reasons or ["within_limits"],
        policy_version=policy.version,
    )


def _unpayable(policy: RiskPolicy, amount_minor: int, currency: str) -> list[str]:
    if currency != policy.currency:
        return ["currency_not_covered"]
    return ["nothing_to_pay"] if amount_minor == 0 else []


def _over_limits(policy: RiskPolicy, amount_minor: int, history: CustomerHistory) -> list[str]:
    found = {
        "amount_over_limit": amount_minor > policy.max_amount_minor,
        "exposure_over_limit": history.at_risk_minor + amount_minor > policy.max_exposure_minor,
        "too_many_write_offs": history.write_offs > policy.max_write_offs,
    }
    return [reason for reason, objects in found.items() if objects]
