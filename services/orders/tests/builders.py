"""Builders of what orders receives, and partners that are played in process."""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from caas_chassis.ids import new_id
from caas_chassis.testing.harness import Harness
from caas_contracts.billing import InvoiceIssued, InvoiceKind, VatAmount
from caas_contracts.money import Money
from caas_contracts.operations import AlertKind, AlertRaised
from caas_contracts.orders import CancelPurchase, PlacePurchase, PurchaseKind
from caas_contracts.ota import ActivationEvidence, ActivationFailed, ServiceActivated
from caas_contracts.payments import (
    Delivery,
    DeliveryDecision,
    PaymentAbandoned,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentFailed,
    PaymentPurpose,
    PaymentSettlementFailed,
    PaymentVoided,
    RiskRating,
    SettlementStage,
    VoidGround,
)
from caas_orders.domain.purchase import Purchase, payment_of
from caas_orders.domain.registration import Customer, Language, Vehicle
from caas_orders.gateway import Current, MailOutcome, MaintenanceAnswer, MaintenanceQuestion, OutgoingMail, Sent
from caas_orders.store import purchases, registrations

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PUBLIC_KEY = base64.b64encode(bytes(range(32))).decode()
EQUIPMENT = frozenset({"seat-heating", "front-radar", "front-camera"})


class PlayedMaintenance:
    """A maintenance system that answers what it was told to, and remembers the questions."""

    def __init__(self, answer: MaintenanceAnswer | None = None) -> None:
        self.answer: MaintenanceAnswer = answer or Current()
        self.asked: list[MaintenanceQuestion] = []

    async def ask(self, question: MaintenanceQuestion) -> MaintenanceAnswer:
        self.asked.append(question)
        return self.answer


class PlayedMailer:
    """A mail server that gives the outcomes it was told to, then takes everything."""

    def __init__(self, outcomes: Sequence[MailOutcome] = ()) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[OutgoingMail] = []

    async def send(self, mail: OutgoingMail) -> MailOutcome:
        outcome = self.outcomes.pop(0) if self.outcomes else Sent()
        if isinstance(outcome, Sent):
            self.sent.append(mail)
        return outcome

    @property
    def subjects(self) -> list[str]:
        return [mail.subject for mail in self.sent]


def a_customer(customer_id: str = "cus-1", language: Language = Language.SPANISH) -> Customer:
    return Customer(customer_id, "Ana Ruiz", f"{customer_id}@example.com", language, "12345678Z")


def a_vehicle(vehicle_id: str = "veh-1", customer_id: str = "cus-1") -> Vehicle:
    return Vehicle(vehicle_id, customer_id, "caas-one", EQUIPMENT, PUBLIC_KEY)


async def registered(harness: Harness, *vehicles: Vehicle, language: Language = Language.SPANISH) -> None:
    """Store vehicles (by default `veh-1` of `cus-1`) and their owners."""
    async with harness.transaction() as tx:
        for vehicle in vehicles or (a_vehicle(),):
            await registrations.put_customer(a_customer(vehicle.customer_id, language), tx=tx)
            await registrations.put_vehicle(vehicle, tx=tx)


async def stored(harness: Harness, purchase_id: UUID) -> Purchase:
    async with harness.transaction() as tx:
        return (await purchases.read([purchase_id], tx=tx))[purchase_id]


def place_purchase(
    service_code: str = "premium-audio",
    *,
    purchase_id: UUID | None = None,
    customer_id: str = "cus-1",
    vehicle_id: str = "veh-1",
    duration_days: int | None = 30,
    kind: PurchaseKind | None = None,
    payment_method: str = "tok_approved",
    consent: bool = True,
) -> PlacePurchase:
    return PlacePurchase(
        purchase_id=purchase_id or new_id(),
        customer_id=customer_id,
        vehicle_id=vehicle_id,
        service_code=service_code,
        kind=kind or (PurchaseKind.PERMANENT if duration_days is None else PurchaseKind.TEMPORARY),
        duration_days=duration_days,
        payment_method=payment_method,
        immediate_performance_consent=consent,
        requested_at=NOW,
    )


def cancel_purchase(purchase: Purchase, customer_id: str | None = None) -> CancelPurchase:
    return CancelPurchase(
        purchase_id=purchase.purchase_id,
        customer_id=customer_id or purchase.customer_id,
        reason="changed_mind",
        requested_at=NOW,
    )


def payment_authorized(
    purchase: Purchase,
    decision: DeliveryDecision = DeliveryDecision.ON_AUTHORIZATION,
    activate_not_after: datetime | None = None,
) -> PaymentAuthorized:
    return PaymentAuthorized(
        payment_id=payment_of(purchase),
        purpose=PaymentPurpose.SERVICE,
        customer_id=purchase.customer_id,
        subject_id=purchase.purchase_id,
        amount=purchase.price,
        occurred_at=NOW,
        activation_id=purchase.activation_id,
        gateway_transaction_id="txn_1",
        delivery=Delivery(decision=decision, rating=RiskRating.MEDIUM, reasons=[], policy_version=1),
        capture_before=datetime(2099, 1, 8, tzinfo=UTC),
        activate_not_after=activate_not_after or datetime(2099, 1, 7, tzinfo=UTC),
    )


def payment_failed(purchase: Purchase, reason: str = "card_declined") -> PaymentFailed:
    return PaymentFailed(
        payment_id=payment_of(purchase),
        purpose=PaymentPurpose.SERVICE,
        customer_id=purchase.customer_id,
        subject_id=purchase.purchase_id,
        amount=purchase.price,
        occurred_at=NOW,
        reason=reason,
        customer_may_retry=True,
    )


def payment_abandoned(purchase: Purchase) -> PaymentAbandoned:
    return PaymentAbandoned(
        payment_id=payment_of(purchase),
        purpose=PaymentPurpose.SERVICE,
        customer_id=purchase.customer_id,
        subject_id=purchase.purchase_id,
        amount=purchase.price,
        occurred_at=NOW,
        reason="gateway_unreachable",
    )


def payment_captured(purchase: Purchase, activated_at: datetime | None = None) -> PaymentCaptured:
    return PaymentCaptured(
        payment_id=payment_of(purchase),
        purpose=PaymentPurpose.SERVICE,
        customer_id=purchase.customer_id,
        subject_id=purchase.purchase_id,
        amount=purchase.price,
        occurred_at=NOW,
        captured=purchase.price,
        activation_id=purchase.activation_id,
        proof_id=new_id(),
        activated_at=activated_at,
        gateway_transaction_id="txn_1",
        vehicle_id=purchase.vehicle_id,
        service_code=purchase.service_code,
    )


def settlement_failed(purchase: Purchase, stage: SettlementStage = SettlementStage.CAPTURE) -> PaymentSettlementFailed:
    return PaymentSettlementFailed(
        payment_id=payment_of(purchase),
        purpose=PaymentPurpose.SERVICE,
        customer_id=purchase.customer_id,
        subject_id=purchase.purchase_id,
        amount=purchase.price,
        occurred_at=NOW,
        stage=stage,
        lost=purchase.price,
        reason="capture_failed",
        activation_id=purchase.activation_id,
    )


def payment_voided(
    purchase: Purchase, ground: VoidGround = VoidGround.VERIFIED_REJECTION, reason: str = "incompatible"
) -> PaymentVoided:
    return PaymentVoided(
        payment_id=payment_of(purchase),
        purpose=PaymentPurpose.SERVICE,
        customer_id=purchase.customer_id,
        subject_id=purchase.purchase_id,
        amount=purchase.price,
        occurred_at=NOW,
        ground=ground,
        reason=reason,
    )


def service_activated(purchase: Purchase, *, applied_at: datetime = NOW, late: bool = False) -> ServiceActivated:
    return ServiceActivated(
        activation_id=purchase.activation_id,
        purchase_id=purchase.purchase_id,
        payment_id=purchase.payment_id,
        vehicle_id=purchase.vehicle_id,
        service_code=purchase.service_code,
        occurred_at=applied_at,
        evidence=ActivationEvidence(
            command_id=new_id(),
            nonce="nonce-nonce",
            counter=1,
            applied_at=applied_at,
            signature=base64.b64encode(bytes(64)).decode(),
        ),
        attempts=[],
        not_after=applied_at + timedelta(minutes=30),
        late=late,
    )


def activation_failed(purchase: Purchase, reason: str = "incompatible") -> ActivationFailed:
    return ActivationFailed(
        activation_id=purchase.activation_id,
        purchase_id=purchase.purchase_id,
        payment_id=purchase.payment_id,
        vehicle_id=purchase.vehicle_id,
        service_code=purchase.service_code,
        occurred_at=NOW,
        reason=reason,
        ground=VoidGround.VERIFIED_REJECTION,
        attempts=[],
        not_after=NOW + timedelta(minutes=30),
        support_case_id=new_id(),
    )


def invoice_issued(purchase: Purchase, number: str = "S-2026-000001") -> InvoiceIssued:
    """Its invoice; one of the months of a subscription."""
    is_monthly = purchase.kind is PurchaseKind.SUBSCRIPTION
    return InvoiceIssued(
        invoice_id=new_id(),
        number=number,
        kind=InvoiceKind.SUBSCRIPTION if is_monthly else InvoiceKind.SERVICE,
        customer_id=purchase.customer_id,
        subject_id=purchase.purchase_id,
        payment_id=purchase.payment_id or new_id(),
        vat=[VatAmount(rate_bp=2100, base=_eur(743), vat=_eur(156))],
        total=_eur(899),
        issued_at=NOW,
        document_url="/invoices/1/document",
    )


def alert_raised(subject: str = "pay-1") -> AlertRaised:
    return AlertRaised(
        service="payments",
        kind=AlertKind.PAYMENT_ABANDONED,
        subject=subject,
        detail="look at the gateway",
        raised_at=NOW,
    )


def _eur(minor: int) -> Money:
    return Money(amount_minor=minor, currency="EUR")
