"""What a measure is: ours and the limit, taken in turn, and how near they come to each other.

Invariant: a ratio is always of two values taken next to each other in the same run, because the machine's
own speed drifts by more than what is measured.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from statistics import median

from bench.machine import Machine

type Take = Callable[[], Awaitable[float]]
"""Takes one value, in the measure's unit."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Where the ratio of ours to the limit should lie."""

    ratio: float
    at_least: bool

    @property
    def text(self) -> str:
        """As the issue says it."""
        return f"ratio {'>=' if self.at_least else '<='} {self.ratio:g}"

    def is_met(self, ratio: float) -> bool:
        """Whether a ratio satisfies the aim."""
        return ratio >= self.ratio if self.at_least else ratio <= self.ratio


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two things to be measured against each other, ready to run. `detail` may add what is worth knowing."""

    ours: Take
    limit: Take
    detail: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the report. `open` prepares the comparison and cleans up after it."""

    name: str
    unit: str
    aim: Aim
    says: str
    open: Callable[[Machine], AbstractAsyncContextManager[Comparison]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The values of a measure, run by run."""

    measure: Measure
    ours: Sequence[float]
    limit: Sequence[float]
    detail: dict[str, object]

    @property
    def ratios(self) -> list[float]:
        """Ours divided by the limit, for each run."""
        return [ours / limit for ours, limit in zip(self.ours, self.limit, strict=True)]

    @property
    def is_met(self) -> bool:
        """Whether the median reaches the aim."""
        return self.measure.aim.is_met(median(self.ratios))


async def compare(measure: Measure, machine: Machine, runs: int, say: Callable[[str], None]) -> Outcome:
    """Take both values `runs` times, alternating which of them goes first."""
    ours: list[float] = []
    limit: list[float] = []
    async with measure.open(machine) as comparison:
        for run in range(runs):
            takes = [(ours, comparison.ours), (limit, comparison.limit)]
            for values, take in takes if run % 2 == 0 else reversed(takes):
                values.append(await take())
            say(f"{measure.name} {run + 1}/{runs}: ours {ours[-1]:,.1f}, limit {limit[-1]:,.1f} {measure.unit}")
    return Outcome(measure, ours, limit, comparison.detail)
