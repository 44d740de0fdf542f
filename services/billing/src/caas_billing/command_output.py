"""What `caas billing` shows: progress and reports, for people, for logs and for programs."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NoReturn
from uuid import UUID

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from caas_billing.domain.billing_run import Progress as RunProgress
from caas_billing.domain.billing_run import Run, RunReport
from caas_contracts.money import Money

COULD_NOT: Final = 2
_SAY_EVERY_S: Final = 5.0


class Outcome(BaseModel):
    """What a command has to say; `finished` is false when the run is still open."""

    period: str
    dry_run: bool
    finished: bool
    run_id: UUID | None
    report: RunReport


@dataclass(frozen=True, slots=True)
class Listed:
    """A run in a list."""

    run: Run
    progress: RunProgress


class Speaker:
    """Speaks to whoever called: JSON on request, tables on a terminal, plain lines elsewhere."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._out = Console(highlight=False, soft_wrap=True)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, words: str) -> None:
        """A remark beside the result."""
        self._err.print(words, markup=False)

    def give_up(self, words: str) -> NoReturn:
        """Say why it could not be done, and end with 2."""
        if self._as_json:
            self._out.print_json(data={"finished": None, "error": words})
        else:
            self._err.print(words, style="red", markup=False)
        sys.exit(COULD_NOT)

    @contextmanager
    def progress(self, title: str, total: int, of_what: str) -> Iterator[Callable[[int], None]]:
        """Call what is given with how many were done; shows the rate and the time that is left."""
        if self._err.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                _Rate(),
                TimeRemainingColumn(),
            )
            with Progress(*columns, console=self._err) as bar:
                task = bar.add_task(title, total=total)
                yield lambda done: bar.advance(task, done)
        else:
            lines = _Lines(title, total, of_what, self.say)
            yield lines.advance
            lines.end()

    def say_outcome(self, outcome: Outcome) -> None:
        """The report of a run or of a dry run."""
        if self._as_json:
            self._out.print_json(outcome.model_dump_json())
            return
        report = outcome.report
        self._out.print(_title(outcome), style="bold", markup=False)
        self._out.print(_sums(report))
        if report.biggest:
            self._out.print(_bills(report))
        if report.sample:
            self._out.print(_lines(report))
        for subscription_id in report.too_large:
            self.say(
                f"left open: the bill of subscription {subscription_id} is above 10^12 minor units; look at its use"
            )
        if not outcome.finished:
            self.say(
                f"not finished: {report.subscriptions} periods are closed for good. To go on, run "
                f"`caas billing run --period {outcome.period}` again; nothing is billed twice"
            )

    def say_runs(self, listed: Sequence[Listed]) -> None:
        """The runs, one a row."""
        if self._as_json:
            self._out.print_json(data=[_as_data(one) for one in listed])
            return
        table = Table("run", "period", "requested", "by", "finished", "closed", "left")
        for one in listed:
            run = one.run
            finished = f"{run.finished_at:%Y-%m-%d %H:%M:%S}" if run.finished_at else "open"
            asked = f"{run.requested_at:%Y-%m-%d %H:%M:%S}"
            counts = (f"{one.progress.closed:,}", f"{one.progress.left:,}")
            table.add_row(str(run.run_id), str(run.period), asked, run.requested_by, finished, *counts)
        self._out.print(table)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


class _Lines:
    """Progress where there is no terminal: a line every few seconds."""

    def __init__(self, title: str, total: int, of_what: str, say: Callable[[str], None]) -> None:
        self._title, self._total, self._of_what, self._say = title, total, of_what, say
        self._done = 0
        self._began = self._said = time.monotonic()

    def advance(self, done: int) -> None:
        self._done += done
        now = time.monotonic()
        if now - self._said >= _SAY_EVERY_S:
            self._said = now
            rate = self._done / (now - self._began)
            left_s = max(0, self._total - self._done) / rate if rate else 0.0
            counts = f"{self._done:,} of {self._total:,} {self._of_what}"
            self._say(f"{self._title}: {counts}, {rate:,.0f}/s, {left_s:.0f} s left")

    def end(self) -> None:
        took = time.monotonic() - self._began
        self._say(f"{self._title}: {self._done:,} {self._of_what} in {took:.1f} s")


def amount_text(money: Money) -> str:
    """For people: "1,234.56 EUR". Every currency here has two decimals."""
    return f"{money.amount_minor // 100:,}.{money.amount_minor % 100:02d} {money.currency}"


def _title(outcome: Outcome) -> str:
    if outcome.dry_run:
        return f"{outcome.period}: a dry run, nothing was written. A run would now come to"
    return f"{outcome.period}: run {outcome.run_id} {'is finished' if outcome.finished else 'is open'}"


def _sums(report: RunReport) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("periods closed", f"{report.subscriptions:,}")
    table.add_row("invoices", f"{report.invoices:,}")
    table.add_row("without charge (nothing owed)", f"{report.without_charge:,}")
    table.add_row("not charged, another method is needed", f"{report.not_charged:,}")
    table.add_row("late uses billed", f"{report.late_uses:,}")
    for money in report.invoiced:
        table.add_row(f"invoiced, VAT included ({money.currency})", amount_text(money))
    return table


def _bills(report: RunReport) -> Table:
    table = Table(
        "number", "subscription", "customer", "period", "total", title="the largest bills", title_justify="left"
    )
    for bill in report.biggest:
        table.add_row(
            bill.number or "", str(bill.subscription_id), bill.customer_id, bill.period, amount_text(bill.total)
        )
    return table


def _lines(report: RunReport) -> Table:
    table = Table(
        "subscription", "used in", "plan", "kind", "quantity", "rate", "total", title="some lines", title_justify="left"
    )
    for line in report.sample:
        named = (str(line.subscription_id), line.used_in, line.plan_code, line.kind)
        table.add_row(*named, line.quantity, line.rate, amount_text(line.total))
    return table


def _as_data(one: Listed) -> dict[str, object]:
    run, progress = one.run, one.progress
    return {
        "run_id": str(run.run_id),
        "period": str(run.period),
        "requested_by": run.requested_by,
        "requested_at": run.requested_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "closed": progress.closed,
        "left": progress.left,
    }
