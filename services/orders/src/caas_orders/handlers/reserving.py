"""Placing vehicle orders: built to order, or from stock (RES-1, RES-6)."""

from dataclasses import dataclass
from uuid import UUID

from caas_chassis.transaction import Tx
from caas_orders.domain.refusal import Refusal, RefusalCode
from caas_orders.domain.registration import Customer
from caas_orders.domain.reserving import OrderWish, place_order
from caas_orders.domain.sales_policy import SalesPolicy
from caas_orders.domain.stock import VehicleChange
from caas_orders.domain.terms import Terms
from caas_orders.domain.vehicle_catalogue import current_vehicle_catalogue
from caas_orders.domain.vehicle_order import VehicleOrder
from caas_orders.handlers.order_amending import CausedChange, announce_orders
from caas_orders.store import registrations, stock, vehicle_orders


@dataclass(frozen=True, slots=True)
class Configuration:
    """A vehicle to be built."""

    model: str
    options: tuple[str, ...]
    dealership: str


@dataclass(frozen=True, slots=True)
class ReservationWish:
    """A request to reserve: a configuration, or the number of a vehicle in stock.

    The ids are given with it, so that one intent has one payment (PAY-7). `customer` is None for a registered one.
    """

    order_id: UUID
    payment_id: UUID
    customer_id: str
    customer: Customer | None
    vehicle: Configuration | str
    payment_method: str


async def reserve(wish: ReservationWish, policy: SalesPolicy, *, tx: Tx) -> VehicleOrder | Refusal:
    """Place the order and ask for its reservation payment, or say why not.

    A stock vehicle is claimed under its row's lock before anything is charged: of two customers exactly one has
    it when this commits, the other is refused and never charged.
    """
    customer = await _customer(wish, tx=tx)
    if isinstance(customer, Refusal):
        return customer
    catalogue = current_vehicle_catalogue()
    if isinstance(wish.vehicle, str):
        claimed = await _claim(wish.vehicle, wish, tx=tx)
        if isinstance(claimed, Refusal):
            return claimed
        return await _place(wish, customer, claimed.vehicle.terms, policy, tx=tx, vehicle_id=wish.vehicle)
    configuration = wish.vehicle
    terms = catalogue.configure(configuration.model, configuration.options, configuration.dealership)
    if isinstance(terms, Refusal):
        return terms
    return await _place(wish, customer, terms, policy, tx=tx)


async def _customer(wish: ReservationWish, *, tx: Tx) -> Customer | Refusal:
    if wish.customer is not None:
        await registrations.put_customer(wish.customer, tx=tx)
        return wish.customer
    registered = (await registrations.customers([wish.customer_id], tx=tx)).get(wish.customer_id)
    if registered is None:
        return Refusal(RefusalCode.CUSTOMER_NOT_FOUND, "send your name and e-mail address as `customer`")
    return registered


async def _claim(vehicle_id: str, wish: ReservationWish, *, tx: Tx) -> VehicleChange | Refusal:
    vehicle = (await stock.lock([vehicle_id], tx=tx)).get(vehicle_id)
    if vehicle is None:
        return Refusal(RefusalCode.VEHICLE_NOT_FOUND, f"there is no vehicle {vehicle_id} in stock")
    change = vehicle.claim(wish.order_id, wish.customer_id, tx.now)
    if isinstance(change, Refusal):
        return change
    await stock.save(change.vehicle, tx=tx)
    for assignment in change.assignments:
        await stock.add_assignment(assignment, tx=tx)
    return change


async def _place(
    wish: ReservationWish,
    customer: Customer,
    terms: Terms,
    policy: SalesPolicy,
    *,
    tx: Tx,
    vehicle_id: str | None = None,
) -> VehicleOrder:
    platform = current_vehicle_catalogue().platforms.get(terms.model)
    change = place_order(
        OrderWish(
            order_id=wish.order_id,
            payment_id=wish.payment_id,
            customer=customer,
            terms=terms,
            model_name=platform.name if platform else terms.model,
            payment_method=wish.payment_method,
            stock_vehicle_id=vehicle_id,
        ),
        tx.now,
    )
    await vehicle_orders.insert(change.order, tx=tx)
    await announce_orders([CausedChange(None, change, tx.cause)], policy, tx=tx)
    return change.order
