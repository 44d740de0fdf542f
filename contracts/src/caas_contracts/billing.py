"""The invoices and credit notes that billing issues (INV-1 to INV-4)."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from caas_contracts.message import UUID, Code, Instant, Message, NoCardData, Part
from caas_contracts.money import Money
from caas_contracts.topics import BILLING_EVENTS

DocumentNumber = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Z0-9-]+$"), NoCardData]


class InvoiceKind(StrEnum):
    """INV-1. The subject of a subscription's invoice is the subscription, its payment the first that is asked for."""

    RESERVATION = "reservation"
    FINAL = "final"
    SERVICE = "service"
    SUBSCRIPTION = "subscription"


class VatAmount(Part):
    """Base and VAT of one rate; `rate_bp` 2100 is 21 %."""

    rate_bp: Annotated[int, Field(ge=0, le=10_000)]
    base: Money
    vat: Money


class InvoiceIssued(Message):
    """An invoice has its number and will never change (INV-2, INV-3): base and VAT add up to the total."""

    TYPE: ClassVar[str] = "caas.billing.InvoiceIssued.v1"
    TOPIC: ClassVar = BILLING_EVENTS
    KEY: ClassVar[str] = "subject_id"

    invoice_id: UUID
    number: DocumentNumber
    kind: InvoiceKind
    customer_id: Code
    subject_id: UUID
    payment_id: UUID
    vat: list[VatAmount]
    total: Money
    deducted: list[VatAmount] = Field(
        default_factory=list, description="what the reservation's invoice charged already, taken off (final only)"
    )
    issued_at: Instant
    document_url: Annotated[str, Field(max_length=300, description="path at billing's HTTP API"), NoCardData]


class CreditNoteIssued(Message):
    """A correction of an invoice: its number, the amount given back and why (INV-1, INV-3)."""

    TYPE: ClassVar[str] = "caas.billing.CreditNoteIssued.v1"
    TOPIC: ClassVar = BILLING_EVENTS
    KEY: ClassVar[str] = "subject_id"

    credit_note_id: UUID
    number: DocumentNumber
    invoice_id: UUID
    invoice_number: DocumentNumber
    invoice_kind: InvoiceKind = InvoiceKind.SERVICE
    customer_id: Code
    subject_id: UUID
    payment_id: UUID
    refund_id: UUID
    vat: list[VatAmount]
    total: Money
    reason: Code
    issued_at: Instant
    document_url: Annotated[str, Field(max_length=300), NoCardData]


MESSAGES: tuple[type[Message], ...] = (InvoiceIssued, CreditNoteIssued)
