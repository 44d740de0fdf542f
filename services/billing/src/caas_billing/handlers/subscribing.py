"""Subscriptions as orders tells of them: what they cost, that they run, and that customers gave them up (SUB-1, SUB-7).

Invariant: a subscription that its customer cancelled is never billed beyond that, whichever fact is heard first.
"""

from collections.abc import Sequence

from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.domain.rate_plan import plan_version
from caas_billing.domain.sale import Customer
from caas_billing.domain.subscription import Standing, Terms, started
from caas_billing.store import rate_plans, subscriptions
from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertKind
from caas_contracts.subscriptions import RatePlanPublished, SubscriptionCancelled, SubscriptionStarted


async def keep_plans(received: Sequence[Received[RatePlanPublished]], *, tx: Tx) -> None:
    """Keep versions of rate plans, which never change (SUB-3)."""
    await rate_plans.add_plans(tx, [plan_version(one.message.plan) for one in received])


async def start_subscriptions(
    received: Sequence[Received[SubscriptionStarted]], *, tx: Tx, policy: BillingPolicy
) -> None:
    """The service runs: from its month on it is billed monthly, by the plan that was agreed (SUB-1, SUB-3)."""
    messages = [one.message for one in received]
    await subscriptions.lock_names(tx, [one.subscription_id for one in messages])
    await rate_plans.add_plans(tx, [plan_version(one.plan) for one in messages])
    cancelled = await subscriptions.find_cancellations(tx, [one.subscription_id for one in messages])
    new = []
    for message in messages:
        terms = _terms(message)
        standing = started(terms, message.payment_method, policy.period_of(message.started_at), tx.now)
        if terms.subscription_id in cancelled:
            standing = standing.cancelled(max(cancelled[terms.subscription_id], terms.started_at), tx.now)
        new.append((terms, standing))
    await subscriptions.add_subscriptions(tx, new)


async def cancel_subscriptions(
    received: Sequence[Received[SubscriptionCancelled]], *, tx: Tx, policy: BillingPolicy
) -> None:
    """The customer gave it up: its last period is billed at its end, up to that instant (SUB-7).

    Orders has the car deactivated. What was charged and failed stays owed, and is charged on.
    """
    instants = {one.message.subscription_id: one.message.cancelled_at for one in received}
    causes = {one.message.subscription_id: one.cause for one in received}
    await subscriptions.lock_names(tx, instants)
    await subscriptions.add_cancellations(tx, instants)
    before = await subscriptions.lock_standings(tx, instants)
    terms = await subscriptions.find_terms(tx, before)
    after = {
        name: standing.cancelled(max(instants[name], terms[name].started_at), tx.now)
        for name, standing in before.items()
    }
    changed = {name: standing for name, standing in after.items() if standing != before[name]}
    await subscriptions.save_standings(tx, list(changed.values()))
    for name, standing in changed.items():
        if _billed_beyond_its_end(standing, policy):
            detail = (
                f"subscription {name} ended at {standing.ended_at}, which was heard after that month was billed: "
                "look whether its invoices charge for later days, and give that back"
            )
            tx.alert(AlertKind.LATE_CANCELLATION, str(name), detail, cause=causes[name])


def _billed_beyond_its_end(standing: Standing, policy: BillingPolicy) -> bool:
    """Whether a period that holds its end, or a later one, is closed already."""
    if standing.ended_at is None:
        return False
    return standing.next_period is None or standing.next_period > policy.period_of(standing.ended_at)


def _terms(message: SubscriptionStarted) -> Terms:
    return Terms(
        subscription_id=message.subscription_id,
        customer=Customer(
            message.customer_id,
            message.customer_name,
            message.customer_email,
            message.customer_tax_id,
            message.customer_language,
        ),
        vehicle_id=message.vehicle_id,
        service_code=message.service_code,
        service_name=message.service_name,
        plan_code=message.plan.plan_code,
        plan_version=message.plan.version,
        currency=message.plan.currency,
        vat_rate_bp=message.vat_rate_bp,
        activation_id=message.activation_id,
        started_at=message.started_at,
    )
