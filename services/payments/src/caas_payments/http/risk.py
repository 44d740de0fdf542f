"""The risk policies for operators: which there are, and what another one would have decided (RSK-1, RSK-2)."""

from collections import Counter
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from caas_chassis.auth import Principal
from caas_chassis.runtime import Runtime
from caas_chassis.web import Depends, requires
from caas_payments.domain.risk import Limits, RiskPolicy, policy_from, released_policies
from caas_payments.domain.rules import Rules
from caas_payments.domain.trial import Otherwise, Trial
from caas_payments.errors import PolicyRefused
from caas_payments.handlers.trying import try_policy
from caas_payments.http.views import View
from caas_payments.store.risk import EVER

type Operator = Annotated[Principal, Depends(requires("operator"))]


class LimitsView(View):
    """Beyond any of these, in minor units of the policy's currency; null is no limit."""

    amount_minor: int | None
    exposure_minor: int | None
    write_offs: int | None
    services: list[str]

    @classmethod
    def of(cls, limits: Limits) -> "LimitsView":
        return cls(
            amount_minor=limits.amount_minor,
            exposure_minor=limits.exposure_minor,
            write_offs=limits.write_offs,
            services=sorted(limits.services),
        )


class PolicyView(View):
    """One released version."""

    version: int
    decides: bool
    currency: str
    refuse: LimitsView
    after_settlement: LimitsView
    owed_already: list[str]

    @classmethod
    def of(cls, policy: RiskPolicy, deciding: int) -> "PolicyView":
        return cls(
            version=policy.version,
            decides=policy.version == deciding,
            currency=policy.currency,
            refuse=LimitsView.of(policy.refuse),
            after_settlement=LimitsView.of(policy.after_settlement),
            owed_already=sorted(policy.owed_already),
        )


class PolicyList(BaseModel):
    """The released versions, the oldest first."""

    policies: list[PolicyView]


class TrialRequest(BaseModel):
    """A policy in the form of the released files, and the time whose payments it is tried on: all unless said."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    policy: dict[str, Any]
    since: Annotated[AwareDatetime, Field(strict=False)] = EVER[0]
    until: Annotated[AwareDatetime, Field(strict=False)] = EVER[1]


class OtherwiseView(View):
    """A payment that would have been decided otherwise."""

    payment_id: UUID
    was: str
    would_be: str
    reasons: list[str]


class OutcomeView(BaseModel):
    """Payments that were decided one way and would be another; amounts in minor units."""

    was: str
    would_be: str
    payments: int
    amount_minor: int
    settled_minor: int
    written_off_minor: int


class TrialReport(BaseModel):
    """What the policy would have decided. `spared_minor` are losses that would not have been delivered first."""

    version: int
    currency: str
    decisions: int
    otherwise: int
    without_inputs: int
    spared_minor: int
    outcomes: list[OutcomeView]
    reasons: Counter[str]
    examples: list[OtherwiseView]

    @classmethod
    def of(cls, trial: Trial, without_inputs: int) -> "TrialReport":
        """The report of a finished trial."""
        return cls(
            version=trial.policy.version,
            currency=trial.policy.currency,
            decisions=trial.decisions,
            otherwise=trial.otherwise,
            without_inputs=without_inputs,
            spared_minor=trial.spared_minor,
            outcomes=_outcomes(trial),
            reasons=trial.reasons,
            examples=[_otherwise(one) for one in trial.examples],
        )


def risk_router(runtime: Runtime, rules: Rules) -> APIRouter:
    """`/risk/policies`."""
    router = APIRouter(prefix="/risk/policies", tags=["risk"])

    @router.get("")
    async def list_policies(_: Operator) -> PolicyList:
        """The released policies, and which of them decides."""
        released = sorted(released_policies().values(), key=lambda policy: policy.version)
        return PolicyList(policies=[PolicyView.of(policy, rules.policy.version) for policy in released])

    @router.post("/trial")
    async def try_a_policy(wish: TrialRequest, _: Operator) -> TrialReport:
        """A dry run: decide past payments anew, from what was known then. Nothing changes."""
        policy = _policy(wish.policy)
        async with runtime.reading() as tx:
            trial, without_inputs = await try_policy(policy, wish.since, wish.until, tx=tx)
        return TrialReport.of(trial, without_inputs)

    return router


def _policy(data: dict[str, Any]) -> RiskPolicy:
    try:
        return policy_from(data)
    except ValueError as error:
        raise PolicyRefused(str(error)) from error


def _outcomes(trial: Trial) -> list[OutcomeView]:
    return [
        OutcomeView(
            was=was,
            would_be=would_be,
            payments=outcome.payments,
            amount_minor=outcome.amount_minor,
            settled_minor=outcome.settled_minor,
            written_off_minor=outcome.written_off_minor,
        )
        for (was, would_be), outcome in sorted(trial.outcomes.items())
    ]


def _otherwise(one: Otherwise) -> OtherwiseView:
    return OtherwiseView(payment_id=one.payment_id, was=one.was, would_be=one.would_be, reasons=one.reasons)
