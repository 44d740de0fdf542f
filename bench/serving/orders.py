"""Orders with a maintenance system where every vehicle is current, and a mail server that takes every mail."""

from caas_chassis.main import run
from caas_orders.app import build
from caas_orders.gateway import Current, MailOutcome, MaintenanceAnswer, MaintenanceQuestion, OutgoingMail, Sent
from caas_orders.settings import OrdersSettings


class CurrentMaintenance:
    """The maintenance system."""

    async def ask(self, _: MaintenanceQuestion) -> MaintenanceAnswer:
        return Current()


class TakingMailer:
    """The mail server."""

    async def send(self, _: OutgoingMail) -> MailOutcome:
        return Sent()


if __name__ == "__main__":
    run(OrdersSettings, lambda settings: build(settings, maintenance=CurrentMaintenance(), mailer=TakingMailer()))
