"""The risk rating and the immediate-delivery decision (RSK-1, RSK-2). Policies are data: `policies/<version>.toml`.

Invariant: a released version never changes, because decisions refer to it; a change of mind is a new version.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final

from caas_contracts import Money
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

_CAN_WAIT: Final = frozenset({Wish.HOLD, Wish.AHEAD})
"""What is delivered later than it is paid; a renewal's service is in the car, and a sale delivers nothing by itself."""

_POLICY_KEYS: Final = frozenset({"version", "currency", "owed_already", "refuse", "after_settlement"})
_LIMIT_KEYS: Final = frozenset({"amount_over_minor", "exposure_over_minor", "write_offs_over", "services"})


@dataclass(frozen=True, slots=True)
class CustomerHistory:
    """What a customer has at risk now, in minor units, and how many losses were written off."""

    at_risk_minor: int = 0
    write_offs: int = 0

    def with_another(self, amount_minor: int) -> "CustomerHistory":
        """The history when one more payment is under way."""
        return CustomerHistory(self.at_risk_minor + amount_minor, self.write_offs)


@dataclass(frozen=True, slots=True)
class Question:
    """What a delivery decision is about."""

    purpose: PaymentPurpose
    wish: Wish
    amount: Money
    service_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What may not be passed, in minor units of the policy's currency; None is no limit.

    `exposure_minor` bounds what a customer may have under way or delivered without settlement, this payment
    included; `write_offs` how many losses a customer may have caused before; `services` are never within.
    """

    amount_minor: int | None = None
    exposure_minor: int | None = None
    write_offs: int | None = None
    services: frozenset[str] = frozenset()

    def passed_by(self, question: Question, history: CustomerHistory) -> list[str]:
        """Which of them are passed."""
        amount_minor = question.amount.amount_minor
        passed = {
            "amount": _beyond(amount_minor, self.amount_minor),
            "exposure": _beyond(history.at_risk_minor + amount_minor, self.exposure_minor),
            "write_offs": _beyond(history.write_offs, self.write_offs),
            "service": question.service_code in self.services,
        }
        return [limit for limit, objects in passed.items() if objects]


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskPolicy:
    """One version of the policy: beyond `refuse` nothing is sold, beyond `after_settlement` nothing is delivered
    before its money has come.

    `owed_already` are purposes of what was delivered before: only the amount is limited, because not charging it
    delivers nothing less.
    """

    version: int
    currency: str
    refuse: Limits
    after_settlement: Limits = Limits()
    owed_already: frozenset[PaymentPurpose] = frozenset()


@cache
def released_policies() -> Mapping[int, RiskPolicy]:
    """The policies packaged with this release by version, read at the first use."""
    files = resources.files("caas_payments").joinpath("policies").iterdir()
    policies = [policy_from(tomllib.loads(one.read_text(encoding="utf-8"))) for one in files]
    return {policy.version: policy for policy in policies}


def policy_from(data: Mapping[str, Any]) -> RiskPolicy:
    """A policy from its data. Raises ValueError, with words for whoever wrote it."""
    _only_known(data, _POLICY_KEYS, "a policy")
    missing = sorted({"version", "currency", "refuse"} - data.keys())
    if missing:
        raise ValueError(f"a policy needs {', '.join(missing)}")
    return RiskPolicy(
        version=_count(data, "version") or 0,
        currency=_text(data["currency"]),
        refuse=_limits(data["refuse"]),
        after_settlement=_limits(data.get("after_settlement", {})),
        owed_already=frozenset(PaymentPurpose(name) for name in _texts(data, "owed_already")),
    )


def decide_delivery(policy: RiskPolicy, question: Question, history: CustomerHistory) -> Delivery:
    """RSK-2: deliver on authorisation (CaaS assumes the settlement risk), after settlement, or refuse.

    A final payment has no rating and no limit (RSK-1): it blocks, and the price of a vehicle exceeds them all. A
    monthly bill is rated high, and is for use that was delivered: what its customer owes besides refuses no bill.
    """
    decision, reasons = DeliveryDecision.REFUSE, _refusals(policy, question, history)
    if not reasons and question.wish in _CAN_WAIT:
        decision = DeliveryDecision.AFTER_SETTLEMENT
        reasons = [f"{limit}_settles_first" for limit in policy.after_settlement.passed_by(question, history)]
    return Delivery(
        decision=decision if reasons else DeliveryDecision.ON_AUTHORIZATION,
        rating=RATINGS[question.purpose],
        reasons=reasons or ["within_limits"],
        policy_version=policy.version,
    )


_REFUSALS: Final = {
    "amount": "amount_over_limit",
    "exposure": "exposure_over_limit",
    "write_offs": "too_many_write_offs",
    "service": "service_not_sold",
}


def _refusals(policy: RiskPolicy, question: Question, history: CustomerHistory) -> list[str]:
    if question.amount.currency != policy.currency:
        return ["currency_not_covered"]
    if question.amount.amount_minor == 0:
        return ["nothing_to_pay"]
    if RATINGS[question.purpose] is RiskRating.NONE:
        return []
    known = CustomerHistory() if question.purpose in policy.owed_already else history
    return [_REFUSALS[limit] for limit in policy.refuse.passed_by(question, known)]


def _beyond(value: int, limit: int | None) -> bool:
    return limit is not None and value > limit


def _limits(data: Mapping[str, Any]) -> Limits:
    if not isinstance(data, Mapping):
        raise ValueError("refuse and after_settlement are tables of limits")
    _only_known(data, _LIMIT_KEYS, "a table of limits")
    return Limits(
        amount_minor=_count(data, "amount_over_minor"),
        exposure_minor=_count(data, "exposure_over_minor"),
        write_offs=_count(data, "write_offs_over"),
        services=frozenset(_texts(data, "services")),
    )


def _only_known(data: Mapping[str, Any], known: frozenset[str], thing: str) -> None:
    unknown = sorted(data.keys() - known)
    if unknown:
        raise ValueError(f"{thing} has no {', '.join(unknown)}; it may have {', '.join(sorted(known))}")


def _count(data: Mapping[str, Any], name: str) -> int | None:
    value = data.get(name)
    if value is not None and (type(value) is not int or value < 0):
        raise ValueError(f"{name} is a whole number of at least 0, not {value!r}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _texts(data: Mapping[str, Any], name: str) -> list[str]:
    values = data.get(name, [])
    if not isinstance(values, list):
        raise ValueError(f"{name} is a list of texts")
    return [_text(value) for value in values]
