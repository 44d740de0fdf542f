"""Invoices of vehicles: the reservation's when it is paid, the final one when the vehicle has its plates (INV-1).

Invariant: a reservation or final payment is invoiced once, iff payments has confirmed it and orders counts it.
So a customer who paid for a vehicle that another one got, and is paid back, gets no invoice.
"""

from collections.abc import Sequence
from functools import partial

from caas_billing.domain.invoice import final_invoice, reservation_invoice
from caas_billing.domain.numbering import Series
from caas_billing.domain.sale import VehicleSale
from caas_billing.errors import PaymentNotAsAgreed
from caas_billing.handlers.issuing import Causes, issue_credit_notes, issue_invoices
from caas_billing.store import invoices, vehicle_sales
from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.payments import OrphanSaleFound, PaymentConfirmed, PaymentPurpose
from caas_contracts.vehicle_orders import (
    VehicleOrderEvent,
    VehicleOrderPaid,
    VehicleOrderPlaced,
    VehicleOrderReserved,
    VehicleRegisteredForTraffic,
)

_OF_VEHICLES = (PaymentPurpose.RESERVATION, PaymentPurpose.FINAL)


async def bill_orders(received: Sequence[Received[VehicleOrderPlaced]], *, tx: Tx) -> None:
    """Remember what was ordered, for whom, at which price."""
    causes = await _locked(received, tx=tx)
    await vehicle_sales.add_orders(tx, [one.message for one in received])
    await _issue(causes, tx=tx)


async def bill_reservations(received: Sequence[Received[VehicleOrderReserved]], *, tx: Tx) -> None:
    """The order stands: its reservation is invoiced as soon as payments has confirmed it (RES-2)."""
    causes = await _locked(received, tx=tx)
    await vehicle_sales.add_reserved(tx, [one.message for one in received])
    await _issue(causes, tx=tx)


async def bill_final_payments(received: Sequence[Received[VehicleOrderPaid]], *, tx: Tx) -> None:
    """The vehicle is paid: its invoice waits for the plates (FIN-3)."""
    causes = await _locked(received, tx=tx)
    await vehicle_sales.add_paid(tx, [one.message for one in received])
    await _issue(causes, tx=tx)


async def bill_registrations(received: Sequence[Received[VehicleRegisteredForTraffic]], *, tx: Tx) -> None:
    """The vehicle has its identification number and its plates, which its invoice says (INV-1)."""
    causes = await _locked(received, tx=tx)
    await vehicle_sales.add_registered(tx, [one.message for one in received])
    await _issue(causes, tx=tx)


async def bill_confirmed_payments(received: Sequence[Received[PaymentConfirmed | OrphanSaleFound]], *, tx: Tx) -> None:
    """Remember what was paid of vehicles; other purposes are invoiced by other functions.

    Orders never counts an orphan, so it gets no invoice: it is remembered for the refund that follows.
    """
    paid = [one for one in received if one.message.purpose in _OF_VEHICLES]
    if not paid:
        return
    causes = {one.message.subject_id: one.cause for one in paid}
    await vehicle_sales.lock_orders(tx, list(causes))
    await vehicle_sales.add_payments(tx, [one.message for one in paid])
    await _issue(causes, tx=tx)


async def _locked(received: Sequence[Received[VehicleOrderEvent]], *, tx: Tx) -> Causes:
    causes = {one.message.order_id: one.cause for one in received}
    await vehicle_sales.lock_orders(tx, list(causes))
    return causes


async def _issue(causes: Causes, *, tx: Tx) -> None:
    """Issue what these locked orders lack; a final invoice needs the reservation's, so that one comes first."""
    reserved = await vehicle_sales.reservations_due(tx, list(causes))
    _require_agreement(reserved)
    await issue_invoices(Series.RESERVATION, [partial(reservation_invoice, sale) for sale in reserved], causes, tx=tx)
    delivered = await vehicle_sales.vehicles_due(tx, list(causes))
    _require_agreement(delivered)
    await _issue_final(delivered, causes, tx=tx)
    credited = {sale.last_payment_id: causes[sale.order_id] for sale in reserved + delivered}
    await issue_credit_notes(credited, tx=tx)


async def _issue_final(sales: Sequence[VehicleSale], causes: Causes, *, tx: Tx) -> None:
    if not sales:
        return
    reservations = await invoices.find_reservations(tx, [sale.order_id for sale in sales])
    drafts = [partial(final_invoice, sale, reservations[sale.order_id]) for sale in sales]
    await issue_invoices(Series.VEHICLE, drafts, causes, tx=tx)


def _require_agreement(sales: Sequence[VehicleSale]) -> None:
    """Raises PaymentNotAsAgreed for the first order that was paid otherwise than it says (FIN-1)."""
    for sale in sales:
        if not sale.is_paid_as_agreed:
            raise PaymentNotAsAgreed(sale.order_id)
