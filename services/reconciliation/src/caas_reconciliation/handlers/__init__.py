"""What reconciliation does when something happens; HANDLERS is its table of contents."""

from collections.abc import Mapping
from typing import Any

from caas_chassis.handling import Handler
from caas_contracts import Message
from caas_contracts.audit import AuditAnchored
from caas_contracts.billing import CreditNoteIssued, InvoiceIssued
from caas_contracts.orders import PurchasePlaced
from caas_contracts.payments import (
    ChargebackReceived,
    OrphanSaleFound,
    PaymentCaptured,
    PaymentConfirmed,
    PaymentRefunded,
    PaymentSettlementFailed,
)
from caas_reconciliation.handlers.facts import (
    note_purchases,
    open_chargebacks,
    post_captures,
    post_credit_notes,
    post_failed_settlements,
    post_invoices,
    post_refunds,
    post_sales,
)
from caas_reconciliation.handlers.witness import witness_anchors

HANDLERS: Mapping[type[Message], Handler[Any]] = {
    PurchasePlaced: note_purchases,
    PaymentCaptured: post_captures,
    PaymentConfirmed: post_sales,
    OrphanSaleFound: post_sales,
    PaymentSettlementFailed: post_failed_settlements,
    PaymentRefunded: post_refunds,
    ChargebackReceived: open_chargebacks,
    InvoiceIssued: post_invoices,
    CreditNoteIssued: post_credit_notes,
    AuditAnchored: witness_anchors,
}
