"""Messages, documents and settings for billing's tests; every argument has a sensible default."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from caas_billing.domain.credit_note import Refund, credit_note_of
from caas_billing.domain.document import Document, document_of_credit_note, document_of_invoice
from caas_billing.domain.invoice import Invoice, Issue, final_invoice, reservation_invoice, service_invoice
from caas_billing.domain.numbering import DocumentNumber, Series
from caas_billing.domain.sale import Customer, Sale, SoldService, SoldVehicle, VehiclePayment, VehicleSale
from caas_billing.gateway.postman import MailServer
from caas_billing.gateway.typesetting import Issuer, Typesetter
from caas_chassis.migrate import apply_migrations
from caas_contracts.money import Money
from caas_contracts.orders import PurchaseActivated, PurchaseKind, PurchasePlaced
from caas_contracts.payments import PaymentCaptured, PaymentConfirmed, PaymentPurpose, PaymentRefunded
from caas_contracts.purchase_life import PurchaseRenewed

AN_INSTANT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def euros(amount_minor: int) -> Money:
    return Money(amount_minor=amount_minor, currency="EUR")


def a_purchase(price_minor: int = 1999, **changes: Any) -> PurchasePlaced:
    """A customer's purchase of heated seats for 30 days."""
    values: dict[str, Any] = {
        "purchase_id": uuid4(),
        "customer_id": "customer-1",
        "vehicle_id": "VIN-0001",
        "service_code": "heated-seats",
        "price": euros(price_minor),
        "occurred_at": AN_INSTANT,
        "kind": PurchaseKind.TEMPORARY,
        "duration_days": 30,
        "vat_rate_bp": 2100,
        "service_name": "Asientos calefactados",
        "customer_name": "María Núñez",
        "customer_email": "maria@example.org",
        "payment_id": uuid4(),
        "activation_id": uuid4(),
    }
    return PurchasePlaced(**values | changes)


def a_capture(purchase: PurchasePlaced, **changes: Any) -> PaymentCaptured:
    """The capture of a purchase's whole price, right after its activation."""
    values: dict[str, Any] = {
        "payment_id": purchase.payment_id,
        "purpose": PaymentPurpose.SERVICE,
        "customer_id": purchase.customer_id,
        "subject_id": purchase.purchase_id,
        "amount": purchase.price,
        "occurred_at": purchase.occurred_at + timedelta(seconds=5),
        "captured": purchase.price,
        "activation_id": purchase.activation_id,
        "proof_id": uuid4(),
        "activated_at": purchase.occurred_at + timedelta(seconds=3),
        "gateway_transaction_id": "txn_1",
        "vehicle_id": purchase.vehicle_id,
        "service_code": purchase.service_code,
    }
    return PaymentCaptured(**values | changes)


def a_refund(purchase: PurchasePlaced, refunded_minor: int, **changes: Any) -> PaymentRefunded:
    """A partial refund of a captured purchase."""
    values: dict[str, Any] = {
        "payment_id": purchase.payment_id,
        "purpose": PaymentPurpose.SERVICE,
        "customer_id": purchase.customer_id,
        "subject_id": purchase.purchase_id,
        "amount": purchase.price,
        "occurred_at": purchase.occurred_at + timedelta(days=2),
        "refund_id": uuid4(),
        "refunded": euros(refunded_minor),
        "refunded_total": euros(refunded_minor),
        "reason": "withdrawal",
    }
    return PaymentRefunded(**values | changes)


def a_planned_purchase(**changes: Any) -> PurchasePlaced:
    """The same, for a date three weeks ahead (PLN-1)."""
    values: dict[str, Any] = {"kind": PurchaseKind.PLANNED, "starts_at": AN_INSTANT + timedelta(days=21)}
    return a_purchase(**values | changes)


def a_recurring_purchase(**changes: Any) -> PurchasePlaced:
    """The same, by the month (REC-1)."""
    values: dict[str, Any] = {"kind": PurchaseKind.RECURRING, "duration_days": None, "period_months": 1}
    return a_purchase(**values | changes)


def a_confirmation(purchase: PurchasePlaced, **changes: Any) -> PaymentConfirmed:
    """The whole price was taken ahead of its activation."""
    values: dict[str, Any] = {
        "payment_id": purchase.payment_id,
        "purpose": PaymentPurpose.SERVICE,
        "customer_id": purchase.customer_id,
        "subject_id": purchase.purchase_id,
        "amount": purchase.price,
        "occurred_at": purchase.occurred_at + timedelta(seconds=2),
        "gateway_transaction_id": "txn_1",
        "activation_id": purchase.activation_id,
    }
    return PaymentConfirmed(**values | changes)


def an_activation(purchase: PurchasePlaced, activated_at: datetime, **changes: Any) -> PurchaseActivated:
    """Orders says that the service runs, and until when."""
    ends_at = activated_at + timedelta(days=purchase.duration_days) if purchase.duration_days else None
    values: dict[str, Any] = {
        "purchase_id": purchase.purchase_id,
        "customer_id": purchase.customer_id,
        "vehicle_id": purchase.vehicle_id,
        "service_code": purchase.service_code,
        "price": purchase.price,
        "occurred_at": activated_at + timedelta(seconds=1),
        "charged": True,
        "ends_at": ends_at,
    }
    return PurchaseActivated(**values | changes)


def a_renewal(purchase: PurchasePlaced, period_from: datetime, period_to: datetime, **changes: Any) -> PurchaseRenewed:
    """Its second period is paid."""
    values: dict[str, Any] = {
        "purchase_id": purchase.purchase_id,
        "customer_id": purchase.customer_id,
        "vehicle_id": purchase.vehicle_id,
        "service_code": purchase.service_code,
        "price": purchase.price,
        "occurred_at": period_from,
        "period_number": 2,
        "payment_id": uuid4(),
        "activation_id": purchase.activation_id,
        "period_from": period_from,
        "period_to": period_to,
    }
    return PurchaseRenewed(**values | changes)


def a_sale(**changes: Any) -> Sale:
    values: dict[str, Any] = {
        "payment_id": uuid4(),
        "purchase_id": uuid4(),
        "customer": a_customer(),
        "service": a_service(),
        "vat_rate_bp": 2100,
        "captured": euros(149900),
        "supplied_at": AN_INSTANT,
    }
    return Sale(**values | changes)


def a_customer(**changes: Any) -> Customer:
    values: dict[str, Any] = {
        "customer_id": "customer-1",
        "name": "María Núñez",
        "email": "maria@example.org",
        "tax_id": "12345678Z",
        "language": "es",
    }
    return Customer(**values | changes)


def a_service(**changes: Any) -> SoldService:
    values: dict[str, Any] = {
        "code": "highway-pilot",
        "name": "Piloto de autopista",
        "vehicle_id": "VIN-0001",
        "kind": PurchaseKind.TEMPORARY,
        "duration_days": 30,
    }
    return SoldService(**values | changes)


def an_invoice(sale: Sale | None = None, issued_at: datetime = AN_INSTANT) -> Invoice:
    number = DocumentNumber(Series.SERVICE, 2026, 42)
    return service_invoice(sale or a_sale(), Issue(uuid4(), number, issued_at))


def an_invoice_document(sale: Sale | None = None, issued_at: datetime = AN_INSTANT) -> Document:
    return document_of_invoice(an_invoice(sale, issued_at))


def a_credit_note_document(sale: Sale | None = None, refunded_minor: int = 5000) -> Document:
    invoice = an_invoice(sale)
    refund = Refund(
        refund_id=uuid4(),
        payment_id=invoice.payment_id,
        refunded=euros(refunded_minor),
        refunded_before_minor=0,
        reason="withdrawal",
        refunded_at=AN_INSTANT + timedelta(days=2),
    )
    number = DocumentNumber(Series.CREDIT_NOTE, 2026, 7)
    issue = Issue(uuid4(), number, AN_INSTANT + timedelta(days=2))
    return document_of_credit_note(credit_note_of(invoice, refund, issue))


def a_vehicle_sale(**changes: Any) -> VehicleSale:
    """A vehicle of 31,490.00 EUR, paid with 1,000.00 EUR and the rest, and registered."""
    values: dict[str, Any] = {
        "order_id": uuid4(),
        "customer": a_customer(),
        "vehicle": SoldVehicle(
            "caas-one", "CaaS One", ("seat-heating", "tow-bar"), "madrid-norte", "WCAAS0NE5T0000001", "1234 BCD"
        ),
        "vat_rate_bp": 2100,
        "price": euros(3149000),
        "agreed_reservation": euros(100000),
        "reservation": VehiclePayment(uuid4(), euros(100000), AN_INSTANT),
        "final": VehiclePayment(uuid4(), euros(3049000), AN_INSTANT + timedelta(days=60)),
        "registered_at": AN_INSTANT + timedelta(days=63),
    }
    return VehicleSale(**values | changes)


def vehicle_documents(sale: VehicleSale | None = None) -> tuple[Document, Document]:
    """The documents of a vehicle's reservation and of the vehicle."""
    sold = sale or a_vehicle_sale()
    issue = Issue(uuid4(), DocumentNumber(Series.RESERVATION, 2026, 3), AN_INSTANT)
    unbuilt = replace(sold, vehicle=replace(sold.vehicle, vin=None, plates=None))
    reservation = reservation_invoice(unbuilt, issue)
    later = Issue(uuid4(), DocumentNumber(Series.VEHICLE, 2027, 2), AN_INSTANT + timedelta(days=63))
    return document_of_invoice(reservation), document_of_invoice(final_invoice(sold, reservation, later))


def an_issuer() -> Issuer:
    return Issuer(
        name="CaaS Movilidad, S.L.",
        tax_id="B00000000",
        address=("Calle de la Autopista, 1", "28001 Madrid", "España"),
        email="facturacion@caas.example",
        phone="+34 910 000 000",
        website="www.caas.example",
        registration="Inscrita en el Registro Mercantil de Madrid",
    )


def a_typesetter() -> Typesetter:
    return Typesetter(an_issuer(), threads=1)


def a_mail_server(port: int, **changes: Any) -> MailServer:
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "username": None,
        "password": None,
        "timeout_s": 5.0,
        "sender_name": "CaaS Movilidad, S.L.",
        "sender_address": "facturacion@caas.example",
    }
    return MailServer(**values | changes)


async def migrate(url: str) -> None:
    """Bring an empty database to billing's schema."""
    connection = await asyncpg.connect(url, timeout=20)
    try:
        await apply_migrations(connection, ["caas_chassis.migrations", "caas_billing.migrations"])
    finally:
        await connection.close(timeout=20)


def ids(number: int) -> list[UUID]:
    return [uuid4() for _ in range(number)]
