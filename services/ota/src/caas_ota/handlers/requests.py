"""What other services ask: activate, cancel, deactivate; and the vehicles they tell about."""

from collections.abc import Iterable, Sequence

from caas_chassis.errors import Refused as MessageRefused
from caas_chassis.handling import Received
from caas_chassis.transaction import Tx
from caas_contracts.orders import VehicleRegistered
from caas_contracts.ota import ActivateService, CancelActivation, DeactivateService
from caas_ota.domain import activating, deactivating
from caas_ota.domain.policy import Policy
from caas_ota.domain.refusal import Refused
from caas_ota.handlers.writing import origin_of, write_changes
from caas_ota.store.fleet import load_fleet


async def request_activations(received: Sequence[Received[ActivateService]], /, *, tx: Tx, policy: Policy) -> None:
    """Queue each activation at its vehicle and send what can go at once (SVC-3, OTA-6)."""
    messages = [one.message for one in received]
    fleet = await load_fleet(
        tx, policy, _vehicles(messages), activation_ids=[m.activation_id for m in messages], create=True
    )
    for one in received:
        _accept(activating.request_activation(fleet, one.message, origin_of(one.cause)))
    await write_changes(fleet, tx=tx)


async def cancel_activations(received: Sequence[Received[CancelActivation]], /, *, tx: Tx, policy: Policy) -> None:
    """Stop what is not applied yet; a proof of success wins (SVC-11)."""
    messages = [one.message for one in received]
    fleet = await load_fleet(tx, policy, _vehicles(messages), activation_ids=[m.activation_id for m in messages])
    for message in messages:
        _accept(activating.request_cancellation(fleet, message))
    await write_changes(fleet, tx=tx)


async def request_deactivations(received: Sequence[Received[DeactivateService]], /, *, tx: Tx, policy: Policy) -> None:
    """Put each deactivation on the work list (OTA-4)."""
    messages = [one.message for one in received]
    fleet = await load_fleet(
        tx,
        policy,
        _vehicles(messages),
        activation_ids=[message.activation_id for message in messages],
        deactivation_ids=[message.deactivation_id for message in messages],
    )
    for one in received:
        _accept(deactivating.request_deactivation(fleet, one.message, origin_of(one.cause)))
    await write_changes(fleet, tx=tx)


async def register_vehicles(received: Sequence[Received[VehicleRegistered]], /, *, tx: Tx, policy: Policy) -> None:
    """Learn the vehicles' keys; what waited for them goes on."""
    messages = [one.message for one in received]
    fleet = await load_fleet(tx, policy, _vehicles(messages), create=True)
    for message in messages:
        vehicle = fleet.vehicles[message.vehicle_id]
        fleet.put_vehicle(
            vehicle.registered(customer_id=message.customer_id, model=message.model, public_key=message.public_key)
        )
        fleet.advance(message.vehicle_id)
    await write_changes(fleet, tx=tx)


def _vehicles(
    messages: Iterable[ActivateService | CancelActivation | DeactivateService | VehicleRegistered],
) -> list[str]:
    return [message.vehicle_id for message in messages]


def _accept(refused: Refused | None) -> None:
    """Have the chassis park a message that can never be applied."""
    if refused is not None:
        raise MessageRefused(refused.code, refused.detail)
