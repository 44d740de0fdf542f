"""Every measure, in the order in which they run."""

from collections.abc import Sequence

from bench import consuming, relaying, throughput
from bench.measure import Measure

MEASURES: Sequence[Measure] = (relaying.MEASURE, consuming.MEASURE, throughput.MEASURE)
