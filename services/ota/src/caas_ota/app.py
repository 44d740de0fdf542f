"""Builds the ota service: the one place where settings become parts."""

from collections.abc import Sequence

from fastapi import FastAPI

from caas_chassis.cause import Cause
from caas_chassis.clock import BusinessClock
from caas_chassis.loops import Loop
from caas_chassis.main import run
from caas_chassis.processing import OpenTransaction
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.web import create_app
from caas_ota.domain.policy import Policy, RetrySchedule
from caas_ota.gateway.link import BrokerAddress, VehicleLink
from caas_ota.gateway.messages import Inbound, VehicleCommand
from caas_ota.gateway.vehicles import Publication, Vehicles
from caas_ota.handlers import effects, handlers, set_aside, take_in, timers
from caas_ota.http import router_of
from caas_ota.settings import OtaSettings, duration, durations

NAME = "ota"
_FROM_VEHICLES = ("vehicles",)


class VehicleIntake:
    """Where messages from vehicles enter: each batch in one transaction."""

    def __init__(self, transaction: OpenTransaction, policy: Policy) -> None:
        self._transaction = transaction
        self._policy = policy

    async def receive(self, inbound: Sequence[Inbound]) -> None:
        """Store and apply a batch."""
        async with self._transaction(Cause.of_person("vehicles"), _FROM_VEHICLES) as tx:
            await take_in(inbound, tx=tx, policy=self._policy)

    async def set_aside(self, message: Inbound) -> None:
        """Keep a message that cannot be applied."""
        async with self._transaction(Cause.of_person("vehicles"), _FROM_VEHICLES) as tx:
            await set_aside(message, tx=tx)


class LinkedVehicles:
    """The vehicles by way of the MQTT link, which exists once the runtime has built it."""

    def __init__(self, address: BrokerAddress, policy: Policy, clock: BusinessClock) -> None:
        self._address = address
        self._policy = policy
        self._clock = clock
        self._link: VehicleLink | None = None

    def build(self, transaction: OpenTransaction) -> Loop:
        """The loop that keeps the link up."""
        intake = VehicleIntake(transaction, self._policy)
        self._link = VehicleLink(self._address, intake.receive, intake.set_aside, self._clock.now)
        return self._link

    async def publish(self, commands: Sequence[VehicleCommand]) -> Publication:
        """Send by the link; nothing goes out before it is built."""
        return Publication(frozenset()) if self._link is None else await self._link.publish(commands)


def service_of(vehicles: Vehicles, policy: Policy, loops: Sequence["LinkedVehicles"] = ()) -> Service:
    """The service over any way to the vehicles."""
    return Service(
        name=NAME,
        migrations="caas_ota.migrations",
        handlers=handlers(policy),
        effects=effects(vehicles, policy),
        timers=timers(policy),
        loops=[loop.build for loop in loops],
    )


def policy_of(settings: OtaSettings) -> Policy:
    """The configured waits."""
    by_service = settings.retry_delays_s_by_service
    return Policy(
        retries=RetrySchedule(durations(settings.retry_delays_s)),
        retries_by_service={code: RetrySchedule(durations(delays)) for code, delays in by_service.items()},
        clock_margin=duration(settings.clock_margin_s),
        unknown_vehicle_grace=duration(settings.unknown_vehicle_grace_s),
        recheck_interval=duration(settings.recheck_interval_s),
        recheck_interval_max=duration(settings.recheck_interval_max_s),
        deactivation_interval=duration(settings.deactivation_interval_s),
    )


def build(settings: OtaSettings) -> FastAPI:
    """The application with everything in it; its lifespan starts it."""
    policy = policy_of(settings)
    clock = BusinessClock(settings.clock_file)
    address = BrokerAddress(
        host=settings.mqtt_host,
        port=settings.mqtt_port,
        client_id=settings.mqtt_client_id,
        username=settings.mqtt_username,
        password=settings.mqtt_password,
        tls=settings.mqtt_tls,
        shared_group=settings.mqtt_shared_group,
    )
    vehicles = LinkedVehicles(address, policy, clock)
    runtime = Runtime(service_of(vehicles, policy, [vehicles]), settings, clock)
    return create_app(runtime, [router_of(runtime)])


def main() -> None:
    """`caas-ota serve|migrate`."""
    run(OtaSettings, build)
