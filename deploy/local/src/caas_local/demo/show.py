"""How the demo's result looks in a terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from caas_local.demo.databases import Step
from caas_local.demo.life.assessing import LifeReport
from caas_local.demo.month.assessing import MonthReport
from caas_local.demo.report import Report


def euros(minor: int) -> str:
    """Minor units as euros, for people."""
    return f"{minor // 100:,}.{minor % 100:02d} €"


def show_report(console: Console, report: Report, journey: Sequence[Step], journey_of: str) -> None:
    """Outcomes, both books, the longest journey, latencies, and whether the invariants hold."""
    console.print(_outcomes(report))
    console.print(_cars(report))
    if report.lives:
        console.print(_lives(report.lives))
    if report.months:
        console.print(_payers(report.months))
        console.print(_months(report.months))
    console.print(_trouble(report))
    console.print(_books(report))
    console.print(_journey(journey, journey_of))
    latency = report.latency_ms
    console.print(
        f"accepted → activated, without the car's own time: p50 {latency.p50:.0f} ms, p99 {latency.p99:.0f} ms "
        f"(with the partners' planned faults p99 {latency.p99_all:.0f} ms)"
    )
    cases = ", ".join(f"{number} {kind}" for kind, number in report.cases.items()) or "none"
    console.print(f"open discrepancy cases: {report.open_cases} ({cases}); mails sent: {report.mails}")
    if report.holds:
        console.print("[bold green]every invariant holds[/bold green]")
    for words in report.broken:
        console.print(f"[bold red]broken:[/bold red] {words}")


def _table(*headers: str, title: str) -> Table:
    """Fits 80 columns: no lines between the columns."""
    return Table(*headers, title=title, title_justify="left", box=SIMPLE_HEAD)


def _outcomes(report: Report) -> Table:
    table = _table("what happens", "sold", "ended as", "captured", title="Purchases")
    for column in table.columns[1:]:
        column.no_wrap = True
    table.columns[1].justify = table.columns[3].justify = "right"
    for row in report.outcomes:
        ended = ", ".join(f"{number} {status}" for status, number in row.ended.items())
        mark = "" if row.as_expected else " [red]unexpected[/red]"
        table.add_row(row.story, str(row.purchases), ended + mark, euros(row.captured_minor))
    return table


def _trouble(report: Report) -> Table:
    table = _table("", "times", "came to", title="Trouble at the gateway")
    table.columns[1].justify = "right"
    outage = report.gateway_outage or {}
    answered = report.webhooks_duplicate - report.webhooks_duplicate_not_answered
    effects = report.webhooks_published - report.webhooks_stored
    table.add_row("webhooks received", str(report.webhooks_stored), f"{report.webhooks_published} published, once each")
    table.add_row("duplicate webhooks", str(report.webhooks_duplicate), f"{answered} answered 200, {effects} effects")
    table.add_row("forged webhooks", str(report.webhooks_forged), f"{report.webhooks_forged_refused} refused")
    if outage:
        bought = f"{outage['purchases']} purchases, {outage['tried_again']} calls again, {outage['activated']} active"
        table.add_row("gateway outage", f"{outage['seconds']:.0f} s", bought)
    return table


def _cars(report: Report) -> Table:
    table = _table("what happens", "ended as", "kept", title="Cars")
    for column in table.columns[1:]:
        column.no_wrap = True
    table.columns[2].justify = "right"
    for row in report.cars.rows:
        ended = ", ".join(f"{number} {status}" for status, number in row.ended.items())
        mark = "" if row.as_expected else " [red]unexpected[/red]"
        table.add_row(row.story, ended + mark, euros(row.captured_minor))
    return table


def _lives(lives: LifeReport) -> Table:
    table = _table("what happens", "sold", "stand as", "periods", "kept", title="Purchases over months")
    for column in table.columns[1:]:
        column.no_wrap = True
    for column in (table.columns[1], table.columns[3], table.columns[4]):
        column.justify = "right"
    for row in lives.rows:
        ended = ", ".join(f"{number} {status}" for status, number in row.ended.items())
        mark = "" if row.as_expected else " [red]unexpected[/red]"
        table.add_row(row.story, str(row.purchases), ended + mark, str(row.periods), euros(row.kept_minor))
    return table


def _payers(months: MonthReport) -> Table:
    title = f"Subscriptions, by how they pay {months.months[0]}"
    table = _table("what happens", "bills", "ended as", "captured", title=title)
    for column in table.columns[1:]:
        column.no_wrap = True
    table.columns[1].justify = table.columns[3].justify = "right"
    for row in months.rows:
        ended = ", ".join(f"{number} {status}" for status, number in row.ended.items())
        mark = "" if row.as_expected else " [red]unexpected[/red]"
        table.add_row(row.story, str(row.invoiced), ended + mark, euros(row.captured_minor))
    return table


def _months(months: MonthReport) -> Table:
    table = _table("", "billing", "the cars' own sum", title=f"Months {' and '.join(months.months)}")
    table.columns[1].justify = table.columns[2].justify = "right"
    sent = months.usage_sent
    wrong = sent.get("unknown", 0) + sent.get("wrong_unit", 0)
    table.add_row("invoiced", euros(months.invoiced_minor), euros(months.expected_minor))
    table.add_row("invoices", f"{months.invoices:,}", f"{months.disagreeing} differ")
    table.add_row("nothing owed, no invoice", f"{months.without_charge:,}", "")
    table.add_row("billed twice, charged twice", f"{months.billed_twice}, {months.charged_twice}", "")
    table.add_row("use that nobody can be billed for", f"{months.usage_parked} parked", f"{wrong} sent wrong")
    table.add_row("late use, in the next invoice", f"{months.late_usage_lines} lines", f"{sent.get('late', 0)} uses")
    paid = f"{months.collections_settled} paid after all"
    table.add_row("in collections", str(months.collections), paid)
    table.add_row("taken out of cars, unpaid", f"{months.deactivations_done} of {months.deactivations_asked}", "")
    return table


def _books(report: Report) -> Table:
    table = _table("", "ours", "partner's own book", title="Books")
    table.columns[1].justify = table.columns[2].justify = "right"
    table.add_row("captured", euros(report.captured_minor), euros(report.gateway_captured_minor))
    table.add_row("charged without activation", str(report.charged_without_activation), "by the cars' books")
    table.add_row("activated without charge", str(report.activated_without_charge), "by the cars' books")
    table.add_row("charged without an order", str(report.cars.charged_without_order), "by the gateway's book")
    table.add_row("sold twice", str(report.cars.double_sold), "by the partners' books")
    if report.lives:
        lives = report.lives
        table.add_row("refunded", euros(lives.refunded_minor), euros(lives.gateway_refunded_minor))
        table.add_row("withdrawals, refused ones", f"{lives.withdrawals}, {lives.withdrawals_refused}", "")
        table.add_row("credit notes", str(lives.credit_notes), f"{lives.refunds_delayed} refunds were delayed")
        table.add_row("active and not paid", str(lives.active_unpaid), "by the cars' and the gateway's books")
        table.add_row("paid and not active", str(lives.paid_inactive), "by the cars' and the gateway's books")
    table.add_row("written off", euros(report.written_off_minor), "")
    table.add_row("settlement lines", str(report.settlement_lines), f"{report.settlement_unmatched} unmatched")
    table.add_row("ledger imbalance", euros(report.ledger_imbalance_minor), "")
    return table


def _journey(journey: Sequence[Step], purchase_id: str) -> Table:
    title = f"The longest journey: purchase {purchase_id}"
    table = _table("after", "+", "service", "message", title=title)
    table.columns[0].justify = table.columns[1].justify = "right"
    for index, step in enumerate(journey):
        since_start = (step.at - journey[0].at).total_seconds() * 1000
        since_last = (step.at - journey[max(0, index - 1)].at).total_seconds() * 1000
        table.add_row(f"{since_start:,.0f} ms", f"{since_last:,.0f}", step.service, step.type.split(".", 2)[2])
    return table
