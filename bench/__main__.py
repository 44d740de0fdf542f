"""The command line: `python -m bench [--only NAME] [--runs 3] [--json]`.

Exit codes: 0 measured (whether or not the aims are met), 2 no such measure, 130 interrupted.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence

from rich.console import Console

from bench.machine import running_machine
from bench.measure import Measure, Outcome, compare
from bench.registry import MEASURES
from bench.report import REPORT, as_json, print_table, write_report

LEAST_RUNS = 3


def main() -> int:
    """Measure, write the report, print the table."""
    arguments = _parse()
    chosen = [measure for measure in MEASURES if arguments.only in (None, measure.name)]
    if not chosen:
        print(f"no measure {arguments.only}: {', '.join(m.name for m in MEASURES)}", file=sys.stderr)
        return 2
    console = Console(stderr=True)
    # Ended or interrupted: both take the one way that stops what was started.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        outcomes = _measure(chosen, arguments.runs, console)
    except KeyboardInterrupt:
        console.print("interrupted: everything that was started is stopped")
        return 130
    if arguments.json:
        print(json.dumps(as_json(outcomes), indent=2))
    else:
        print_table(outcomes, Console())
        console.print(f"report: {REPORT}")
    return 0


def _measure(measures: Sequence[Measure], runs: int, console: Console) -> list[Outcome]:
    def say(line: str) -> None:
        console.print(line, style="dim", highlight=False)

    outcomes: list[Outcome] = []
    with running_machine(say) as machine:
        for measure in measures:
            outcomes.append(asyncio.run(compare(measure, machine, runs, say)))
            write_report(outcomes)
    return outcomes


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure against what this machine can do at most")
    parser.add_argument("--only", metavar="NAME", help="measure one thing")
    parser.add_argument("--runs", type=_runs, default=LEAST_RUNS, help=f"how often, at least {LEAST_RUNS}")
    parser.add_argument("--json", action="store_true", help="print the report instead of a table")
    return parser.parse_args()


def _runs(text: str) -> int:
    runs = int(text)
    if runs < LEAST_RUNS:
        raise argparse.ArgumentTypeError(f"at least {LEAST_RUNS} runs show a spread")
    return runs


if __name__ == "__main__":
    sys.exit(main())
