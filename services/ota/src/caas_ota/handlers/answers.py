"""What vehicles say: acknowledgements that are verified before anything follows from them, and reports."""

from collections.abc import Sequence

from caas_chassis.transaction import Tx
from caas_ota.domain.acknowledgement import Acknowledgement, Refusal, Report, Unreadable
from caas_ota.domain.answering import acknowledge_all, note_configuration
from caas_ota.domain.policy import Policy
from caas_ota.gateway.messages import Inbound, read_inbound
from caas_ota.gateway.signatures import verify_signature
from caas_ota.handlers.writing import write_changes
from caas_ota.store.answers import insert_unreadable
from caas_ota.store.fleet import load_fleet


async def take_in(inbound: Sequence[Inbound], *, tx: Tx, policy: Policy) -> None:
    """Apply a batch of messages from vehicles, in their order, with a constant number of statements."""
    read = [read_inbound(message) for message in inbound]
    acknowledgements = [one for one in read if isinstance(one, Acknowledgement)]
    reports = [one for one in read if isinstance(one, Report)]
    await insert_unreadable(tx, [one for one in read if isinstance(one, Unreadable)])
    if not acknowledgements and not reports:
        return
    vehicles = {one.topic_vehicle_id for one in acknowledgements} | {one.vehicle_id for one in reports}
    fleet = await load_fleet(tx, policy, vehicles, command_ids={one.command_id for one in acknowledgements})
    acknowledge_all(fleet, acknowledgements, verify_signature)
    for report in reports:
        note_configuration(fleet, report.vehicle_id, report.configuration)
    await write_changes(fleet, tx=tx)


async def set_aside(message: Inbound, *, tx: Tx) -> None:
    """Keep a message that cannot be processed, so that it does not hold the others up."""
    read = read_inbound(message)
    if isinstance(read, Acknowledgement):
        read = Unreadable(read.acknowledgement_id, message.topic, read.raw, message.arrived_at)
    if isinstance(read, Unreadable):
        await insert_unreadable(tx, [read], Refusal.PROCESSING_FAILED)
