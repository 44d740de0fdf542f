"""What happens to an issued document: typeset once, mailed once, tried again while the mail server defers (INV-4)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never
from uuid import UUID

from pydantic import BaseModel

from caas_billing.domain.document import Document
from caas_billing.domain.mailing import Mailing, MailingStatus, delay_before_attempt
from caas_billing.gateway.postman import Deferred, MailDocument, MailResult, Postman, Refused, Sent
from caas_billing.gateway.typesetting import StoredTypesetter, Typeset, TypesetDocument, TypesetStored, Typesetter
from caas_billing.handlers.issuing import TYPESET, TYPESET_STORED
from caas_billing.store import documents
from caas_chassis.cause import Cause
from caas_chassis.effects import Done, Effect
from caas_chassis.transaction import Tx
from caas_contracts.operations import AlertKind

MAIL: Final = "mail"


async def record_typeset[Task: BaseModel](done: Sequence[Done[Task, Typeset]], /, *, tx: Tx) -> None:
    """Keep the PDFs, tell those who wait for them, and have each mailed (INV-4)."""
    by_id = {one.result.document.document_id: one for one in done}
    made = [(key, one.result.document.kind, one.result.pdf) for key, one in by_id.items()]
    for document_id in await documents.add_documents(tx, made):
        tx.notify(document_key(document_id))
        _mail(by_id[document_id].result.document.without_detail, 0, by_id[document_id].cause, tx=tx)


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


def effects(
    typesetter: Typesetter, stored: StoredTypesetter, postman: Postman, *, at_once: Mapping[str, int]
) -> list[Effect[Any, Any]]:
    """Billing's calls to the outside; `at_once` says how many of each run at the same time."""
    return [
        Effect(TYPESET_STORED, TypesetStored, stored.typeset, record_typeset, concurrency=at_once[TYPESET]),
        Effect(TYPESET, TypesetDocument, typesetter.typeset, record_typeset, concurrency=at_once[TYPESET]),
        Effect(MAIL, MailDocument, postman.send, record_mailed, concurrency=at_once[MAIL], timeout_s=130.0),
    ]


def document_key(document_id: UUID) -> str:
    """What a download waits for until the PDF is there."""
    return f"document:{document_id}"


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
