"""Promise 6: what cannot be applied is parked with its reason, and nothing else is delayed or lost."""

import json
from collections.abc import Sequence

import pytest

from caas_chassis.operating import NotItsTurn, NotParked, discard_parked, replay_parked
from caas_chassis.planning import ParkReason
from caas_chassis.processing import FAILURES_IN_A_ROW, TooManyFailures
from caas_chassis.records import RawRecord
from caas_chassis.testing.harness import Harness
from caas_contracts.operations import AlertRaised
from chassis.tests.running import query, value
from chassis.tests.toy_service import WELCOME, an_activation

TOPIC = "caas.ota.commands.v1"
TYPE = "caas.ota.ActivateService.v1"
GOOD = [("ce_id", b"1"), ("ce_source", b"partner"), ("ce_type", TYPE.encode())]


def a_record(value: bytes, headers: list[tuple[str, bytes]], offset: int = 900) -> RawRecord:
    return RawRecord(TOPIC, 0, offset, b"k", value, headers)


async def receive_each(toy: Harness, records: Sequence[RawRecord]) -> None:
    for record in records:
        await toy.receive_records(record)


async def applied(toy: Harness) -> object:
    return await value(toy.runtime.settings.database_url, "SELECT count(*) FROM applied")


BAD = {
    "no headers": a_record(b"{}", []),
    "undecodable header": a_record(b"{}", [*GOOD, ("ce_subject", b"\xff\xfe")]),
    "nameless NUL header": a_record(b"{}", [("x\x00", b"1")]),
    "NUL in the id": a_record(b"{}", [("ce_id", b"\x00"), *GOOD[1:]]),
    "no JSON": a_record(b"\xff", GOOD),
    "empty": a_record(b"", GOOD),
    "wrong fields": a_record(b'{"vehicle_id": 12}', GOOD),
    "NUL in the body": a_record(an_activation().to_json().replace(b"V-1", b"V\\u0000"), GOOD),
    "not dense": a_record(b"{}", [*GOOD, ("ce_sequence", b"-1")]),
    "endless number": a_record(b"{}", [*GOOD, ("ce_sequence", b"9" * 900)]),
    "structured, no JSON": a_record(b"{", [("content-type", b"application/cloudevents+json")]),
    "structured, deep": a_record(b"[" * 90_000, [("content-type", b"application/cloudevents+json")]),
    "structured, surrogate": a_record(
        json.dumps({"id": "\ud800", "source": "p", "type": TYPE, "data": {}}).encode(),
        [("content-type", b"application/cloudevents+json")],
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_cannot_be_read_is_parked_raw_and_the_rest_applied(toy: Harness, name: str) -> None:
    bad = BAD[name]
    await toy.receive_records(toy.record(an_activation()), bad, toy.record(an_activation()))
    (row,) = await toy.parked()
    assert (row["reason"], row["state"], row["value"]) == (ParkReason.INVALID, "parked", bad.value)
    assert await applied(toy) == 2
    assert [alert.kind for alert in await toy.published(AlertRaised)] == ["message_parked"]


async def test_what_cannot_be_read_is_parked_once_however_often_it_comes(toy: Harness) -> None:
    await toy.receive_records(BAD["no JSON"])
    await toy.receive_records(BAD["no JSON"], BAD["no JSON"])
    assert len(await toy.parked()) == 1


async def test_the_reason_never_repeats_what_was_sent(toy: Harness) -> None:
    card = b"4111111111111111"
    await toy.receive_records(a_record(b'{"activation_id": "%s"}' % card, GOOD))
    (row,) = await toy.parked()
    (alert,) = await toy.published(AlertRaised)
    assert card.decode() not in row["detail"] + alert.detail


async def test_an_unknown_type_is_passed_over(toy: Harness) -> None:
    unknown = a_record(b"{}", [*GOOD[:2], ("ce_type", b"caas.future.Thing.v9")])
    await toy.receive_records(unknown, toy.record(an_activation()))
    assert (await applied(toy), list(await toy.parked())) == (1, [])


async def test_structured_mode_is_read(toy: Harness) -> None:
    event = {"id": "1", "source": "partner", "type": TYPE, "data": json.loads(an_activation().to_json())}
    record = a_record(json.dumps(event).encode(), [("content-type", b"application/cloudevents+json; charset=utf-8")])
    await toy.receive_records(record, record)
    assert await applied(toy) == 1


async def test_an_unnumbered_message_is_applied_once_by_its_id(toy: Harness) -> None:
    first = a_record(an_activation().to_json(), GOOD)
    await toy.receive_records(first)
    await toy.receive_records(a_record(an_activation().to_json(), GOOD, offset=901))
    assert await applied(toy) == 1


async def test_a_copy_goes_to_the_dead_letter_topic(toy: Harness) -> None:
    await toy.receive_records(BAD["wrong fields"])
    url = toy.runtime.settings.database_url
    (copy,) = await query(url, "SELECT * FROM chassis.outbox WHERE aggregatetype = $1", f"{TOPIC}.ota.dlt")
    assert (copy["payload"], copy["type"]) == (BAD["wrong fields"].value, TYPE)


async def test_an_invalid_message_does_not_hold_its_stream_up(toy: Harness) -> None:
    first, second = toy.record(an_activation()), toy.record(an_activation())
    await toy.receive_records(RawRecord(TOPIC, 0, 1, b"V-1", b"{}", first.headers), second)
    assert await applied(toy) == 1


async def test_an_invalid_message_behind_a_gap_is_kept_when_its_turn_comes(toy: Harness) -> None:
    first, second = toy.record(an_activation()), toy.record(an_activation())
    await toy.receive_records(RawRecord(TOPIC, 0, 2, b"V-1", b"{}", second.headers))
    await toy.receive_records(first)
    await toy.retry_parked()
    (row,) = await toy.parked()
    assert (row["reason"], row["state"]) == (ParkReason.INVALID, "parked")
    await toy.receive(an_activation())
    assert await applied(toy) == 2


async def test_many_failures_in_a_row_stop_the_consumer_before_it_drains_the_topic(toy: Harness) -> None:
    poison = [toy.record(an_activation(f"poison-{n}")) for n in range(100)]
    with pytest.raises(TooManyFailures):
        await toy.receive_records(*poison)
    assert len(await toy.parked()) == FAILURES_IN_A_ROW - 1


async def test_messages_that_only_wait_do_not_hide_failures_in_a_row(toy: Harness) -> None:
    records = [toy.record(an_activation(f"poison-{n // 2}")) for n in range(100)]
    with pytest.raises(TooManyFailures):
        await receive_each(toy, records)


async def test_failures_with_successes_between_them_do_not_stop_the_consumer(toy: Harness) -> None:
    for n in range(FAILURES_IN_A_ROW + 5):
        await toy.receive(an_activation(f"poison-{n}"))
        await toy.receive(an_activation(f"V-{n}"))
    assert await applied(toy) == FAILURES_IN_A_ROW + 5


async def decide(toy: Harness, *, replay: bool) -> None:
    (row,) = await toy.parked()
    async with toy.transaction() as tx:
        await (replay_parked if replay else discard_parked)(row["id"], "operator:ana", "because", tx=tx)
    await toy.retry_parked()


@pytest.mark.parametrize("vehicle", ["poison-replayed", "refuse-replayed"])
async def test_a_replayed_message_is_applied_after_the_repair(toy: Harness, vehicle: str) -> None:
    await toy.receive(an_activation(vehicle))
    WELCOME.add(vehicle)
    await decide(toy, replay=True)
    assert (await applied(toy), list(await toy.parked())) == (1, [])
    (row,) = await query(toy.runtime.settings.database_url, "SELECT * FROM chassis.parked")
    assert (row["state"], row["decided_by"]) == ("replayed", "operator:ana")


async def test_a_message_replayed_too_early_is_parked_again(toy: Harness) -> None:
    await toy.receive(an_activation("refuse-1"))
    for _ in range(2):
        await decide(toy, replay=True)
    (row,) = await toy.parked()
    assert (row["state"], row["reason"]) == ("parked", ParkReason.REFUSED)


async def test_a_discarded_message_lets_its_stream_go_on(toy: Harness) -> None:
    await toy.receive(an_activation("poison-d"))
    await decide(toy, replay=False)
    WELCOME.add("poison-d")
    await toy.receive(an_activation("poison-d"))
    assert await applied(toy) == 1


async def test_only_the_first_of_a_stream_can_be_discarded(toy: Harness) -> None:
    await toy.receive(an_activation("poison-e"), an_activation("poison-e"))
    waiting = next(row for row in await toy.parked() if row["reason"] == ParkReason.WAITING)
    async with toy.transaction() as tx:
        with pytest.raises(NotItsTurn, match="number 1 comes first"):
            await discard_parked(waiting["id"], "operator:ana", "because", tx=tx)


async def test_a_decided_message_cannot_be_decided_again(toy: Harness) -> None:
    await toy.receive(an_activation("poison-f"))
    (row,) = await toy.parked()
    await decide(toy, replay=False)
    async with toy.transaction() as tx:
        with pytest.raises(NotParked):
            await replay_parked(row["id"], "operator:ana", "because", tx=tx)


async def test_a_message_that_fails_and_is_then_refused_goes_to_the_side(toy: Harness) -> None:
    await toy.receive(an_activation("poison-g"), an_activation("poison-g"))
    url = toy.runtime.settings.database_url
    await query(
        url, "UPDATE chassis.parked SET value = replace(convert_from(value, 'UTF8'), 'poison', 'refuse')::bytea"
    )
    await toy.skip_delays()
    await toy.retry_parked()
    assert {row["reason"] for row in await toy.parked()} == {ParkReason.REFUSED}
    assert await value(url, "SELECT sequence FROM chassis.inbox_position") == 2
