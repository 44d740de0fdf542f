"""Trying a risk policy on past payments (RSK-2): it reads, and decides nothing."""

from datetime import datetime

from caas_chassis.transaction import Tx
from caas_payments.domain.risk import RiskPolicy
from caas_payments.domain.trial import Trial
from caas_payments.store.risk import count_without_inputs, read_decisions


async def try_policy(policy: RiskPolicy, since: datetime, until: datetime, /, *, tx: Tx) -> tuple[Trial, int]:
    """What it would have decided from `since` to before `until`, and how many payments it cannot be tried on."""
    trial = Trial(policy)
    async for past in read_decisions(tx, policy.currency, since, until):
        trial.judge(past)
    return trial, await count_without_inputs(tx, since, until)
