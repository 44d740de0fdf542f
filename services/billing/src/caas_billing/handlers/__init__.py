"""What billing does when something was bought, paid or given back, and when a document was made or mailed.

Invariant: every delivered and paid service, every paid period of one, every counted reservation and every registered
vehicle has exactly one invoice, every refund of an invoiced payment exactly one credit note, in whichever order the
facts arrive.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.handlers import dunning
from caas_billing.handlers.delivering import MAIL, document_key, effects, record_mailed, record_typeset
from caas_billing.handlers.issuing import TYPESET, TYPESET_STORED
from caas_billing.handlers.refunding import credit_refunds
from caas_billing.handlers.services import (
    bill_activations,
    bill_captures,
    bill_purchases,
    bill_renewals,
    bill_sales,
)
from caas_billing.handlers.subscribing import cancel_subscriptions, keep_plans, start_subscriptions
from caas_billing.handlers.usage import bulk_handlers
from caas_billing.handlers.vehicles import (
    bill_confirmed_payments,
    bill_final_payments,
    bill_orders,
    bill_registrations,
    bill_reservations,
)
from caas_chassis.handling import Handler, Received
from caas_chassis.transaction import Tx
from caas_contracts import Message
from caas_contracts.orders import PurchaseActivated, PurchasePlaced
from caas_contracts.ota import DeactivationDelayed, ServiceDeactivated
from caas_contracts.payments import (
    OrphanSaleFound,
    PaymentAbandoned,
    PaymentActionRequired,
    PaymentCaptured,
    PaymentConfirmed,
    PaymentFailed,
    PaymentRefunded,
)
from caas_contracts.purchase_life import PurchaseRenewed
from caas_contracts.subscriptions import RatePlanPublished, SubscriptionCancelled, SubscriptionStarted
from caas_contracts.vehicle_orders import (
    VehicleOrderPaid,
    VehicleOrderPlaced,
    VehicleOrderReserved,
    VehicleRegisteredForTraffic,
)


def handlers(policy: BillingPolicy) -> Mapping[type[Message], Handler[Any]]:
    """The table of contents of this service, with the policy of billing monthly that it follows."""
    return {
        PurchasePlaced: bill_purchases,
        PurchaseActivated: bill_activations,
        PurchaseRenewed: bill_renewals,
        PaymentCaptured: bill_captures,
        VehicleOrderPlaced: bill_orders,
        VehicleOrderReserved: bill_reservations,
        VehicleOrderPaid: bill_final_payments,
        VehicleRegisteredForTraffic: bill_registrations,
        PaymentConfirmed: confirm_payments,
        PaymentFailed: partial(dunning.fail_charges, policy=policy),
        PaymentAbandoned: partial(dunning.abandon_charges, policy=policy),
        PaymentActionRequired: dunning.ask_customers,
        ServiceDeactivated: dunning.end_services,
        DeactivationDelayed: dunning.follow_delayed_ends,
        OrphanSaleFound: keep_orphans,
        PaymentRefunded: credit_refunds,
        RatePlanPublished: keep_plans,
        SubscriptionStarted: partial(start_subscriptions, policy=policy),
        SubscriptionCancelled: partial(cancel_subscriptions, policy=policy),
    }


async def confirm_payments(received: Sequence[Received[PaymentConfirmed]], *, tx: Tx) -> None:
    """Money was taken at once: of vehicles, of services, and of monthly invoices."""
    await bill_confirmed_payments(received, tx=tx)
    await bill_sales(received, tx=tx)
    await dunning.confirm_charges(received, tx=tx)


async def keep_orphans(received: Sequence[Received[OrphanSaleFound]], *, tx: Tx) -> None:
    """Money was taken for nothing, and is being given back: nothing is invoiced of it."""
    await bill_confirmed_payments(received, tx=tx)
    await bill_sales(received, tx=tx)


HANDLERS: Final = handlers(BillingPolicy())
"""With the default policy."""

__all__ = [
    "HANDLERS",
    "MAIL",
    "TYPESET",
    "TYPESET_STORED",
    "bill_captures",
    "bill_purchases",
    "bulk_handlers",
    "credit_refunds",
    "document_key",
    "effects",
    "handlers",
    "record_mailed",
    "record_typeset",
]
