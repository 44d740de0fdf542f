"""What orders does on each message: the table of contents of this service."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from caas_chassis.handling import Handler, each
from caas_contracts.billing import CreditNoteIssued, InvoiceIssued
from caas_contracts.message import Message
from caas_contracts.operations import AlertRaised
from caas_contracts.orders import CancelPurchase, PlacePurchase
from caas_contracts.ota import ActivationFailed, DeactivationDelayed, ServiceActivated, ServiceDeactivated
from caas_contracts.payments import (
    PaymentAbandoned,
    PaymentActionRequired,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentConfirmed,
    PaymentFailed,
    PaymentRefunded,
    PaymentSettled,
    PaymentSettlementFailed,
    PaymentVoided,
)
from caas_contracts.purchase_life import RefundDelayed
from caas_contracts.subscriptions import (
    CollectionSettled,
    SubscriptionCancelledForNonpayment,
    SubscriptionPaid,
    SubscriptionPaymentFailed,
    SubscriptionPaymentNeedsCustomer,
)
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.handlers import (
    confirming,
    expiring,
    listing,
    order_paying,
    paying_ahead,
    placing,
    purchasing,
    subscriptions,
    telling,
    withdrawing,
)


def handlers(policy: SalesPolicy) -> Mapping[type[Message], Handler[Any]]:
    """The table of contents, with the policy of selling vehicles that it follows."""
    return {
        PlacePurchase: placing.place_purchases,
        CancelPurchase: each(purchasing.cancel_purchase),
        PaymentAuthorized: purchasing.activate_authorized,
        PaymentConfirmed: partial(order_paying.confirm_payments, policy=policy),
        PaymentFailed: partial(order_paying.fail_payments, policy=policy),
        PaymentAbandoned: partial(order_paying.abandon_payments, policy=policy),
        PaymentActionRequired: confirming.tell_needed,
        PaymentCaptured: purchasing.finish_captured,
        PaymentSettled: paying_ahead.deliver_settled,
        PaymentSettlementFailed: partial(order_paying.alert_unsettled, policy=policy),
        PaymentVoided: purchasing.end_voided,
        PaymentRefunded: paying_ahead.end_refunded,
        ServiceActivated: purchasing.note_activated,
        ActivationFailed: purchasing.note_failed,
        RefundDelayed: withdrawing.note_delayed,
        ServiceDeactivated: withdrawing.note_deactivated,
        DeactivationDelayed: expiring.note_delayed,
        InvoiceIssued: partial(listing.list_invoices, policy=policy),
        CreditNoteIssued: listing.list_credit_notes,
        SubscriptionPaid: subscriptions.tell_paid,
        SubscriptionPaymentFailed: subscriptions.tell_failed,
        SubscriptionPaymentNeedsCustomer: subscriptions.tell_needed,
        SubscriptionCancelledForNonpayment: subscriptions.end_unpaid,
        CollectionSettled: subscriptions.tell_settled,
        AlertRaised: telling.mail_alerts,
    }


HANDLERS: Final = handlers(SalesPolicy())
"""With the default policy."""
