"""Factory, administration and transport over HTTP: what they tell of a commission, in the words of orders."""

from caas_orders.gateway.commissions import Commission, CommissionClient, Nonsense, needed
from caas_orders.gateway.supply import (
    FactoryAccepted,
    FactoryAnswer,
    FactoryOrder,
    Refused,
    RegistrationAnswer,
    RegistrationGranted,
    RegistrationPending,
    RegistrationRejected,
    RegistrationRequest,
    TransportAnswer,
    TransportBooked,
    TransportBooking,
    TransportDelivered,
    Unanswered,
)

INVALID_ANSWER = "invalid_answer"


class FactoryClient:
    """The factory (RES-2, RES-4)."""

    def __init__(self, client: CommissionClient) -> None:
        self._client = client

    async def order(self, order: FactoryOrder) -> FactoryAnswer:
        """As `Factory.order`."""
        body = {"model": order.model, "options": order.options, "dealership": order.dealership}
        found = await self._client.place(str(order.order_id), body)
        if not isinstance(found, Commission):
            return found
        return FactoryAccepted(found.id, found.estimated_delivery)


class RegistrationClient:
    """The administration (FIN-3)."""

    def __init__(self, client: CommissionClient) -> None:
        self._client = client

    async def register(self, request: RegistrationRequest) -> RegistrationAnswer:
        """As `Registration.register`."""
        holder = {"name": request.customer_name, "tax_id": request.customer_tax_id}
        body = {"vin": request.vin, "model": request.model, "holder": holder}
        found = await self._client.place(request.reference, body)
        if not isinstance(found, Commission):
            return found
        if found.vin != request.vin:
            return Unanswered(INVALID_ANSWER)
        try:
            return registration_answer(found)
        except Nonsense:
            return Unanswered(INVALID_ANSWER)


class TransportClient:
    """The transport company (FIN-3)."""

    def __init__(self, client: CommissionClient) -> None:
        self._client = client

    async def book(self, booking: TransportBooking) -> TransportAnswer:
        """As `Transport.book`."""
        body = {
            "vin": booking.vin,
            "plates": booking.plates,
            "dealership": booking.dealership,
            "recipient": booking.customer_name,
        }
        found = await self._client.place(str(booking.order_id), body)
        if isinstance(found, Refused | Unanswered):
            return found
        try:
            return transport_answer(found)
        except Nonsense:
            return Unanswered(INVALID_ANSWER)


def registration_answer(said: Commission) -> RegistrationPending | RegistrationGranted | RegistrationRejected:
    """How an application stands; raises Nonsense for one that is granted without plates."""
    match said.status:
        case "registered":
            return RegistrationGranted(said.id, needed(said.plates, "plates"))
        case "rejected":
            return RegistrationRejected(said.id, said.reason or "no_reason_given")
        case _:
            return RegistrationPending(said.id)


def transport_answer(said: Commission) -> TransportBooked | TransportDelivered:
    """How a booking stands; raises Nonsense for one without its day or instant."""
    if said.status == "delivered":
        return TransportDelivered(said.id, needed(said.delivered_at, "delivered_at"))
    return TransportBooked(said.id, needed(said.delivery_on, "delivery_on"))
