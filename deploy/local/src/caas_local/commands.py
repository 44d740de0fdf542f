"""The commands: what a person or a script types. Exit codes: 0 done, 1 failed, 2 wrong arguments."""

import asyncio
import json
import re
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, NoReturn

import cyclopts
import httpx
from rich.console import Console
from rich.table import Table

from caas_chassis.embedded.errors import EmbeddedServerError
from caas_chassis.embedded.locking import exclusive
from caas_local.demo import play
from caas_local.demo.actors import RequestFailed
from caas_local.demo.month.assessing import LEAST_SUBSCRIPTIONS
from caas_local.layout import PARTNERS, SERVICES, Layout
from caas_local.platform import Platform, PlatformFailed
from caas_local.tokens import fetch_token
from caas_local.welcome import say_welcome

STATE: Final = Path(".local")
_console = Console(stderr=True, highlight=False)

app = cyclopts.App(name="caas_local", help="The CaaS payment platform on this machine.")


@app.command
def up() -> None:
    """Start everything and leave it running; what runs already is left as it is."""
    layout = Layout.of((STATE / "up").absolute(), fixed_ports=True)
    platform = Platform(layout, _say, temporary=False)
    with _alone(layout.state_dir):
        _run(platform.start())
        asyncio.run(say_welcome(layout, platform, Console(highlight=False)))


@app.command
def down() -> None:
    """Stop what `up` started. State is kept."""
    layout = Layout.of((STATE / "up").absolute(), fixed_ports=True)
    platform = Platform(layout, _say, temporary=False)
    if not any(platform.running().values()):
        print("nothing is running")
        return
    with _alone(layout.state_dir):
        asyncio.run(platform.stop())
    print("stopped; state is kept in .local/up")


@app.command
def status(*, as_json: Annotated[bool, cyclopts.Parameter(name="--json", help="print JSON")] = False) -> None:
    """Say what runs and where. Exit code 1 when something does not."""
    layout = Layout.of((STATE / "up").absolute(), fixed_ports=True)
    running = Platform(layout, _say, temporary=False).running()
    if as_json:
        print(json.dumps({"running": running, "ports": layout.ports}))
    else:
        table = Table("what", "runs", "address")
        for name, runs in running.items():
            address = layout.url(name) if name in (*SERVICES, *PARTNERS) else ""
            table.add_row(name, "yes" if runs else "no", address)
        Console(highlight=False).print(table)
    sys.exit(0 if all(running.values()) else 1)


@app.command
def clock(by: str) -> None:
    """Move business time of the running platform forward, for instance by `+90m`, `+12h` or `+3d`."""
    match = re.fullmatch(r"\+(\d{1,5})([smhd])", by)
    if match is None:
        _fail(f"{by!r} is no duration: write +90m, +12h or +3d", code=2)
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[match[2]]
    layout = Layout.of((STATE / "up").absolute(), fixed_ports=True)
    platform = Platform(layout, _say, temporary=False)
    platform.move_clock(timedelta(**{unit: int(match[1])}))
    print(f"business time is now {platform.clock().now():%Y-%m-%d %H:%M:%S} UTC")


@app.command
def token(role: str, subject: str) -> None:
    """Print a development token for a role (customer, dealer, operator, partner) and a subject."""
    layout = Layout.of((STATE / "up").absolute(), fixed_ports=True)
    try:
        print(asyncio.run(fetch_token(layout, subject, [role])))
    except httpx.HTTPError as error:
        _fail(f"the identity provider does not answer ({type(error).__name__}): is the platform up?")


@app.command
def demo(*, purchases: int = 240, subscriptions: int = 2000, keep: bool = False) -> None:
    """Sell services and cars over every outcome, bill subscriptions, reconcile, and check the invariants.

    Parameters
    ----------
    purchases
        How many to sell; at least 200.
    subscriptions
        How many to bill for two months; at least 2000, or 0 to leave them out.
    keep
        Leave the platform of the demo running.
    """
    if purchases < 200:
        _fail("the demo sells at least 200 services: give --purchases 200 or more", code=2)
    if 0 < subscriptions < LEAST_SUBSCRIPTIONS:
        _fail(f"the demo bills at least {LEAST_SUBSCRIPTIONS} subscriptions, or none: give --subscriptions 0", code=2)
    folder = (STATE / "demo").absolute()
    with _alone(folder):
        report = _run(play(folder, purchases, subscriptions, keep=keep))
    sys.exit(0 if report.holds else 1)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One command at a time works on a folder; a second one says so instead of waiting."""
    try:
        with exclusive(folder.parent / f"{folder.name}.lock", timeout_s=1.0):
            yield
    except EmbeddedServerError as error:
        if "still held" not in str(error):
            raise
        _fail(f"another command is working on {folder.name}: wait until it has ended")


def _run[T](work: Coroutine[None, None, T]) -> T:
    """Run to the end; what could not be started is said in words, Ctrl-C ends everything that was started."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        _fail("interrupted", code=130)
    except ExceptionGroup as group:
        _fail("\n".join(_causes(group)))
    except (PlatformFailed, EmbeddedServerError, RequestFailed, TimeoutError) as error:
        _fail(str(error))


def _causes(group: BaseExceptionGroup[BaseException]) -> Iterator[str]:
    """Every error of a group in a line; some, such as time-outs, have no words of their own."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _causes(error)
        else:
            yield f"{type(error).__name__}: {error}"


def _say(words: str) -> None:
    _console.print(f"[dim]{words}[/dim]")


def _fail(words: str, *, code: int = 1) -> NoReturn:
    _console.print(f"[red]{words}[/red]")
    sys.exit(code)
