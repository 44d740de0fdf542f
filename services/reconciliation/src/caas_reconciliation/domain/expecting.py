"""Which facts make us expect money in the settlement feed (RCN-2)."""

from uuid import UUID

from caas_reconciliation.domain.facts import Fact, FactKind
from caas_reconciliation.domain.settlement import Expectation, ExpectationKind


def expectation_of(fact: Fact) -> Expectation:
    """What a capture, a sale or a refund lets us expect. Raises ValueError for another fact."""
    kind, amount_minor = _signed(fact)
    return Expectation(
        expectation_id=UUID(fact.fact_id),
        kind=kind,
        payment_id=fact.paid_by,
        customer_id=fact.customer_id,
        transaction_id=fact.transaction_id,
        amount_minor=amount_minor,
        currency=fact.currency,
        occurred_at=fact.occurred_at,
    )


def _signed(fact: Fact) -> tuple[ExpectationKind, int]:
    if fact.kind in (FactKind.PAYMENT_CAPTURED, FactKind.SALE_CONFIRMED, FactKind.PREPAYMENT_CONFIRMED):
        return ExpectationKind.CAPTURE, fact.amount_minor
    if fact.kind is FactKind.PAYMENT_REFUNDED:
        return ExpectationKind.REFUND, -fact.amount_minor
    raise ValueError(f"{fact.kind} moves no money at the gateway: expect nothing of it")
