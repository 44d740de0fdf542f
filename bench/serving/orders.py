"""Orders with partners that answer at once and well: every vehicle is current, every mail and every order is taken.

Nothing is ever built, so nothing is registered or transported either.
"""

from fastapi import FastAPI

from caas_chassis.main import run
from caas_orders.app import build
from caas_orders.gateway import Current, MailOutcome, MaintenanceAnswer, MaintenanceQuestion, OutgoingMail, Sent
from caas_orders.gateway.supply import (
    FactoryAccepted,
    FactoryAnswer,
    FactoryOrder,
    RegistrationAnswer,
    RegistrationRequest,
    Suppliers,
    TransportAnswer,
    TransportBooking,
    Unanswered,
)
from caas_orders.settings import OrdersSettings


class CurrentMaintenance:
    """The maintenance system."""

    async def ask(self, _: MaintenanceQuestion) -> MaintenanceAnswer:
        return Current()


class TakingMailer:
    """The mail server."""

    async def send(self, _: OutgoingMail) -> MailOutcome:
        return Sent()


class AcceptingFactory:
    """The factory."""

    async def order(self, order: FactoryOrder) -> FactoryAnswer:
        return FactoryAccepted(f"fac_{order.order_id.hex}", None)


class NeverAsked:
    """The partners of vehicles that are built."""

    async def register(self, _: RegistrationRequest) -> RegistrationAnswer:
        return Unanswered("no_vehicle_is_built")

    async def book(self, _: TransportBooking) -> TransportAnswer:
        return Unanswered("no_vehicle_is_built")


def build_for_bench(settings: OrdersSettings) -> FastAPI:
    """Orders' own application over these partners."""
    suppliers = Suppliers(factory=AcceptingFactory(), registration=NeverAsked(), transport=NeverAsked())
    return build(settings, maintenance=CurrentMaintenance(), mailer=TakingMailer(), suppliers=suppliers)


if __name__ == "__main__":
    run(OrdersSettings, build_for_bench)
