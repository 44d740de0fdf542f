"""One process that closes a month, alone: `python -m bench.closing_process <database url> <period> <workers>`.

Prints the seconds from the request of the run to its end, and the most memory that the process had.
"""

import asyncio
import json
import resource
import sys
import time

from caas_billing.domain.billing_policy import BillingPolicy
from caas_billing.domain.period import Period
from caas_billing.handlers.closing import RunWork, start_run
from caas_chassis.cause import Cause
from caas_chassis.runtime import Runtime
from caas_chassis.service import Service
from caas_chassis.settings import ServiceSettings


async def close(url: str, period: Period, workers: int) -> float:
    """Seconds until every invoice and charge command of the period is committed."""
    policy = BillingPolicy()
    settings = ServiceSettings(database_url=url, database_pool_size=workers + 1)
    runtime = Runtime(Service(name="billing", migrations="caas_billing.migrations", handlers={}), settings)
    try:
        await runtime.database.open()
        began = time.perf_counter()
        async with runtime.transaction(Cause.of_person("operator:bench"), ("starting",)) as tx:
            run = await start_run(period, "operator:bench", tx=tx, policy=policy)
        await RunWork(run, policy, runtime.transaction).to_the_end(workers)
        return time.perf_counter() - began
    finally:
        await runtime.database.close()


def main() -> None:
    """Close, and say how it went."""
    seconds = asyncio.run(close(sys.argv[1], Period.parse(sys.argv[2]), int(sys.argv[3])))
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"seconds": seconds, "rss_mb": rss_mb}))


if __name__ == "__main__":
    main()
