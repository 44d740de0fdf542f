"""The books follow every fact (RCN-6): it is stored once, posted once, and what it makes us expect is noted.

All handlers are set-based and indifferent to the order in which facts of different services arrive.
"""

from collections.abc import Sequence

from caas_chassis.errors import Refused
from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.billing import CreditNoteIssued, InvoiceIssued, InvoiceKind
from caas_contracts.orders import PurchasePlaced
from caas_contracts.payments import (
    ChargebackReceived,
    OrphanSaleFound,
    PaymentCaptured,
    PaymentConfirmed,
    PaymentRefunded,
    PaymentSettlementFailed,
)
from caas_contracts.subscriptions import CollectionOpened, CollectionSettled
from caas_contracts.vehicle_orders import VehicleOrderForfeited, VehicleOrderPlaced
from caas_reconciliation.domain import facts
from caas_reconciliation.domain.expecting import expectation_of
from caas_reconciliation.domain.facts import Fact, FactKind
from caas_reconciliation.domain.posting import OF_PREPAYMENTS, entries_of, of_prepayment, unpaid_sale
from caas_reconciliation.handlers.findings import open_cases
from caas_reconciliation.store import expectations, ledger, settlements
from caas_reconciliation.store import facts as fact_store


async def note_purchases(received: Sequence[Received[PurchasePlaced]], /, *, tx: Tx) -> None:
    """The VAT of a purchase is needed when its capture fails after delivery (SVC-8); subscriptions have none."""
    placed = [
        facts.purchase_placed(one.message, payment_id, one.cause.message_id)
        for one in received
        if (payment_id := one.message.payment_id) is not None
    ]
    await _record_with_unpaid_sales(placed, tx=tx)


async def post_captures(received: Sequence[Received[PaymentCaptured]], /, *, tx: Tx) -> None:
    """Captured money is in transit until the feed shows it (RCN-2)."""
    captured = [facts.payment_captured(one.message, one.cause.message_id) for one in received]
    new = await _record(captured, tx=tx)
    await expectations.expect([expectation_of(fact) for fact in new], tx=tx)


async def post_sales(received: Sequence[Received[PaymentConfirmed | OrphanSaleFound]], /, *, tx: Tx) -> None:
    """Money that was taken at once is in transit, as captured money is; for an orphan a refund follows.

    What was taken ahead of an activation is owed until it is delivered or given back (PLN-1).
    """
    sold = [facts.sale_confirmed(one.message, one.cause.message_id) for one in received]
    ahead = [fact for fact in sold if fact.kind is FactKind.PREPAYMENT_CONFIRMED]
    new = await _record([fact for fact in sold if fact.kind is FactKind.SALE_CONFIRMED], tx=tx)
    new += await _record_with_prepayments(ahead, tx=tx)
    await expectations.expect([expectation_of(fact) for fact in new], tx=tx)


async def post_failed_settlements(received: Sequence[Received[PaymentSettlementFailed]], /, *, tx: Tx) -> None:
    """What was delivered and lost is written off (SVC-8); money that was in transit is not expected any more."""
    lost = [facts.settlement_failed(one.message, one.cause.message_id) for one in received]
    new = await _record_with_unpaid_sales(lost, tx=tx)
    in_transit = [fact for fact in new if fact.kind is FactKind.SETTLEMENT_FAILED]
    await expectations.write_off({fact.paid_by: fact.amount_minor for fact in in_transit}, tx=tx)


async def post_refunds(received: Sequence[Received[PaymentRefunded]], /, *, tx: Tx) -> None:
    """Refunded money leaves through the feed too."""
    refunded = [facts.payment_refunded(one.message, one.cause.message_id) for one in received]
    new = await _record_with_prepayments(refunded, tx=tx)
    await expectations.expect([expectation_of(fact) for fact in new], tx=tx)


async def open_chargebacks(received: Sequence[Received[ChargebackReceived]], /, *, tx: Tx) -> None:
    """A chargeback is a case at once; its money moves with the settlement line (RCN-3)."""
    disputed = [facts.chargeback_received(one.message, one.cause.message_id) for one in received]
    new = await _record(disputed, tx=tx)
    findings = [
        settlements.chargeback_finding(fact.paid_by, -fact.amount_minor, fact.currency, f"chargeback {fact.fact_id}")
        for fact in new
    ]
    await open_cases(findings, run_id=None, tx=tx)


async def post_invoices(received: Sequence[Received[InvoiceIssued]], /, *, tx: Tx) -> None:
    """A sale, as its invoice says it (INV-3)."""
    of_services = [one for one in received if one.message.kind is InvoiceKind.SERVICE]
    others = [one for one in received if one.message.kind is not InvoiceKind.SERVICE]
    await _record([facts.invoice_issued(one.message, one.cause.message_id) for one in others], tx=tx)
    sold = [facts.invoice_issued(one.message, one.cause.message_id) for one in of_services]
    await _record_with_prepayments(sold, tx=tx)


async def post_credit_notes(received: Sequence[Received[CreditNoteIssued]], /, *, tx: Tx) -> None:
    """A sale taken back, as its credit note says it (INV-3)."""
    credited = [facts.credit_note_issued(one.message, one.cause.message_id) for one in received]
    await _record_with_prepayments(credited, tx=tx)


async def note_vehicle_orders(received: Sequence[Received[VehicleOrderPlaced]], /, *, tx: Tx) -> None:
    """The VAT of a reservation is needed when it is forfeited (FIN-4)."""
    await _record([facts.vehicle_order_placed(one.message, one.cause.message_id) for one in received], tx=tx)


async def post_forfeitures(received: Sequence[Received[VehicleOrderForfeited]], /, *, tx: Tx) -> None:
    """A forfeited reservation is no advance any more, but income (FIN-4).

    Orders tells both facts of one order in one stream, so its placing is known. Raises Refused when it is not.
    """
    vat = await fact_store.vat_of_reservations([one.message.order_id for one in received], tx=tx)
    forfeited = []
    for one in received:
        order_id = str(one.message.order_id)
        if order_id not in vat:
            raise Refused("unknown_vehicle_order", f"vehicle order {order_id} is forfeited, but was never placed")
        forfeited.append(facts.reservation_forfeited(one.message, vat[order_id], one.cause.message_id))
    await _record(forfeited, tx=tx)


async def post_opened_collections(received: Sequence[Received[CollectionOpened]], /, *, tx: Tx) -> None:
    """An unpaid monthly invoice becomes doubtful; nothing is written off yet (SUB-6)."""
    await _record([facts.collection_opened(one.message, one.cause.message_id) for one in received], tx=tx)


async def post_settled_collections(received: Sequence[Received[CollectionSettled]], /, *, tx: Tx) -> None:
    """A late payment clears it: owed as any invoice, and by that payment no more."""
    await _record([facts.collection_settled(one.message, one.cause.message_id) for one in received], tx=tx)


async def _record(given: Sequence[Fact], *, tx: Tx) -> list[Fact]:
    """Store and post what is new. Raises Refused for a fact that contradicts an earlier one of the same id."""
    new, contradicting = await fact_store.record_facts(given, tx=tx)
    for fact in contradicting:
        detail = f"{fact.kind} {fact.fact_id} was told before with another payment, amount or currency"
        raise Refused("contradictory_fact", detail)
    await ledger.post([entry for fact in new for entry in entries_of(fact)], tx=tx)
    return new


async def _record_with_unpaid_sales(given: Sequence[Fact], *, tx: Tx) -> list[Fact]:
    if not given:
        return []
    payments = sorted({fact.paid_by for fact in given})
    await fact_store.lock_payments(payments, tx=tx)
    new = await _record(given, tx=tx)
    sales = await fact_store.unpaid_sales(payments, tx=tx)
    await ledger.post([entry for sale in sales for entry in unpaid_sale(sale)], tx=tx)
    return new


async def _record_with_prepayments(given: Sequence[Fact], *, tx: Tx) -> list[Fact]:
    """Store and post, and post what facts of payments that were taken ahead say of the prepayment (PLN-1)."""
    if not given:
        return []
    payments = sorted({fact.paid_by for fact in given})
    await fact_store.lock_payments(payments, tx=tx)
    new = await _record(given, tx=tx)
    of_prepayments = await fact_store.of_prepayments(payments, OF_PREPAYMENTS, tx=tx)
    await ledger.post([entry for fact in of_prepayments for entry in of_prepayment(fact)], tx=tx)
    return new
