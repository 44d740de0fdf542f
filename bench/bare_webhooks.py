"""A bare endpoint for webhooks: `python -m bench.bare_webhooks <database url> <port>`.

FastAPI with one route that inserts the body and answers: a pool, a row and a commit per request. Nothing is verified,
deduplicated or published. Served as our services are: the same server, settings and treatment of the collector.
"""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import uvicorn
from fastapi import FastAPI, Request

TIMEOUT_S: Final = 30.0
POOL: Final = 10
"""As many connections as a service has."""
SCHEMA: Final = """
CREATE TABLE webhook (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now())
"""
INSERT: Final = "INSERT INTO webhook (body) VALUES ($1)"
COUNT: Final = "SELECT count(*) FROM webhook"


def build(url: str) -> FastAPI:
    """The application; its database is there already."""
    pools: list[asyncpg.Pool] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with asyncpg.create_pool(
            url, min_size=POOL, max_size=POOL, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S
        ) as pool:
            pools.append(pool)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/health/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/webhooks/gateway")
    async def receive(request: Request) -> dict[str, bool]:
        await pools[0].execute(INSERT, (await request.body()).decode())
        return {"received": True}

    return app


def main() -> None:
    """Serve until SIGTERM."""
    app = build(sys.argv[1])
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
