"""The bare counterpart of a reservation: `python -m bench.bare_reservation <database> <broker> <port> <out> <back>`.

FastAPI with one route: a row and a commit, a record to the topic `out`, then the wait for the record with its key on
`back`, which costs a row and a commit, too. No token, no model, no outbox, no deduplication, no second replica.
"""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from uuid import uuid4

import asyncpg
import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import FastAPI, Request

from bench.bare_hops import INSERT_STEP
from bench.sending import bare_producer

TIMEOUT_S: Final = 30.0
POOL: Final = 10
"""As many connections as a service has."""


class Desk:
    """Takes requests, sends them on, and answers when their answer has come back."""

    def __init__(self, pool: asyncpg.Pool, producer: AIOKafkaProducer, out: str) -> None:
        self._pool = pool
        self._producer = producer
        self._out = out
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def reserve(self, body: bytes) -> str:
        """The new order's id, once its answer is there."""
        order_id = str(uuid4())
        answered = self._waiting[order_id] = asyncio.get_running_loop().create_future()
        await self._pool.execute(INSERT_STEP, order_id)
        await self._producer.send_and_wait(self._out, body, key=order_id.encode())
        await asyncio.wait_for(answered, TIMEOUT_S)
        return order_id

    async def listen(self, answers: AIOKafkaConsumer) -> None:
        """Run until cancelled."""
        async for answer in answers:
            order_id = answer.key.decode()
            await self._pool.execute(INSERT_STEP, order_id)
            waiting = self._waiting.pop(order_id, None)
            if waiting is not None:
                waiting.set_result(None)


def build(url: str, bootstrap_servers: str, out: str, back: str) -> FastAPI:
    """The application; its database and topics are there already."""
    desks: list[Desk] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(
                asyncpg.create_pool(url, min_size=POOL, max_size=POOL, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
            )
            producer = await stack.enter_async_context(bare_producer(bootstrap_servers))
            answers = AIOKafkaConsumer(back, bootstrap_servers=bootstrap_servers, group_id=f"bare-{back}")
            await answers.start()
            stack.push_async_callback(answers.stop)
            desks.append(Desk(pool, producer, out))
            listening = asyncio.create_task(desks[0].listen(answers))
            stack.callback(listening.cancel)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/health/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/vehicle-orders", status_code=201)
    async def reserve(request: Request) -> dict[str, str]:
        return {"order_id": await desks[0].reserve(await request.body())}

    return app


def main() -> None:
    """Serve until SIGTERM."""
    url, bootstrap_servers, port, out, back = sys.argv[1:6]
    app = build(url, bootstrap_servers, out, back)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
