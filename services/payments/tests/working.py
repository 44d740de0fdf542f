"""Runs a service under test until nothing is left to do."""

from datetime import timedelta

from caas_chassis.testing.harness import Harness

ROUNDS = 40


async def settle(harness: Harness) -> None:
    """Run all tasks, also those that wait, until none is left."""
    for _ in range(ROUNDS):
        await harness.run_effects()
        async with harness.transaction() as tx:
            if not await tx.fetchval("SELECT count(*) FROM chassis.task"):
                return
        await skip_delays(harness)
    raise AssertionError(f"tasks are left after {ROUNDS} rounds")


async def run_rounds(harness: Harness, rounds: int) -> None:
    """Run what is due, and so many times what waits."""
    await harness.run_effects()
    for _ in range(rounds):
        await skip_delays(harness)
        await harness.run_effects()


async def skip_delays(harness: Harness) -> None:
    """Make waiting tasks due, and let as much business time pass as absence needs to be believed (GW-4)."""
    harness.clock.move(timedelta(seconds=61))
    await harness.skip_delays()
