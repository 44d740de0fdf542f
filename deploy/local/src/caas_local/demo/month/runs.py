"""How a month is closed: by the command that operators type, over HTTP, or by the schedule, hours after its end."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from typing import Final

from caas_local.demo.actors import Actors, RequestFailed
from caas_local.platform import Platform

COMMAND: Final = "from caas_billing.command_line import billing; billing()"
"""What the program `caas billing` runs; installed or not."""
WITHIN_S: Final = 240.0
GRACE: Final = timedelta(hours=6)
"""So long after its end a month is closed by itself, by the service's default."""


class BillingRuns:
    """Runs of one platform; `said` is what the command has printed."""

    def __init__(self, platform: Platform, actors: Actors) -> None:
        self._platform = platform
        self._actors = actors
        self.said = ""

    async def run_by_command(self, month: str) -> None:
        """`caas billing run`: prints its progress and its report. Raises AssertionError when it fails."""
        process = self.start_command("run", "--period", month)
        said, _ = await asyncio.to_thread(process.communicate, timeout=WITHIN_S)
        if process.returncode:
            raise AssertionError(f"caas billing run --period {month} ended with {process.returncode}: {said[-2000:]}")
        self.said += said

    async def run_over_http(self, month: str) -> None:
        """An operator asks the service; it closes in the background."""
        answer = await self._actors.post_as("operator", "demo", "billing", "/billing-runs", {"period": month})
        if answer.is_error:
            raise RequestFailed(answer)

    async def run_by_schedule(self, _: str) -> None:
        """The morning comes, and the service starts the run by itself (SUB-4)."""
        self._platform.move_clock(GRACE)

    def start_command(self, *arguments: str) -> subprocess.Popen[str]:
        """The program `caas billing` with these arguments, with the settings of this platform's service."""
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            env=self._platform.environment("billing"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
