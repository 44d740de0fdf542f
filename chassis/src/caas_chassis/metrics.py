"""Prometheus metrics of the chassis; services add business counters of their own (promise 9)."""

from prometheus_client import Counter, Gauge, Histogram

_messages = Counter("caas_messages_total", "Consumed messages by fate", ["service", "fate"])
_batch = Histogram(
    "caas_batch_size",
    "Messages applied in one transaction",
    ["service"],
    buckets=(1, 2, 5, 10, 50, 100, 200, 500, 1000, 2000, 5000),
)
_group = Histogram(
    "caas_group_commit_size",
    "Requests committed in one transaction",
    ["group"],
    buckets=(1, 2, 5, 10, 50, 100, 200, 500),
)
_gaps = Counter("caas_stream_gaps_total", "Streams found with a missing part", ["service", "topic"])
_sent = Counter("caas_outbox_sent_total", "Outbox rows acknowledged by the broker", ["service"])
_effects = Counter("caas_effects_total", "Calls to partners by effect and fate", ["service", "effect", "fate"])
_timers = Counter("caas_timers_total", "Business timers that fired", ["service", "timer"])

outbox_age_s = Gauge("caas_outbox_age_seconds", "Age of the oldest outbox row not sent yet", ["service"])
parked_open = Gauge("caas_parked_messages", "Parked messages that are not replayed or discarded", ["service"])
task_age_s = Gauge("caas_task_age_seconds", "How long the most overdue task has been due", ["service", "effect"])
consumer_lag = Gauge("caas_consumer_lag", "Records behind the end of the log", ["service", "topic"])


def observe_batch(service: str, applied: int, duplicates: int, parked: int) -> None:
    """Count what became of a batch."""
    _batch.labels(service).observe(applied)
    _messages.labels(service, "applied").inc(applied)
    _messages.labels(service, "duplicate").inc(duplicates)
    _messages.labels(service, "parked").inc(parked)


def observe_group(group: str, size: int) -> None:
    """Count requests that were committed together."""
    _group.labels(group).observe(size)


def count_gap(service: str, topic: str) -> None:
    """Count a stream of which a part is missing."""
    _gaps.labels(service, topic).inc()


def count_sent(service: str, rows: int) -> None:
    """Count rows that the broker acknowledged."""
    _sent.labels(service).inc(rows)


def count_effect(service: str, effect: str, fate: str, number: int = 1) -> None:
    """Count calls to partners: `recorded`, `failed` (a bug or a timeout)."""
    _effects.labels(service, effect, fate).inc(number)


def count_timers(service: str, timer: str, number: int) -> None:
    """Count timers that fired."""
    _timers.labels(service, timer).inc(number)
