"""Messages, settlement lines and settings with everything filled in; tests name only what they are about."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from caas_contracts.billing import CreditNoteIssued, InvoiceIssued, InvoiceKind, VatAmount
from caas_contracts.money import Money
from caas_contracts.orders import PurchaseKind, PurchasePlaced
from caas_contracts.payments import (
    ChargebackReceived,
    OrphanSaleFound,
    PaymentCaptured,
    PaymentConfirmed,
    PaymentPurpose,
    PaymentRefunded,
    PaymentSettlementFailed,
    SettlementStage,
)
from caas_contracts.subscriptions import CollectionOpened, CollectionSettled
from caas_contracts.vehicle_orders import VehicleOrderForfeited, VehicleOrderPlaced
from caas_reconciliation.domain.facts import vat_included
from caas_reconciliation.domain.settlement import SettlementLine
from caas_reconciliation.settings import ReconciliationSettings

AN_INSTANT = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
PRICE_MINOR = 1999
VAT_BP = 2100


def euros(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="EUR")


def settings_for(url: str, **given: Any) -> ReconciliationSettings:
    fields = {"database_url": url, "gateway_url": "http://127.0.0.1:1", "gateway_api_key": "key"} | given
    return ReconciliationSettings(**fields)


def a_purchase(payment_id: UUID, *, price_minor: int = PRICE_MINOR) -> PurchasePlaced:
    return PurchasePlaced(
        purchase_id=UUID(int=payment_id.int ^ 1),
        customer_id="customer-1",
        vehicle_id="vehicle-1",
        service_code="heated-seats",
        price=euros(price_minor),
        occurred_at=AN_INSTANT,
        kind=PurchaseKind.PERMANENT,
        vat_rate_bp=VAT_BP,
        service_name="Heated seats",
        customer_name="Ana",
        customer_email="ana@example.com",
        payment_id=payment_id,
        activation_id=uuid4(),
    )


def a_capture(
    payment_id: UUID | None = None, *, amount: Money | None = None, at: datetime = AN_INSTANT
) -> PaymentCaptured:
    payment = payment_id or uuid4()
    captured = amount or euros(PRICE_MINOR)
    return PaymentCaptured(
        **_payment(payment, captured, at),
        captured=captured,
        activation_id=uuid4(),
        proof_id=uuid4(),
        gateway_transaction_id=transaction_of(payment),
        vehicle_id="vehicle-1",
        service_code="heated-seats",
    )


def a_sale(payment_id: UUID | None = None, *, amount_minor: int = PRICE_MINOR) -> PaymentConfirmed:
    payment = payment_id or uuid4()
    sold = _payment(payment, euros(amount_minor), AN_INSTANT) | {"purpose": PaymentPurpose.RESERVATION}
    return PaymentConfirmed(**sold, gateway_transaction_id=transaction_of(payment))


def a_prepayment(payment_id: UUID) -> PaymentConfirmed:
    """The price was taken ahead of its activation (PLN-1)."""
    paid = _payment(payment_id, euros(PRICE_MINOR), AN_INSTANT)
    return PaymentConfirmed(**paid, gateway_transaction_id=transaction_of(payment_id), activation_id=uuid4())


def an_orphan_sale(payment_id: UUID) -> OrphanSaleFound:
    taken = euros(PRICE_MINOR)
    sold = _payment(payment_id, taken, AN_INSTANT) | {"purpose": PaymentPurpose.RESERVATION}
    return OrphanSaleFound(**sold, gateway_transaction_id=transaction_of(payment_id), taken=taken)


def a_failed_settlement(
    payment_id: UUID, stage: SettlementStage = SettlementStage.CAPTURE, *, lost_minor: int = PRICE_MINOR
) -> PaymentSettlementFailed:
    lost = euros(lost_minor)
    return PaymentSettlementFailed(
        **_payment(payment_id, lost, AN_INSTANT), stage=stage, lost=lost, reason="capture_failed"
    )


def a_refund(
    payment_id: UUID, refunded_minor: int, *, refund_id: UUID | None = None, at: datetime = AN_INSTANT
) -> PaymentRefunded:
    return PaymentRefunded(
        **_payment(payment_id, euros(PRICE_MINOR), at),
        refund_id=refund_id or uuid4(),
        refunded=euros(refunded_minor),
        refunded_total=euros(refunded_minor),
        reason="withdrawal",
    )


def a_chargeback(payment_id: UUID, *, disputed_minor: int = PRICE_MINOR) -> ChargebackReceived:
    return ChargebackReceived(
        **_payment(payment_id, euros(PRICE_MINOR), AN_INSTANT),
        chargeback_id=f"cb_{payment_id.hex}",
        disputed=euros(disputed_minor),
        reason="fraudulent",
    )


def an_invoice(payment_id: UUID, *, total_minor: int = PRICE_MINOR) -> InvoiceIssued:
    return InvoiceIssued(
        invoice_id=UUID(int=payment_id.int ^ 2),
        number="S-2026-000001",
        kind=InvoiceKind.SERVICE,
        customer_id="customer-1",
        subject_id=UUID(int=payment_id.int ^ 1),
        payment_id=payment_id,
        vat=[_vat(total_minor)],
        total=euros(total_minor),
        issued_at=AN_INSTANT,
        document_url="/invoices/1/document",
    )


def a_credit_note(refund: PaymentRefunded) -> CreditNoteIssued:
    return CreditNoteIssued(
        credit_note_id=UUID(int=refund.refund_id.int ^ 3),
        number="R-2026-000001",
        invoice_id=UUID(int=refund.payment_id.int ^ 2),
        invoice_number="S-2026-000001",
        customer_id="customer-1",
        subject_id=refund.subject_id,
        payment_id=refund.payment_id,
        refund_id=refund.refund_id,
        vat=[_vat(refund.refunded.amount_minor)],
        total=refund.refunded,
        reason="withdrawal",
        issued_at=AN_INSTANT,
        document_url="/credit-notes/1/document",
    )


def a_monthly_invoice(payment_id: UUID, *, total_minor: int = PRICE_MINOR) -> InvoiceIssued:
    """A month's invoice; `payment_id` is its first attempt's."""
    changes = {"kind": InvoiceKind.SUBSCRIPTION, "number": "M-2026-000001"}
    return an_invoice(payment_id, total_minor=total_minor).model_copy(update=changes)


def a_monthly_payment(payment_id: UUID, invoice: InvoiceIssued) -> PaymentConfirmed:
    """An attempt at it that succeeded."""
    paid = _payment(payment_id, invoice.total, AN_INSTANT)
    paid |= {"purpose": PaymentPurpose.SUBSCRIPTION, "subject_id": invoice.invoice_id}
    return PaymentConfirmed(**paid, gateway_transaction_id=transaction_of(payment_id))


def a_collection(invoice: InvoiceIssued) -> CollectionOpened:
    return CollectionOpened(
        **_collection(invoice), customer_name="Ana", customer_tax_id=None, attempts=3, due_on="2026-03-31"
    )


def a_settled_collection(invoice: InvoiceIssued, payment_id: UUID) -> CollectionSettled:
    return CollectionSettled(**_collection(invoice), payment_id=payment_id)


def _collection(invoice: InvoiceIssued) -> dict[str, Any]:
    return {
        "collection_id": UUID(int=invoice.invoice_id.int ^ 4),
        "subscription_id": invoice.subject_id,
        "customer_id": invoice.customer_id,
        "vehicle_id": "vehicle-1",
        "service_code": "seat-heating",
        "invoice_id": invoice.invoice_id,
        "invoice_number": invoice.number,
        "period": "2026-02",
        "amount": invoice.total,
        "occurred_at": AN_INSTANT,
    }


def a_vehicle_order(payment_id: UUID) -> VehicleOrderPlaced:
    """A vehicle of 1,000 times the price, reserved with the price."""
    return VehicleOrderPlaced(
        **_vehicle_order(payment_id),
        model_name="CaaS One",
        options=[],
        dealership="madrid-norte",
        total=euros(1000 * PRICE_MINOR),
        reservation=euros(PRICE_MINOR),
        vat_rate_bp=VAT_BP,
        reservation_payment_id=payment_id,
        customer_name="Ana",
        customer_email="ana@example.com",
    )


def a_forfeiture(payment_id: UUID) -> VehicleOrderForfeited:
    """The reservation of that order stays with CaaS."""
    return VehicleOrderForfeited(
        **_vehicle_order(payment_id),
        vin="WCAAS0NE5T0000001",
        reservation_payment_id=payment_id,
        reservation=euros(PRICE_MINOR),
        reason="insufficient_funds",
    )


def a_reservation_invoice(payment_id: UUID) -> InvoiceIssued:
    return an_invoice(payment_id).model_copy(update={"kind": InvoiceKind.RESERVATION, "number": "A-2026-000001"})


def a_vehicle_invoice(payment_id: UUID) -> InvoiceIssued:
    """The invoice of the rest of the price; it takes the reservation of PRICE_MINOR off."""
    rest_minor = 999 * PRICE_MINOR
    whole, reservation = _vat(1000 * PRICE_MINOR), _vat(PRICE_MINOR)
    rest = VatAmount(rate_bp=VAT_BP, base=whole.base - reservation.base, vat=whole.vat - reservation.vat)
    changes = {"kind": InvoiceKind.FINAL, "number": "V-2026-000001", "vat": [rest], "deducted": [reservation]}
    return an_invoice(payment_id, total_minor=rest_minor).model_copy(update=changes)


def transaction_of(payment_id: UUID) -> str:
    """The gateway's id of the payment's transaction."""
    return f"txn_{payment_id.hex}"


def fee_of(gross_minor: int) -> int:
    """What the sandbox gateway keeps of a capture."""
    return (gross_minor * 14 + 500) // 1000 + 25


def a_line(payment_id: UUID, gross_minor: int = PRICE_MINOR, **given: Any) -> SettlementLine:
    """A capture's line, as the gateway states it; `given` replaces any field."""
    fields: dict[str, Any] = {
        "line_id": f"stl_{uuid4().hex}",
        "transaction_id": transaction_of(payment_id),
        "reference": str(payment_id),
        "operation_reference": None,
        "kind": "capture",
        "gross_minor": gross_minor,
        "fee_minor": fee_of(gross_minor),
        "currency": "EUR",
        "settled_on": date(2026, 3, 5),
        "payout_id": "po_20260305_EUR",
        "raw": "{}",
    } | given
    fields.setdefault("net_minor", fields["gross_minor"] - fields["fee_minor"])
    return SettlementLine(**fields)


def a_refund_line(refund: PaymentRefunded, **given: Any) -> SettlementLine:
    fields = {"kind": "refund", "fee_minor": 0, "operation_reference": str(refund.refund_id)} | given
    return a_line(refund.payment_id, -refund.refunded.amount_minor, **fields)


def chargeback_lines(payment_id: UUID, gross_minor: int = PRICE_MINOR) -> list[SettlementLine]:
    return [
        a_line(payment_id, -gross_minor, kind="chargeback", fee_minor=0),
        a_line(payment_id, 0, kind="chargeback_fee", fee_minor=1500),
    ]


def _payment(payment_id: UUID, amount: Money, at: datetime) -> dict[str, Any]:
    return {
        "payment_id": payment_id,
        "purpose": PaymentPurpose.SERVICE,
        "customer_id": "customer-1",
        "subject_id": UUID(int=payment_id.int ^ 1),
        "amount": amount,
        "occurred_at": at,
    }


def _vehicle_order(payment_id: UUID) -> dict[str, Any]:
    return {
        "order_id": UUID(int=payment_id.int ^ 1),
        "customer_id": "customer-1",
        "model": "caas-one",
        "occurred_at": AN_INSTANT,
    }


def _vat(total_minor: int) -> VatAmount:
    vat_minor = vat_included(total_minor, VAT_BP)
    return VatAmount(rate_bp=VAT_BP, base=euros(total_minor - vat_minor), vat=euros(vat_minor))
