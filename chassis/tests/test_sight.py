"""Promise 9: one trace and one story over every hop and effect; logs are JSON and hold no bodies."""

import json
import logging
from datetime import timedelta

import pytest
import structlog
from prometheus_client import REGISTRY

from caas_chassis.cause import Cause, child_traceparent, new_traceparent
from caas_chassis.logs import configure_logging
from caas_chassis.records import RawRecord
from caas_chassis.testing.harness import Harness
from caas_contracts import Envelope
from chassis.tests.running import query
from chassis.tests.toy_service import an_activation

TRACE = new_traceparent()
STORY = "story-1"


def in_a_story(record: RawRecord) -> RawRecord:
    names = {"ce_correlationid": STORY.encode(), "traceparent": TRACE.encode()}
    headers = [header for header in record.headers if header[0] not in names]
    return RawRecord(
        record.topic, record.partition, record.offset, record.key, record.value, [*headers, *names.items()]
    )


async def test_message_task_timer_and_result_belong_to_one_story_and_trace(toy: Harness) -> None:
    record = in_a_story(toy.record(an_activation()))
    await toy.receive_records(record)
    url, cause = toy.runtime.settings.database_url, dict(record.headers)["ce_id"].decode()
    for table in ("outbox", "task", "timer"):
        (row,) = await query(url, f"SELECT * FROM chassis.{table}")
        assert (row["correlationid"], row["causationid"]) == (STORY, cause)
        assert row["traceparent"].split("-")[1] == TRACE.split("-")[1]


async def test_an_effect_and_a_timer_go_on_with_the_story_that_caused_them(toy: Harness) -> None:
    await toy.receive_records(in_a_story(toy.record(an_activation())))
    worker = toy.runtime.effects["tell"]
    async with toy.runtime.database.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM chassis.task")
    assert row is not None
    assert worker._running(row).cause.correlation_id == STORY
    await toy.move_clock(timedelta(hours=2))


@pytest.mark.parametrize(
    "sent", [None, "", "00-x-y-01", "00-" + "g" * 32 + "-" + "a" * 16 + "-01", "a\x00b", "00" * 99]
)
def test_a_malformed_trace_starts_a_new_one(sent: str | None) -> None:
    assert len(child_traceparent(sent)) == len(TRACE)


def test_a_child_keeps_the_trace_and_has_a_span_of_its_own() -> None:
    child = child_traceparent(TRACE)
    assert (child[:36], child != TRACE) == (TRACE[:36], True)


def test_an_envelope_carries_the_trace() -> None:
    cause = Cause.of_person("customer:1", TRACE)
    envelope = Envelope("1", "s", "t", "", "k", cause.correlation_id, cause.message_id, 1, cause.traceparent)
    assert dict(envelope.to_headers())["traceparent"] == TRACE.encode()


def fail_with(secret: str) -> None:
    raise ValueError(f"no luck with {len(secret)} characters")


def test_logs_are_json_lines_without_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    before = structlog.get_config()
    configure_logging("toy", "INFO")
    try:
        fail_with("card-4111")
    except ValueError:
        structlog.get_logger("toy").exception("it_failed")
    logging.getLogger("library").warning('says "quoted" and\nbroken')
    structlog.configure(**before)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["it_failed", 'says "quoted" and\nbroken']
    assert "card-4111" not in json.dumps(lines)
    assert lines[0]["service"] == "toy"


def test_every_measure_of_promise_9_exists() -> None:
    names = {metric.name for metric in REGISTRY.collect()}
    assert {
        "caas_consumer_lag",
        "caas_outbox_age_seconds",
        "caas_parked_messages",
        "caas_task_age_seconds",
        "caas_messages",
        "caas_stream_gaps",
    } <= names
