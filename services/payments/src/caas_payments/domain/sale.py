"""The synchronous sale (RES-1, FIN-2): money that is taken at once because no activation has to succeed first.

Invariant: only what is not a service is sold (SVC-6), and money that a payment without it took is given back.
"""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from caas_contracts.operations import AlertKind
from caas_payments.domain import events
from caas_payments.domain.attempt import AttemptState, Operation
from caas_payments.domain.payment import Change, Owed, Sale
from caas_payments.domain.status import PaymentStatus

ORPHAN_SALE = "orphan_sale"
"""Why the money of a payment that had ended goes back."""


def take_sale(change: Change, sale: Sale, now: datetime) -> Change:
    """The money was taken. A settlement line that was faster than the answer settles the payment at once."""
    taken = change.closing(AttemptState.SUCCEEDED, "sold", now)
    captured = replace(taken.payment, sale=sale, captured_minor=change.attempt.amount_minor)
    taken = _confirmed(taken.setting(captured)).telling(events.confirmed(captured.intent, sale, now))
    return taken.moving(PaymentStatus.SETTLED) if captured.settled_minor else taken


def return_orphan(change: Change, sale: Sale, refund_id: UUID, now: datetime) -> Change:
    """The gateway took money for a payment that ended without it: all of it goes back, and is told (GW-4)."""
    amount_minor = change.payment.intent.amount.amount_minor
    taken = replace(change.payment, sale=sale, captured_minor=amount_minor, refunding_minor=amount_minor)
    found = change.setting(taken).adding(Owed(refund_id, amount_minor, ORPHAN_SALE))
    found = found.telling(events.orphan_found(taken, sale, now)).alerting(
        AlertKind.OUTCOME_UNKNOWN,
        f"the gateway took {sale.transaction_id} for an ended payment: it is being given back",
    )
    return found.opening(Operation.REFUND, amount_minor, now, refund_id=refund_id)


def _confirmed(change: Change) -> Change:
    """PAY-2 has no way from PENDING to CONFIRMED: a sale decided later is held and taken in one step (ADR 0011)."""
    if change.payment.status is PaymentStatus.PENDING:
        return change.moving(PaymentStatus.AUTHORIZED, "sale_decided_later").moving(PaymentStatus.CAPTURING)
    return change.moving(PaymentStatus.CONFIRMED)
