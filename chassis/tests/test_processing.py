"""Promises 2, 6 and 7: in order per stream, poison parked, batches fall back."""

from caas_chassis.planning import ParkReason
from caas_chassis.testing.harness import Harness
from caas_contracts.operations import AlertRaised
from caas_contracts.ota import ActivationFailed
from caas_contracts.streams import ResendStream
from chassis.tests.toy_service import an_activation


async def applied(toy: Harness) -> list[str]:
    async with toy.transaction() as tx:
        return [row["vehicle_id"] for row in await tx.fetch("SELECT vehicle_id FROM applied ORDER BY n")]


async def test_a_batch_is_applied_and_its_results_published_in_one_transaction(toy: Harness) -> None:
    commands = [an_activation(f"V-{n}") for n in range(50)]
    await toy.receive(*commands)
    assert await applied(toy) == [command.vehicle_id for command in commands]
    assert len(await toy.published(ActivationFailed)) == 50


async def test_a_gap_parks_the_stream_and_asks_for_the_missing_part(toy: Harness) -> None:
    first, second, third = an_activation(), an_activation(), an_activation()
    records = [toy.record(message) for message in (first, second, third)]
    await toy.receive_records(records[0], records[2])
    assert await applied(toy) == ["V-1"]
    assert [row["reason"] for row in await toy.parked()] == [ParkReason.GAP]
    (request,) = await toy.published(ResendStream)
    assert (request.from_sequence, request.to_sequence, request.stream_key) == (2, 2, "V-1")
    await toy.receive_records(records[1])
    await toy.retry_parked()
    assert len(await applied(toy)) == 3
    assert not await toy.parked()


async def test_a_poison_message_costs_its_batch_a_second_try_but_never_its_result(toy: Harness) -> None:
    await toy.receive(an_activation("V-1"), an_activation("poison-1"), an_activation("V-2"))
    assert await applied(toy) == ["V-1", "V-2"]
    assert [row["reason"] for row in await toy.parked()] == [ParkReason.FAILED]


async def test_later_messages_of_a_poisoned_stream_wait_and_others_flow(toy: Harness) -> None:
    await toy.receive(an_activation("poison-1"))
    await toy.receive(an_activation("poison-1"), an_activation("V-2"))
    assert await applied(toy) == ["V-2"]
    assert sorted(row["reason"] for row in await toy.parked()) == [ParkReason.FAILED, ParkReason.WAITING]


async def test_a_failing_message_is_given_to_a_person_after_bounded_tries(toy: Harness) -> None:
    await toy.receive(an_activation("poison-1"))
    for _ in range(6):
        await toy.skip_delays()
        await toy.retry_parked()
    (row,) = await toy.parked()
    assert (row["state"], row["attempts"]) == ("parked", 4)
    assert [alert.kind for alert in await toy.published(AlertRaised)] == ["message_parked"]


async def test_a_refused_message_is_parked_and_its_stream_goes_on(toy: Harness) -> None:
    await toy.receive(an_activation("refuse-1"))
    (row,) = await toy.parked()
    assert (row["reason"], row["state"]) == (ParkReason.REFUSED, "parked")
    assert len(await toy.published(AlertRaised)) == 1
