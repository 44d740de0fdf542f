"""One hop of a bare five-hop saga: `python -m bench.bare_saga <topic in> <topic out> <database url> <broker>`.

As little as a correct hop can do in batches: up to 500 records in one transaction with one deduplication row,
one update and one outbox row each; the outbox is sent by position as soon as NOTIFY tells of it.
"""

import asyncio
import signal
import sys
from itertools import batched
from typing import Final
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from bench.sending import bare_producer

BATCH: Final = 500
RELAYED_TOGETHER: Final = 2000
TIMEOUT_S: Final = 30.0
SCHEMA: Final = """
CREATE TABLE seen (message_id uuid PRIMARY KEY);
CREATE TABLE saga (saga_id uuid PRIMARY KEY, status text NOT NULL, version int NOT NULL) WITH (fillfactor = 80);
CREATE TABLE outbox (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id uuid NOT NULL,
    key text NOT NULL, payload bytea NOT NULL);
CREATE TABLE cursor (position bigint NOT NULL);
INSERT INTO cursor VALUES (0);
"""
COUNT_SEEN: Final = "SELECT count(*) FROM seen"
INSERT_SAGAS: Final = "INSERT INTO saga SELECT id, 'NEW', 1 FROM unnest($1::uuid[]) AS id"
INSERT_SEEN: Final = "INSERT INTO seen SELECT * FROM unnest($1::uuid[]) ON CONFLICT DO NOTHING"
UPDATE_SAGA: Final = "UPDATE saga SET status = 'DONE', version = version + 1 WHERE saga_id = ANY($1::uuid[])"
INSERT_OUTBOX: Final = """
INSERT INTO outbox (id, key, payload) SELECT gen_random_uuid(), key, payload
FROM unnest($1::text[], $2::bytea[]) AS entry(key, payload)
"""
READ_OUTBOX: Final = "SELECT position, id, key, payload FROM outbox WHERE position > $1 ORDER BY position LIMIT $2"
UPDATE_CURSOR: Final = "UPDATE cursor SET position = $1"


async def hop(topic_in: str, topic_out: str, url: str, bootstrap_servers: str) -> None:
    """Run until cancelled."""
    consumer = AIOKafkaConsumer(
        topic_in,
        bootstrap_servers=bootstrap_servers,
        group_id=f"bare-{topic_in}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        async with bare_producer(bootstrap_servers) as producer, asyncio.TaskGroup() as group:
            group.create_task(_relay(producer, topic_out, url))
            group.create_task(_consume(consumer, url))
    finally:
        await asyncio.wait_for(consumer.stop(), TIMEOUT_S)


async def _consume(consumer: AIOKafkaConsumer, url: str) -> None:
    connection = await asyncpg.connect(url, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
    while True:
        polled = await consumer.getmany(timeout_ms=100, max_records=BATCH)
        records = [record for part in polled.values() for record in part]
        if records:
            await _apply(connection, records)
            await consumer.commit()


async def _apply(connection: asyncpg.Connection, records: list[ConsumerRecord[bytes, bytes]]) -> None:
    async with connection.transaction():
        await connection.execute(INSERT_SEEN, [UUID(dict(record.headers)["id"].decode()) for record in records])
        await connection.execute(UPDATE_SAGA, [UUID(record.key.decode()) for record in records])
        await connection.execute(
            INSERT_OUTBOX, [record.key.decode() for record in records], [record.value for record in records]
        )
        await connection.execute("NOTIFY outbox")


async def _relay(producer: AIOKafkaProducer, topic: str, url: str) -> None:
    connection = await asyncpg.connect(url, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
    woken = asyncio.Event()
    await connection.add_listener("outbox", lambda *_: woken.set())
    position = 0
    while True:
        woken.clear()
        rows = await connection.fetch(READ_OUTBOX, position, RELAYED_TOGETHER)
        if not rows:
            await woken.wait()
            continue
        for part in batched(rows, RELAYED_TOGETHER):
            await _send(producer, topic, part)
        position = rows[-1]["position"]
        await connection.execute(UPDATE_CURSOR, position)


async def _send(producer: AIOKafkaProducer, topic: str, rows: tuple[asyncpg.Record, ...]) -> None:
    sent = [
        await producer.send(topic, row["payload"], key=row["key"].encode(), headers=[("id", str(row["id"]).encode())])
        for row in rows
    ]
    await asyncio.gather(*sent)


async def main() -> None:
    """Run the hop until SIGTERM."""
    running = asyncio.create_task(hop(*sys.argv[1:5]))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    await asyncio.wait({running})
    if not running.cancelled() and (error := running.exception()) is not None:
        raise error


if __name__ == "__main__":
    asyncio.run(main())
