"""What billing does when something was bought, paid or given back, and when a document was made or mailed.

Invariant: every captured service payment has exactly one invoice and every refund of it exactly one credit
note, whichever order the facts arrive in.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, assert_never
from uuid import UUID

from caas_billing.domain.credit_note import Refund, issue_credit_note
from caas_billing.domain.document import Document, document_of_credit_note, document_of_invoice
from caas_billing.domain.invoice import issue_invoice
from caas_billing.domain.mailing import Mailing, MailingStatus, delay_before_attempt
from caas_billing.domain.numbering import Series
from caas_billing.domain.sale import Sale
from caas_billing.errors import RefundExceedsCapture, RefundWithoutCapture
from caas_billing.gateway.postman import Deferred, MailDocument, MailResult, Postman, Refused, Sent
from caas_billing.gateway.typesetting import Typeset, TypesetDocument, Typesetter
from caas_billing.store import credit_notes, documents, invoices, numbers, sales
from caas_chassis.cause import Cause
from caas_chassis.effects import Done, Effect
from caas_chassis.handling import Handler, Received
from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx
from caas_contracts import Message, Money
from caas_contracts.operations import AlertKind
from caas_contracts.orders import PurchasePlaced
from caas_contracts.payments import PaymentCaptured, PaymentEvent, PaymentPurpose, PaymentRefunded

TYPESET: Final = "typeset"
MAIL: Final = "mail"

type Causes = Mapping[UUID, Cause]


async def bill_purchases(received: Sequence[Received[PurchasePlaced]], *, tx: Tx) -> None:
    """Remember what was bought; when it is paid already, issue its invoice (INV-1).

    A refund can have come first too: its credit note follows the invoice.
    """
    causes = {one.message.payment_id: one.cause for one in received}
    completed = await sales.add_purchases(tx, [one.message for one in received])
    await _issue_invoices(completed, causes, tx=tx)
    await _issue_credit_notes([sale.payment_id for sale in completed], causes, tx=tx)


async def bill_captures(received: Sequence[Received[PaymentCaptured]], *, tx: Tx) -> None:
    """Remember what was paid; when the purchase is known already, issue its invoice (INV-1).

    Payments capture only on the proof of a successful activation, so only those are invoiced (SVC-6).
    """
    paid = _of_services(received)
    causes = {one.message.payment_id: one.cause for one in paid}
    completed = await sales.add_captures(tx, [one.message for one in paid])
    await _issue_invoices(completed, causes, tx=tx)


async def credit_refunds(received: Sequence[Received[PaymentRefunded]], *, tx: Tx) -> None:
    """Issue a credit note for each refund, as soon as there is an invoice; never above it (PAY-8, INV-3)."""
    given_back = _of_services(received)
    causes = {one.message.payment_id: one.cause for one in given_back}
    captured = await sales.lock_captured(tx, list(causes))
    known = await credit_notes.known_refunds(tx, [one.message.refund_id for one in given_back])
    new = {one.message.refund_id: one.message for one in given_back if one.message.refund_id not in known}
    refunds = _accepted(new.values(), captured)
    await credit_notes.add_refunds(tx, refunds)
    await sales.add_refunded(tx, _sums(refunds))
    await _issue_credit_notes(list(causes), causes, tx=tx)


async def record_typeset(done: Sequence[Done[TypesetDocument, Typeset]], /, *, tx: Tx) -> None:
    """Keep the PDFs, tell those who wait for them, and have each mailed (INV-4)."""
    by_id = {one.payload.document.document_id: one for one in done}
    made = [(key, one.payload.document.kind, one.result.pdf) for key, one in by_id.items()]
    for document_id in await documents.add_documents(tx, made):
        tx.notify(document_key(document_id))
        _mail(by_id[document_id].payload.document, 0, by_id[document_id].cause, tx=tx)


async def record_mailed(done: Sequence[Done[MailDocument, MailResult]], /, *, tx: Tx) -> None:
    """Record what the mail server said; try again later what it deferred (NOT-1, NOT-2)."""
    waiting = await documents.lock_waiting_mailings(tx, [one.payload.document.document_id for one in done])
    changed = []
    for one in done:
        mailing = waiting.get(one.payload.document.document_id)
        if mailing is not None:
            changed.append(_after(one.result, mailing))
            _follow_up(changed[-1], one, tx=tx)
    await documents.update_mailings(tx, changed)


def effects(typesetter: Typesetter, postman: Postman, *, at_once: Mapping[str, int]) -> list[Effect[Any, Any]]:
    """Billing's calls to the outside; `at_once` says how many of each run at the same time."""
    return [
        Effect(TYPESET, TypesetDocument, typesetter.typeset, record_typeset, concurrency=at_once[TYPESET]),
        Effect(MAIL, MailDocument, postman.send, record_mailed, concurrency=at_once[MAIL], timeout_s=130.0),
    ]


def document_key(document_id: UUID) -> str:
    """What a download waits for until the PDF is there."""
    return f"document:{document_id}"


async def _issue_invoices(completed: Sequence[Sale], causes: Causes, *, tx: Tx) -> None:
    if not completed:
        return
    block = await numbers.take_numbers(tx, Series.SERVICE, len(completed), tx.now)  # INV-2
    issued = [
        issue_invoice(sale, new_id(), number, block.issued_at) for sale, number in zip(completed, block, strict=True)
    ]
    await invoices.add_invoices(tx, [invoice for invoice, _ in issued])
    for invoice, event in issued:
        cause = causes[event.payment_id]
        tx.publish(event, cause=cause)
        _typeset(document_of_invoice(invoice), cause, tx=tx)


async def _issue_credit_notes(payment_ids: Sequence[UUID], causes: Causes, *, tx: Tx) -> None:
    if not payment_ids:
        return
    due = await credit_notes.refunds_without_credit_note(tx, payment_ids)
    if not due:
        return
    block = await numbers.take_numbers(tx, Series.CREDIT_NOTE, len(due), tx.now)  # INV-2
    issued = [
        issue_credit_note(invoice, refund, new_id(), number, block.issued_at)
        for (invoice, refund), number in zip(due, block, strict=True)
    ]
    await credit_notes.add_credit_notes(tx, [note for note, _ in issued])
    for note, event in issued:
        cause = causes[event.payment_id]
        tx.publish(event, cause=cause)
        _typeset(document_of_credit_note(note), cause, tx=tx)


def _accepted(new: Iterable[PaymentRefunded], captured: Mapping[UUID, tuple[Money, int]]) -> list[Refund]:
    """Raises RefundWithoutCapture or RefundExceedsCapture for the first refund that cannot be (PAY-8)."""
    refunded = {payment_id: before for payment_id, (_, before) in captured.items()}
    accepted = []
    for message in new:
        if message.payment_id not in captured:
            raise RefundWithoutCapture(message.refund_id, message.payment_id)
        limit, _ = captured[message.payment_id]
        before = refunded[message.payment_id]
        after = before + message.refunded.amount_minor
        if message.refunded.currency != limit.currency or after > limit.amount_minor:
            raise RefundExceedsCapture(message.refund_id, message.payment_id)
        refunded[message.payment_id] = after
        accepted.append(_refund(message, before))
    return accepted


def _refund(message: PaymentRefunded, refunded_before_minor: int) -> Refund:
    return Refund(
        refund_id=message.refund_id,
        payment_id=message.payment_id,
        refunded=message.refunded,
        refunded_before_minor=refunded_before_minor,
        reason=message.reason,
        refunded_at=message.occurred_at,
    )


def _sums(refunds: Sequence[Refund]) -> dict[UUID, int]:
    sums: dict[UUID, int] = {}
    for refund in refunds:
        sums[refund.payment_id] = sums.get(refund.payment_id, 0) + refund.refunded.amount_minor
    return sums


def _of_services[P: PaymentEvent](received: Sequence[Received[P]]) -> list[Received[P]]:
    """Those of one-time services; other payments are invoiced by other functions (INV-1)."""
    return [one for one in received if one.message.purpose is PaymentPurpose.SERVICE]


def _typeset(document: Document, cause: Cause, *, tx: Tx) -> None:
    tx.enqueue(TYPESET, TypesetDocument(document=document), key=str(document.document_id), cause=cause)


def _mail(document: Document, attempt: int, cause: Cause, *, tx: Tx) -> None:
    task = MailDocument(document=document, attempt=attempt)
    tx.enqueue(MAIL, task, key=f"{document.document_id}:{attempt}", delay=delay_before_attempt(attempt), cause=cause)


def _after(result: MailResult, mailing: Mailing) -> Mailing:
    match result:
        case Sent(answer):
            return mailing.sent(answer)
        case Refused(answer):
            return mailing.refused(answer)
        case Deferred(answer):
            return mailing.deferred(answer)
        case _:
            assert_never(result)


def _follow_up(mailing: Mailing, done: Done[MailDocument, MailResult], *, tx: Tx) -> None:
    document = done.payload.document
    match mailing.status:
        case MailingStatus.SENT:
            return
        case MailingStatus.WAITING:
            _mail(document, mailing.attempts, done.cause, tx=tx)
        case MailingStatus.REFUSED | MailingStatus.GIVEN_UP:
            detail = (
                f"the e-mail with {document.number} is {mailing.status.value} ({mailing.attempts} attempts): "
                "read the mail server's answer with GET /mailings, and reach the customer in another way"
            )
            tx.alert(AlertKind.RETRIES_EXHAUSTED, document.number, detail, cause=done.cause)
        case _:
            assert_never(mailing.status)


HANDLERS: Mapping[type[Message], Handler[Any]] = {
    PurchasePlaced: bill_purchases,
    PaymentCaptured: bill_captures,
    PaymentRefunded: credit_refunds,
}
