"""Every measure, in the order in which they run."""

from collections.abc import Sequence

from bench import consuming, cycle, latency, memory, relaying, reservation, throughput, usage, webhooks
from bench.measure import Measure

MEASURES: Sequence[Measure] = (
    relaying.MEASURE,
    consuming.MEASURE,
    latency.MEASURE,
    reservation.MEASURE,
    throughput.MEASURE,
    memory.MEASURE,
    webhooks.MEASURE,
    usage.MEASURE,
    cycle.MEASURE,
)
