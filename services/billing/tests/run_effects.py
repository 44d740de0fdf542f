"""A process that runs billing's effects once: `python -m services.billing.tests.run_effects <database> <smtp port>`."""

import asyncio
import sys

from services.billing.tests.running import billing_on


async def run_effects(url: str, smtp_port: int) -> None:
    """Run what is due, until nothing is."""
    async with billing_on(url, smtp_port) as billing:
        await billing.run_effects()


if __name__ == "__main__":
    asyncio.run(run_effects(sys.argv[1], int(sys.argv[2])))
