"""The facts that the ledger follows, reduced from the messages of other services to what the books need.

A fact is identified by its kind and id: the same one told twice is one fact (RCN-6).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from caas_contracts.billing import CreditNoteIssued, InvoiceIssued, InvoiceKind, VatAmount
from caas_contracts.orders import PurchasePlaced
from caas_contracts.payments import (
    ChargebackReceived,
    OrphanSaleFound,
    PaymentCaptured,
    PaymentConfirmed,
    PaymentRefunded,
    PaymentSettlementFailed,
    SettlementStage,
)
from caas_contracts.subscriptions import CollectionOpened, CollectionSettled
from caas_contracts.vehicle_orders import VehicleOrderForfeited, VehicleOrderPlaced


class FactKind(StrEnum):
    """What happened; the fact's id is that of the thing in brackets."""

    PURCHASE_PLACED = "purchase_placed"
    """A price and its VAT became known (purchase)."""
    PAYMENT_CAPTURED = "payment_captured"
    """Held money was taken (payment)."""
    SALE_CONFIRMED = "sale_confirmed"
    """Money was taken at once (payment)."""
    PREPAYMENT_CONFIRMED = "prepayment_confirmed"
    """Money was taken ahead of the activation that has to earn it, PLN-1 (payment)."""
    CAPTURE_FAILED = "capture_failed"
    """A delivered service could not be charged, SVC-8 (payment)."""
    SETTLEMENT_FAILED = "settlement_failed"
    """Captured money will not come (payment)."""
    PAYMENT_REFUNDED = "payment_refunded"
    """Captured money went back (refund)."""
    CHARGEBACK_RECEIVED = "chargeback_received"
    """The customer's bank disputes a capture (chargeback)."""
    INVOICE_ISSUED = "invoice_issued"
    """(invoice)"""
    CREDIT_NOTE_ISSUED = "credit_note_issued"
    """(credit note)"""
    VEHICLE_ORDER_PLACED = "vehicle_order_placed"
    """A reservation and its VAT became known (order)."""
    RESERVATION_INVOICED = "reservation_invoiced"
    """A reservation is an advance on the price of a vehicle (invoice)."""
    RESERVATION_CREDITED = "reservation_credited"
    """An advance was given back (credit note)."""
    RESERVATION_FORFEITED = "reservation_forfeited"
    """An advance stays with CaaS, FIN-4 (order)."""
    COLLECTION_OPENED = "collection_opened"
    """An unpaid monthly invoice was given to collections, SUB-6 (collection)."""
    COLLECTION_SETTLED = "collection_settled"
    """It was paid after all (collection)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Amounts are minor units of `currency` and include VAT; `vat_minor` is 0 where VAT plays no part.

    `advance_minor` is the reservation, without VAT, that a vehicle's invoice takes off (RES-5).
    `transaction_id` is the gateway's, known for captures only; `payment_id` is None for a collection, which is
    opened because there was none.
    """

    kind: FactKind
    fact_id: str
    payment_id: UUID | None
    customer_id: str
    amount_minor: int
    vat_minor: int = 0
    advance_minor: int = 0
    currency: str
    occurred_at: datetime
    transaction_id: str | None = None
    message_id: str

    @property
    def paid_by(self) -> UUID:
        """The payment, of a fact that is about one."""
        assert self.payment_id is not None, f"{self.kind} {self.fact_id} is about a payment"
        return self.payment_id


def purchase_placed(message: PurchasePlaced, payment_id: UUID, message_id: str) -> Fact:
    """The VAT is kept because a sale that cannot be captured gets no invoice to say it (SVC-8).

    A subscription has no payment and is no fact: its monthly invoices say what is owed (SUB-4).
    """
    return Fact(
        kind=FactKind.PURCHASE_PLACED,
        fact_id=str(message.purchase_id),
        payment_id=payment_id,
        customer_id=message.customer_id,
        amount_minor=message.price.amount_minor,
        vat_minor=vat_included(message.price.amount_minor, message.vat_rate_bp),
        currency=message.price.currency,
        occurred_at=message.occurred_at,
        message_id=message_id,
    )


def payment_captured(message: PaymentCaptured, message_id: str) -> Fact:
    """What was captured, which may be less than what was held."""
    return Fact(
        kind=FactKind.PAYMENT_CAPTURED,
        fact_id=str(message.payment_id),
        payment_id=message.payment_id,
        customer_id=message.customer_id,
        amount_minor=message.captured.amount_minor,
        currency=message.captured.currency,
        occurred_at=message.occurred_at,
        transaction_id=message.gateway_transaction_id,
        message_id=message_id,
    )


def sale_confirmed(message: PaymentConfirmed | OrphanSaleFound, message_id: str) -> Fact:
    """Taken at once; an orphan, which nobody bought anything with, is in transit until its refund is."""
    taken = message.taken if isinstance(message, OrphanSaleFound) else message.amount
    is_ahead = isinstance(message, PaymentConfirmed) and message.activation_id is not None
    return Fact(
        kind=FactKind.PREPAYMENT_CONFIRMED if is_ahead else FactKind.SALE_CONFIRMED,
        fact_id=str(message.payment_id),
        payment_id=message.payment_id,
        customer_id=message.customer_id,
        amount_minor=taken.amount_minor,
        currency=taken.currency,
        occurred_at=message.occurred_at,
        transaction_id=message.gateway_transaction_id,
        message_id=message_id,
    )


def settlement_failed(message: PaymentSettlementFailed, message_id: str) -> Fact:
    """At the capture nothing was ever in transit; later the money was."""
    lost_at_capture = message.stage is SettlementStage.CAPTURE
    return Fact(
        kind=FactKind.CAPTURE_FAILED if lost_at_capture else FactKind.SETTLEMENT_FAILED,
        fact_id=str(message.payment_id),
        payment_id=message.payment_id,
        customer_id=message.customer_id,
        amount_minor=message.lost.amount_minor,
        currency=message.lost.currency,
        occurred_at=message.occurred_at,
        message_id=message_id,
    )


def payment_refunded(message: PaymentRefunded, message_id: str) -> Fact:
    """One refund of perhaps several (PAY-8)."""
    return Fact(
        kind=FactKind.PAYMENT_REFUNDED,
        fact_id=str(message.refund_id),
        payment_id=message.payment_id,
        customer_id=message.customer_id,
        amount_minor=message.refunded.amount_minor,
        currency=message.refunded.currency,
        occurred_at=message.occurred_at,
        message_id=message_id,
    )


def chargeback_received(message: ChargebackReceived, message_id: str) -> Fact:
    """Opens a case; the money moves with the settlement line."""
    return Fact(
        kind=FactKind.CHARGEBACK_RECEIVED,
        fact_id=message.chargeback_id,
        payment_id=message.payment_id,
        customer_id=message.customer_id,
        amount_minor=message.disputed.amount_minor,
        currency=message.disputed.currency,
        occurred_at=message.occurred_at,
        message_id=message_id,
    )


def invoice_issued(message: InvoiceIssued, message_id: str) -> Fact:
    """The invoice says its VAT itself, and what it takes off (INV-3)."""
    is_advance = message.kind is InvoiceKind.RESERVATION
    return Fact(
        kind=FactKind.RESERVATION_INVOICED if is_advance else FactKind.INVOICE_ISSUED,
        fact_id=str(message.invoice_id),
        payment_id=message.payment_id,
        customer_id=message.customer_id,
        amount_minor=message.total.amount_minor,
        vat_minor=_vat_of(message.vat),
        advance_minor=sum(part.base.amount_minor for part in message.deducted),
        currency=message.total.currency,
        occurred_at=message.issued_at,
        message_id=message_id,
    )


def credit_note_issued(message: CreditNoteIssued, message_id: str) -> Fact:
    """The mirror of an invoice."""
    is_advance = message.invoice_kind is InvoiceKind.RESERVATION
    return Fact(
        kind=FactKind.RESERVATION_CREDITED if is_advance else FactKind.CREDIT_NOTE_ISSUED,
        fact_id=str(message.credit_note_id),
        payment_id=message.payment_id,
        customer_id=message.customer_id,
        amount_minor=message.total.amount_minor,
        vat_minor=_vat_of(message.vat),
        currency=message.total.currency,
        occurred_at=message.issued_at,
        message_id=message_id,
    )


def vehicle_order_placed(message: VehicleOrderPlaced, message_id: str) -> Fact:
    """The VAT is kept because a forfeiture does not say it."""
    return Fact(
        kind=FactKind.VEHICLE_ORDER_PLACED,
        fact_id=str(message.order_id),
        payment_id=message.reservation_payment_id,
        customer_id=message.customer_id,
        amount_minor=message.reservation.amount_minor,
        vat_minor=vat_included(message.reservation.amount_minor, message.vat_rate_bp),
        currency=message.reservation.currency,
        occurred_at=message.occurred_at,
        message_id=message_id,
    )


def reservation_forfeited(message: VehicleOrderForfeited, vat_minor: int, message_id: str) -> Fact:
    """`vat_minor` is what the reservation's order says; it was invoiced, and stays owed."""
    return Fact(
        kind=FactKind.RESERVATION_FORFEITED,
        fact_id=str(message.order_id),
        payment_id=message.reservation_payment_id,
        customer_id=message.customer_id,
        amount_minor=message.reservation.amount_minor,
        vat_minor=vat_minor,
        currency=message.reservation.currency,
        occurred_at=message.occurred_at,
        message_id=message_id,
    )


def collection_opened(message: CollectionOpened, message_id: str) -> Fact:
    """The invoice stays owed, with its VAT: it is only doubtful now whether it will be paid (SUB-6)."""
    return _collection(message, FactKind.COLLECTION_OPENED, None, message_id)


def collection_settled(message: CollectionSettled, message_id: str) -> Fact:
    """The payment that settled it is a fact of its own."""
    return _collection(message, FactKind.COLLECTION_SETTLED, message.payment_id, message_id)


def _collection(
    message: CollectionOpened | CollectionSettled, kind: FactKind, payment_id: UUID | None, message_id: str
) -> Fact:
    return Fact(
        kind=kind,
        fact_id=str(message.collection_id),
        payment_id=payment_id,
        customer_id=message.customer_id,
        amount_minor=message.amount.amount_minor,
        currency=message.amount.currency,
        occurred_at=message.occurred_at,
        message_id=message_id,
    )


def vat_included(total_minor: int, rate_bp: int) -> int:
    """The VAT inside a price that includes it: total − base, the base rounded half to even once (INV-3)."""
    base_minor, remainder = divmod(total_minor * 10_000, 10_000 + rate_bp)
    twice = 2 * remainder
    if twice > 10_000 + rate_bp or (twice == 10_000 + rate_bp and base_minor % 2 == 1):
        base_minor += 1
    return total_minor - base_minor


def _vat_of(parts: list[VatAmount]) -> int:
    return sum(part.vat.amount_minor for part in parts)
