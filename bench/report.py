"""Writes the report for machines and prints the table for people."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.measure import Outcome

REPORT: Final = Path(".local/bench/report.json")


def as_json(outcomes: Sequence[Outcome]) -> dict[str, dict[str, object]]:
    """Per measure: ours and limit (medians), the ratio's spread, unit and aim, and every single value."""
    return {outcome.measure.name: _entry(outcome) for outcome in outcomes}


def write_report(outcomes: Sequence[Outcome], path: Path = REPORT) -> None:
    """Write what was measured now; measures that were not run keep what an earlier run found."""
    earlier = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(earlier | as_json(outcomes), indent=2) + "\n")
    draft.replace(path)


def print_table(outcomes: Sequence[Outcome], console: Console) -> None:
    """The medians, and the spread of the ratio."""
    table = Table("measure", "ours", "limit", "unit", "ratio min", "median", "max", "aim", "")
    for column in table.columns[1:3] + table.columns[4:7]:
        column.justify = "right"
    for outcome in outcomes:
        ratios = outcome.ratios
        table.add_row(
            outcome.measure.name,
            _number(median(outcome.ours)),
            _number(median(outcome.limit)),
            outcome.measure.unit,
            *(f"{value:.2f}" for value in (min(ratios), median(ratios), max(ratios))),
            outcome.measure.aim.text,
            "met" if outcome.is_met else "[bold]not met[/bold]",
        )
    console.print(table)
    for outcome in outcomes:
        console.print(f"{outcome.measure.name}: {outcome.measure.says}", style="dim", highlight=False)


def _entry(outcome: Outcome) -> dict[str, object]:
    ratios = outcome.ratios
    return {
        "ours": median(outcome.ours),
        "limit": median(outcome.limit),
        "ratio": {"min": min(ratios), "median": median(ratios), "max": max(ratios)},
        "unit": outcome.measure.unit,
        "aim": outcome.measure.aim.text,
        "met": outcome.is_met,
        "runs": [{"ours": ours, "limit": limit} for ours, limit in zip(outcome.ours, outcome.limit, strict=True)],
        **outcome.detail,
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"
