"""Builds the ota service: the one place where settings become parts."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

from fastapi import FastAPI

from caas_chassis.cause import Cause
from caas_chassis.clock import BusinessClock
from caas_chassis.loops import Loop
from caas_chassis.main import run
from caas_chassis.processing import OpenTransaction
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.transaction import Tx
from caas_chassis.web import create_app
from caas_ota.domain.policy import Policy, RetrySchedule
from caas_ota.gateway.link import BrokerAddress, VehicleLink
from caas_ota.gateway.messages import Inbound, VehicleCommand
from caas_ota.gateway.vehicles import MakeLink, Now, Publication, Vehicles
from caas_ota.handlers import effects, handlers, set_aside, take_in, timers
from caas_ota.http import router_of
from caas_ota.settings import OtaSettings, duration, durations

NAME = "ota"


class LinkedVehicles:
    """The vehicles by way of a link: each batch of theirs is one transaction."""

    def __init__(self, make_link: MakeLink, policy: Policy, now: Now) -> None:
        self.link = make_link(self._receive, self._set_aside, now)
        self._policy = policy
        self._transaction: OpenTransaction | None = None

    def build(self, transaction: OpenTransaction) -> Loop:
        """The loop that keeps the link up, storing with this runtime's transactions."""
        self._transaction = transaction
        return self.link

    async def publish(self, commands: Sequence[VehicleCommand]) -> Publication:
        """Send by the link."""
        return await self.link.publish(commands)

    async def _receive(self, inbound: Sequence[Inbound]) -> None:
        async with self._open() as tx:
            await take_in(inbound, tx=tx, policy=self._policy)

    async def _set_aside(self, message: Inbound) -> None:
        async with self._open() as tx:
            await set_aside(message, tx=tx)

    def _open(self) -> AbstractAsyncContextManager[Tx]:
        if self._transaction is None:
            raise AssertionError("the link was started without a runtime")
        return self._transaction(Cause.of_person("vehicles"), ("vehicles",))


def service_of(vehicles: Vehicles, policy: Policy, loops: Sequence[LinkedVehicles] = ()) -> Service:
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


def build(settings: OtaSettings, make_link: MakeLink | None = None) -> FastAPI:
    """The application with everything in it; its lifespan starts it. Without `make_link` it speaks MQTT."""
    policy = policy_of(settings)
    clock = BusinessClock(settings.clock_file)
    vehicles = LinkedVehicles(make_link or mqtt_link(address_of(settings)), policy, clock.now)
    runtime = Runtime(service_of(vehicles, policy, [vehicles]), settings, clock)
    return create_app(runtime, [router_of(runtime)])


def mqtt_link(address: BrokerAddress) -> MakeLink:
    """Links over this broker."""
    return partial(VehicleLink, address)


def address_of(settings: OtaSettings) -> BrokerAddress:
    """The configured broker."""
    return BrokerAddress(
        host=settings.mqtt_host,
        port=settings.mqtt_port,
        client_id=settings.mqtt_client_id,
        username=settings.mqtt_username,
        password=settings.mqtt_password,
        tls=settings.mqtt_tls,
        shared_group=settings.mqtt_shared_group,
    )


def main() -> None:
    """`caas-ota serve|migrate`."""
    run(OtaSettings, build)
