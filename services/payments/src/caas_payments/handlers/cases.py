"""What operators say about frozen attempts: ask again, it happened, it never happened (GW-4)."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_payments.domain.attempt import GIVEN_UP_IN_THE_END
from caas_payments.domain.outcome import Circumstances, Ruling, apply_ruling
from caas_payments.domain.payment import Change, Payment, Ruled
from caas_payments.domain.rules import Rules
from caas_payments.errors import CaseClosed, CaseNotFound, ResolutionIncomplete
from caas_payments.handlers.batch import Batch
from caas_payments.handlers.outcomes import with_next_refund
from caas_payments.store import cases, refunds


class Outcome(StrEnum):
    """A person's word on a frozen attempt."""

    ASK_AGAIN = "ask_again"
    HAPPENED = "happened"
    NEVER_HAPPENED = "never_happened"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """`gateway_transaction_id` is needed where the gateway's transaction is not known yet."""

    outcome: Outcome
    gateway_transaction_id: str
    note: str


async def resolve_case(case_id: UUID, resolution: Resolution, *, tx: Tx, rules: Rules) -> None:
    """Move everything that hangs on the attempt, as the same answer of the gateway would; `ask_again` moves nothing.

    Raises CaseNotFound, CaseClosed, ResolutionIncomplete.
    """
    case = await cases.read_case(tx, case_id)
    if case is None:
        raise CaseNotFound(f"there is no case {case_id}")
    batch = await Batch.lock(tx, {case.payment_id}, rules.jitter)
    payment = batch.require(case.payment_id)
    if payment.attempt is None or payment.attempt.number != case.number or not payment.frozen:
        raise CaseClosed(f"case {case_id} is closed: read it again")
    if resolution.outcome is Outcome.ASK_AGAIN:
        await _ask_again(batch, payment, case_id, resolution, tx)
    else:
        await _rule(batch, payment, case_id, resolution, tx, rules)
    await batch.write()


async def _ask_again(batch: Batch, payment: Payment, case_id: UUID, resolution: Resolution, tx: Tx) -> None:
    await cases.note_case(tx, case_id, resolution.note, tx.cause.actor)
    batch.apply(Change(payment).adding(Ruled(payment.status, resolution.outcome, resolution.note)), tx.cause)
    batch.hint(payment, tx.cause)


async def _rule(batch: Batch, payment: Payment, case_id: UUID, resolution: Resolution, tx: Tx, rules: Rules) -> None:
    attempt = payment.attempt
    assert attempt is not None, "only an open attempt is frozen"
    happened = resolution.outcome is Outcome.HAPPENED
    if happened and attempt.operation in GIVEN_UP_IN_THE_END and not resolution.gateway_transaction_id:
        raise ResolutionIncomplete("say gateway_transaction_id: the transaction that the gateway has for this payment")
    known = await refunds.read_refunds_of(tx, {payment.id})
    by_id = {one.id: one for of_payment in known.values() for one in of_payment}
    ruling = Ruling(happened=happened, transaction_id=resolution.gateway_transaction_id, note=resolution.note)
    change = apply_ruling(payment, ruling, Circumstances(rules.terms, tx.now, new_id(), by_id))
    # First, so that the change finds the case closed by this person.
    await cases.rule_case(tx, case_id, resolution.outcome, resolution.note, tx.cause.actor)
    batch.apply(with_next_refund(change, attempt.refund_id, known, tx), tx.cause)
