"""Vehicles that sign, messages with sensible content, and the service under test."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from caas_chassis.cause import Cause
from caas_chassis.ids import new_id
from caas_chassis.runtime import Runtime
from caas_chassis.settings import ServiceSettings
from caas_chassis.testing.harness import Harness
from caas_contracts.orders import VehicleRegistered
from caas_contracts.ota import ActivateService, CancelActivation, ConfigurationValue, DeactivateService
from caas_ota.app import service_of
from caas_ota.domain.policy import Policy, RetrySchedule
from caas_ota.gateway.messages import Inbound, VehicleCommand
from caas_ota.gateway.vehicles import Publication
from caas_ota.handlers import take_in

QUICK = Policy(retries=RetrySchedule((timedelta(seconds=5), timedelta(seconds=15), timedelta(seconds=45))))
"""The default policy; tests skip its delays."""


def rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class SigningVehicle:
    """A vehicle's key and its honest answers, as bytes on its topic."""

    vehicle_id: str = field(default_factory=lambda: f"vehicle-{new_id()}")
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public_key(self) -> str:
        return base64.b64encode(self.key.public_key().public_bytes_raw()).decode()

    def registered(self, customer_id: str = "customer-1") -> VehicleRegistered:
        return VehicleRegistered(
            vehicle_id=self.vehicle_id,
            customer_id=customer_id,
            model="roadster",
            equipment=["heated-seats"],
            public_key=self.public_key,
            occurred_at=datetime.now(UTC),
        )

    def answer(
        self,
        command: VehicleCommand,
        status: str,
        *,
        reason: str = "",
        permanent: bool = False,
        applied_at: datetime | None = None,
        configuration: dict[str, ConfigurationValue] | None = None,
    ) -> dict[str, object]:
        """The acknowledgement, signed."""
        content: dict[str, object] = {
            "command_id": str(command.command_id),
            "activation_id": str(command.activation_id),
            "vehicle_id": command.vehicle_id,
            "status": status,
            "reason": reason,
            "permanent": permanent,
            "nonce": command.nonce,
            "counter": command.counter,
            "applied_at": rfc3339(applied_at or datetime.now(UTC)) if status == "applied" else "",
            "configuration": configuration or {},
        }
        return self.sign(content)

    def sign(self, content: dict[str, object]) -> dict[str, object]:
        """The content with this vehicle's signature over it as it is."""
        names = ("vehicle_id", "command_id", "activation_id", "status", "reason")
        parts = [str(content[name]) for name in names]
        parts += ["true" if content["permanent"] else "false"]
        parts += [str(content[name]) for name in ("nonce", "counter", "applied_at")]
        signature = self.key.sign("\n".join(parts).encode())
        return content | {"signature": base64.b64encode(signature).decode()}

    def says(self, content: dict[str, object]) -> Inbound:
        """The content on this vehicle's topic."""
        topic = f"caas/vehicles/{self.vehicle_id}/acknowledgements"
        return Inbound(topic, json.dumps(content).encode(), datetime.now(UTC))


@dataclass
class RecordingVehicles:
    """Takes commands as the broker does, and remembers them; away, it takes none.

    Breaking, it takes them and the answer is lost, as when the process dies before it could record it.
    """

    commands: list[VehicleCommand] = field(default_factory=list)
    is_away: bool = False
    is_breaking: bool = False

    async def publish(self, commands: Sequence[VehicleCommand]) -> Publication:
        if self.is_away:
            return Publication(frozenset())
        self.commands.extend(commands)
        if self.is_breaking:
            raise ConnectionResetError("the answer was lost")
        return Publication(frozenset(command.command_id for command in commands))


@dataclass
class Ota:
    """The service under test, with the vehicles it sends to."""

    harness: Harness
    vehicles: RecordingVehicles
    policy: Policy

    @property
    def now(self) -> datetime:
        return self.harness.clock.now()

    @property
    def last(self) -> VehicleCommand:
        """The command sent last."""
        return self.vehicles.commands[-1]

    async def registered_vehicle(self, customer_id: str = "customer-1") -> SigningVehicle:
        vehicle = SigningVehicle()
        await self.harness.receive(vehicle.registered(customer_id))
        return vehicle

    async def activating(self, vehicle: SigningVehicle, **content: object) -> ActivateService:
        """An activation whose first command was sent."""
        message = an_activation(vehicle.vehicle_id, self.now, **content)
        await self.harness.receive(message)
        await self.harness.run_effects()
        return message

    async def hear(self, *inbound: Inbound) -> None:
        """What arrives from vehicles, in one batch."""
        async with self.harness.runtime.transaction(Cause.of_person("vehicles"), ("vehicles",)) as tx:
            await take_in(inbound, tx=tx, policy=self.policy)
        await self.harness.run_effects()

    async def answered(
        self,
        vehicle: SigningVehicle,
        status: str,
        *,
        reason: str = "",
        permanent: bool = False,
        command: VehicleCommand | None = None,
    ) -> None:
        """The vehicle's signed answer, by default to the command sent last."""
        answer = vehicle.answer(command or self.last, status, reason=reason, permanent=permanent, applied_at=self.now)
        await self.hear(vehicle.says(answer))

    async def silence(self, times: int = 1) -> None:
        """Retry delays pass without an answer."""
        for _ in range(times):
            await self.harness.skip_delays()
            await self.harness.run_effects()

    async def rows(self, sql: str, *args: object) -> list[dict[str, object]]:
        async with self.harness.transaction() as tx:
            return [dict(row) for row in await tx.fetch(sql, *args)]

    async def status_of(self, activation_id: UUID) -> object:
        (row,) = await self.rows("SELECT status FROM activation WHERE activation_id = $1", activation_id)
        return row["status"]


def an_ota(database_url: str, policy: Policy = QUICK) -> Ota:
    vehicles = RecordingVehicles()
    return Ota(Harness(service_of(vehicles, policy), database_url), vehicles, policy)


async def migrate(database_url: str) -> None:
    runtime = Runtime(service_of(RecordingVehicles(), QUICK), ServiceSettings(database_url=database_url))
    await runtime.migrate()
    await runtime.database.close()


def an_activation(vehicle_id: str, now: datetime, **content: object) -> ActivateService:
    values: dict[str, object] = {
        "activation_id": new_id(),
        "purchase_id": new_id(),
        "payment_id": new_id(),
        "vehicle_id": vehicle_id,
        "service_code": "heated-seats",
        "configuration": {"heated_seats": True, "level": 3},
        "not_after": now + timedelta(minutes=30),
        "requested_at": now,
    }
    return ActivateService.model_validate(values | content)


def a_cancellation(activation: ActivateService, reason: str = "customer") -> CancelActivation:
    return CancelActivation(
        activation_id=activation.activation_id,
        vehicle_id=activation.vehicle_id,
        reason=reason,
        requested_at=activation.requested_at,
    )


def a_deactivation(activation: ActivateService, reason: str = "late_success") -> DeactivateService:
    return DeactivateService(
        deactivation_id=new_id(),
        activation_id=activation.activation_id,
        vehicle_id=activation.vehicle_id,
        service_code=activation.service_code,
        reason=reason,
        requested_at=activation.requested_at,
    )
