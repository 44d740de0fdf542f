"""What customers do about what they owe: pay an invoice now, or name another payment method (SUB-6, PAY-9)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from caas_billing.domain import dunning
from caas_billing.domain.receivable import UNDER_WAY, AskedBy, ReceivableStatus
from caas_billing.domain.subscription import Standing
from caas_billing.errors import (
    InvoiceAlreadyPaid,
    InvoiceBeingPaid,
    InvoiceNotFound,
    PaymentMethodRefused,
    SubscriptionNotFound,
    SubscriptionOver,
)
from caas_billing.handlers.dunning import Book
from caas_billing.store import receivables, subscriptions
from caas_chassis.ids import new_id
from caas_chassis.transaction import Tx


@dataclass(frozen=True, slots=True)
class PayingWish:
    """A customer wants to pay an invoice now, with this method or, by default, the subscription's."""

    invoice_id: UUID
    customer_id: str
    payment_method: str | None


async def pay_invoice(wish: PayingWish, *, tx: Tx) -> UUID:
    """Charge an open or collected invoice with the customer present; returns the payment that is asked for.

    Raises InvoiceNotFound, InvoiceAlreadyPaid, InvoiceBeingPaid or PaymentMethodRefused.
    """
    owners = await receivables.find_owners(tx, [wish.invoice_id])
    book = await Book.open(set(owners.values()), owners, tx=tx)
    if wish.invoice_id not in owners or book.case(wish.invoice_id).terms.customer.customer_id != wish.customer_id:
        raise InvoiceNotFound(f"no monthly invoice {wish.invoice_id} of yours: list them with GET /subscriptions")
    case = book.case(wish.invoice_id)
    status = case.receivable.status
    if status is ReceivableStatus.PAID:
        raise InvoiceAlreadyPaid(f"invoice {case.receivable.invoice_number} is paid: nothing was charged")
    if status in UNDER_WAY:
        raise InvoiceBeingPaid(f"see GET /subscriptions/{case.terms.subscription_id} for what it waits for")
    method = wish.payment_method or case.standing.payment_method
    _require_usable(method, case.standing)
    payment_id = new_id()
    book.apply(dunning.charge(case, payment_id, method, AskedBy.CUSTOMER, tx.now), tx.cause)
    await book.save(tx=tx)
    return payment_id


async def change_method(subscription_id: UUID, customer_id: str, payment_method: str, *, tx: Tx) -> Sequence[UUID]:
    """Charge another method from now on, and what waits for its next attempt at once: the customer is present.

    Naming the same method again charges nothing. Returns the invoices that are charged. Raises SubscriptionNotFound,
    SubscriptionOver or PaymentMethodRefused.
    """
    book = await Book.open([subscription_id], [], tx=tx)
    if subscription_id not in book.terms or book.terms[subscription_id].customer.customer_id != customer_id:
        raise SubscriptionNotFound(f"no subscription {subscription_id} of yours: list them with GET /subscriptions")
    standing = book.standings[subscription_id]
    if standing.next_period is None and not book.receivables:
        raise SubscriptionOver("it has ended and everything is paid: no method is needed any more")
    _require_usable(payment_method, standing)
    if payment_method == standing.payment_method:
        return []
    changed = replace(standing, payment_method=payment_method, method_refused=False, changed_at=tx.now)
    book.standings[subscription_id] = changed
    await subscriptions.save_standings(tx, [changed])
    waiting = [one.invoice_id for one in book.receivables.values() if one.status is ReceivableStatus.RETRY]
    for invoice_id in waiting:
        change = dunning.charge(book.case(invoice_id), new_id(), payment_method, AskedBy.CUSTOMER, tx.now)
        book.apply(change, tx.cause)
    await book.save(tx=tx)
    return waiting


def _require_usable(payment_method: str, standing: Standing) -> None:
    if standing.method_refused and payment_method == standing.payment_method:
        raise PaymentMethodRefused("the bank refused it for good: send another payment method")
