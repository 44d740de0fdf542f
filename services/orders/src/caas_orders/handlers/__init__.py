"""What orders does on each message: the table of contents of this service."""

from collections.abc import Mapping
from typing import Any

from caas_chassis.handling import Handler, each
from caas_contracts.billing import CreditNoteIssued, InvoiceIssued
from caas_contracts.message import Message
from caas_contracts.operations import AlertRaised
from caas_contracts.orders import CancelPurchase, PlacePurchase
from caas_contracts.ota import ActivationFailed, ServiceActivated
from caas_contracts.payments import (
    PaymentAbandoned,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentFailed,
    PaymentSettlementFailed,
    PaymentVoided,
)
from caas_orders.handlers import listing, placing, purchasing, telling

HANDLERS: Mapping[type[Message], Handler[Any]] = {
    PlacePurchase: placing.place_purchases,
    CancelPurchase: each(purchasing.cancel_purchase),
    PaymentAuthorized: purchasing.activate_authorized,
    PaymentFailed: purchasing.decline_failed,
    PaymentAbandoned: purchasing.fail_abandoned,
    PaymentCaptured: purchasing.finish_captured,
    PaymentSettlementFailed: purchasing.keep_unpaid,
    PaymentVoided: purchasing.end_voided,
    ServiceActivated: purchasing.note_activated,
    ActivationFailed: purchasing.note_failed,
    InvoiceIssued: listing.list_invoices,
    CreditNoteIssued: listing.list_credit_notes,
    AlertRaised: telling.mail_alerts,
}
