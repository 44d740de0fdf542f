"""What ota does with what it is told, asked and reminded of. The tables below are its contents."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from caas_chassis.effects import Effect
from caas_chassis.handling import Handlers
from caas_chassis.timers import TimerHandler
from caas_contracts.orders import VehicleRegistered
from caas_contracts.ota import ActivateService, CancelActivation, DeactivateService
from caas_ota.domain.fleet import Timer
from caas_ota.domain.policy import Policy
from caas_ota.gateway.vehicles import Vehicles
from caas_ota.handlers.answers import set_aside, take_in
from caas_ota.handlers.deadlines import (
    pass_deadlines,
    recheck_vehicles,
    reject_unknown_vehicles,
    retry_deactivations,
)
from caas_ota.handlers.requests import (
    cancel_activations,
    register_vehicles,
    request_activations,
    request_deactivations,
)
from caas_ota.handlers.sending import (
    WATCH,
    Watch,
    follow_up,
    record_sendings,
    send_commands,
    wait_is_over,
)
from caas_ota.handlers.writing import SEND, Sendings

# The session has one connection; more calls at once only fill its queue.
_SENDERS: Final = 8


def handlers(policy: Policy) -> Handlers:
    """By message type."""
    return {
        ActivateService: partial(request_activations, policy=policy),
        CancelActivation: partial(cancel_activations, policy=policy),
        DeactivateService: partial(request_deactivations, policy=policy),
        VehicleRegistered: partial(register_vehicles, policy=policy),
    }


def effects(vehicles: Vehicles, policy: Policy) -> Sequence[Effect[Any, Any]]:
    """Sending, and the wait for answers that follows it."""
    return [
        Effect(SEND, Sendings, partial(send_commands, vehicles=vehicles), record_sendings, concurrency=_SENDERS),
        Effect(WATCH, Watch, wait_is_over, partial(follow_up, policy=policy), concurrency=_SENDERS),
    ]


def timers(policy: Policy) -> Mapping[str, TimerHandler]:
    """By timer name."""
    return {
        Timer.DEADLINE: partial(pass_deadlines, policy=policy),
        Timer.UNKNOWN_VEHICLE: partial(reject_unknown_vehicles, policy=policy),
        Timer.RECHECK: partial(recheck_vehicles, policy=policy),
        Timer.DEACTIVATION: partial(retry_deactivations, policy=policy),
    }


__all__ = ["effects", "handlers", "set_aside", "take_in", "timers"]
