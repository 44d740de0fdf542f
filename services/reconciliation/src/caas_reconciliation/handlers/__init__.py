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
from caas_contracts.subscriptions import CollectionOpened, CollectionSettled
from caas_contracts.vehicle_orders import VehicleOrderForfeited, VehicleOrderPlaced
from caas_reconciliation.handlers.facts import (
    note_purchases,
    note_vehicle_orders,
    open_chargebacks,
    post_captures,
    post_credit_notes,
    post_failed_settlements,
    post_forfeitures,
    post_invoices,
    post_opened_collections,
    post_refunds,
    post_sales,
    post_settled_collections,
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
    CollectionOpened: post_opened_collections,
    CollectionSettled: post_settled_collections,
    VehicleOrderPlaced: note_vehicle_orders,
    VehicleOrderForfeited: post_forfeitures,
    AuditAnchored: witness_anchors,
}
