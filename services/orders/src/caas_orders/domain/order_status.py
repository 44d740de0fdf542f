"""The states of a vehicle order and of a vehicle, and the transitions between them, and no others."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class VehicleOrderStatus(StrEnum):
    """Where a vehicle order stands."""

    RESERVING = "reserving"  # the reservation is being paid (RES-1)
    DECLINED = "declined"  # it was not paid: no order, only the logged attempt (RES-3)
    RESERVED = "reserved"  # paid; the factory is being asked, for as long as it takes (RES-2, RES-4)
    ORDERED = "ordered"  # the factory has the order
    BUILT = "built"  # the vehicle exists and has its number
    READY = "ready"  # at the dealership; the final payment is due (FIN-1)
    PAYING = "paying"  # the final payment is under way (FIN-2)
    PAYMENT_FAILED = "payment_failed"  # declined or overdue: forfeited, for good (FIN-4, FIN-6)
    PAID = "paid"  # paid in full (FIN-3)
    REGISTERING = "registering"  # the administration has the application
    REGISTERED = "registered"  # it has its plates
    DELIVERY_SCHEDULED = "delivery_scheduled"  # transport has a day for it
    DELIVERED = "delivered"  # the customer has it


_O = VehicleOrderStatus

ORDER_TRANSITIONS: Final[Mapping[VehicleOrderStatus, frozenset[VehicleOrderStatus]]] = {
    _O.RESERVING: frozenset({_O.RESERVED, _O.DECLINED}),
    _O.DECLINED: frozenset(),
    _O.RESERVED: frozenset({_O.ORDERED, _O.READY}),
    _O.ORDERED: frozenset({_O.BUILT}),
    _O.BUILT: frozenset({_O.READY}),
    _O.READY: frozenset({_O.PAYING, _O.PAYMENT_FAILED}),
    _O.PAYING: frozenset({_O.PAID, _O.PAYMENT_FAILED, _O.READY}),
    _O.PAYMENT_FAILED: frozenset(),
    _O.PAID: frozenset({_O.REGISTERING}),
    _O.REGISTERING: frozenset({_O.REGISTERED}),
    _O.REGISTERED: frozenset({_O.DELIVERY_SCHEDULED}),
    _O.DELIVERY_SCHEDULED: frozenset({_O.DELIVERED}),
    _O.DELIVERED: frozenset(),
}

BEFORE_PAYMENT: Final = frozenset({_O.RESERVING, _O.RESERVED, _O.ORDERED, _O.BUILT})
PAID_IN_FULL: Final = frozenset({_O.PAID, _O.REGISTERING, _O.REGISTERED, _O.DELIVERY_SCHEDULED, _O.DELIVERED})


class VehicleStatus(StrEnum):
    """Who has a vehicle that exists."""

    ASSIGNED = "assigned"  # built for an order
    SIN_ASIGNAR = "sin_asignar"  # its order has lost it (FIN-4)
    AVAILABLE_STOCK = "available_stock"  # on sale to anybody (RES-6)
    RESERVED = "reserved"  # claimed from stock by an order
    SOLD = "sold"  # paid in full


_V = VehicleStatus

VEHICLE_TRANSITIONS: Final[Mapping[VehicleStatus, frozenset[VehicleStatus]]] = {
    _V.ASSIGNED: frozenset({_V.SIN_ASIGNAR, _V.SOLD}),
    _V.SIN_ASIGNAR: frozenset({_V.AVAILABLE_STOCK}),
    _V.AVAILABLE_STOCK: frozenset({_V.RESERVED}),
    _V.RESERVED: frozenset({_V.AVAILABLE_STOCK, _V.SIN_ASIGNAR, _V.SOLD}),
    _V.SOLD: frozenset(),
}
