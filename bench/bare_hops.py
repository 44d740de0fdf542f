"""One process of the bare counterpart of a purchase: `python -m bench.bare_hops <database url> <broker> <hop>...`.

A hop is `<topic in>:<topic out>:<commits>`: each record is followed by that many transactions of one row, one
after the other, and then sent on. No outbox, no deduplication, no model: only the waits that nobody can avoid.
"""

import asyncio
import signal
import sys
from typing import Final

import asyncpg
from aiokafka import AIOKafkaConsumer

from bench.sending import bare_producer

TIMEOUT_S: Final = 30.0
SCHEMA: Final = "CREATE TABLE step (step bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL)"
INSERT_STEP: Final = "INSERT INTO step (key) VALUES ($1)"


async def pass_on(url: str, bootstrap_servers: str, hops: dict[str, tuple[str, int]]) -> None:
    """Run until cancelled."""
    connection = await asyncpg.connect(url, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
    consumer = AIOKafkaConsumer(
        *hops,
        bootstrap_servers=bootstrap_servers,
        group_id=f"bare-{'-'.join(hops)}",
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with bare_producer(bootstrap_servers) as producer:
            async for record in consumer:
                topic_out, commits = hops[record.topic]
                for _ in range(commits):
                    await connection.execute(INSERT_STEP, record.key.decode())
                await producer.send_and_wait(topic_out, record.value, key=record.key)
    finally:
        await asyncio.wait_for(consumer.stop(), TIMEOUT_S)


async def main() -> None:
    """Run the hops until SIGTERM."""
    split = [hop.split(":") for hop in sys.argv[3:]]
    hops = {topic_in: (topic_out, int(commits)) for topic_in, topic_out, commits in split}
    running = asyncio.create_task(pass_on(sys.argv[1], sys.argv[2], hops))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await asyncio.wait({running})
    if not running.cancelled() and (error := running.exception()) is not None:
        raise error


if __name__ == "__main__":
    asyncio.run(main())
