"""What happens when a business instant comes: the charge fence's deadline, and asking again.

Timers are never removed early: most fire with nothing left to do. Removing one would take its row after the
vehicle's, while a firing timer takes the vehicle's after its own: a deadlock.
"""

from collections.abc import Callable, Sequence
from uuid import UUID

from caas_chassis.timers import DueTimer
from caas_chassis.transaction import Tx
from caas_ota.domain import activating, deactivating
from caas_ota.domain.activation import Activation
from caas_ota.domain.fleet import Fleet
from caas_ota.domain.policy import Policy
from caas_ota.handlers.writing import write_changes
from caas_ota.store.fleet import load_fleet, open_deactivations, unsettled_activations


async def pass_deadlines(due: Sequence[DueTimer], /, *, tx: Tx, policy: Policy) -> None:
    """Activations without a proof, `not_after` and the margin being over, have failed (charge fence)."""
    await _each_activation(due, activating.pass_deadline, tx=tx, policy=policy)


async def reject_unknown_vehicles(due: Sequence[DueTimer], /, *, tx: Tx, policy: Policy) -> None:
    """Activations of vehicles that were not registered in time have failed; nothing was sent."""
    await _each_activation(due, activating.reject_unknown_vehicle, tx=tx, policy=policy)


async def recheck_vehicles(due: Sequence[DueTimer], /, *, tx: Tx, policy: Policy) -> None:
    """Vehicles that were never heard are asked again what they did (SVC-10)."""
    await _each_activation(due, activating.recheck, tx=tx, policy=policy)


async def retry_deactivations(due: Sequence[DueTimer], /, *, tx: Tx, policy: Policy) -> None:
    """Delayed deactivations get another round (OTA-4)."""
    ids = [UUID(timer.key) for timer in due]
    places = await open_deactivations(tx, ids)
    fleet = await load_fleet(
        tx,
        policy,
        {place.vehicle_id for place in places},
        activation_ids={place.activation_id for place in places},
        deactivation_ids=ids,
    )
    for deactivation_id in ids:
        if deactivation_id in fleet.deactivations:
            deactivating.try_again(fleet, fleet.deactivations[deactivation_id])
    await write_changes(fleet, tx=tx)


async def _each_activation(
    due: Sequence[DueTimer], rule: Callable[[Fleet, Activation], None], *, tx: Tx, policy: Policy
) -> None:
    places = await unsettled_activations(tx, [UUID(timer.key) for timer in due])
    if not places:
        return
    vehicles = {place.vehicle_id for place in places}
    unsettled = [place.activation_id for place in places]
    fleet = await load_fleet(tx, policy, vehicles, activation_ids=unsettled)
    for activation_id in unsettled:
        rule(fleet, fleet.activations[activation_id])
    await write_changes(fleet, tx=tx)
