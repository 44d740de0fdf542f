"""The connection pool, with a deadline on everything, and recovery when a server is demoted or restarts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection = asyncpg.Connection | PoolConnectionProxy
"""A connection as the pool lends it."""

CONNECT_TIMEOUT_S: Final = 10.0
COMMAND_TIMEOUT_S: Final = 30.0
ACQUIRE_TIMEOUT_S: Final = 10.0

_SERVER_SETTINGS: Final = {
    # A transaction that waits for a lock, or idles, longer than this is a bug; it must not stop the others.
    "lock_timeout": "20s",
    "idle_in_transaction_session_timeout": "60s",
    # The relay's horizon and every consumer rely on short transactions.
    "default_transaction_isolation": "read committed",
}

TRANSIENT: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
    ConnectionError,
    TimeoutError,
    OSError,
)
"""Errors of the database's condition, not of the statement: try again later, blame no message.

asyncpg's InterfaceError is not among them: it also means a value that no column can hold, which is the
message's fault for ever. `Database.connection` turns the kind that means a lost connection into ConnectionError.
"""

_LOST_SERVER: Final = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.PostgresConnectionError,
)


class Database:
    """A pool of connections to one service's database. Connects on first use."""

    def __init__(self, url: str, *, application: str, size: int = 10) -> None:
        self._url = url
        self._application = application
        self._size = size
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Raises the connection's error when the server cannot be reached within 10 s."""
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._url,
                    min_size=1,
                    max_size=self._size,
                    timeout=CONNECT_TIMEOUT_S,
                    command_timeout=COMMAND_TIMEOUT_S,
                    max_inactive_connection_lifetime=300,
                    reset=_keep_session,
                    server_settings={**_SERVER_SETTINGS, "application_name": self._application},
                )

    async def close(self) -> None:
        """Close the pool; connections that do not finish within 10 s are terminated."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), CONNECT_TIMEOUT_S)
            except TimeoutError:
                pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection from the pool, waited for at most 10 s.

        After an error that means the server is gone or demoted every pooled connection is expired, so that
        the next one finds the new primary.
        """
        if self._pool is None:
            await self.open()
        assert self._pool is not None
        try:
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                yield connection
        except _LOST_SERVER:
            if self._pool is not None:
                await self._pool.expire_connections()
            raise
        except asyncpg.InterfaceError as error:
            if isinstance(error, ValueError):  # A value that cannot be encoded: the statement's fault.
                raise
            raise ConnectionError(f"the connection cannot be used any more: {error}") from error

    async def dedicated(self) -> asyncpg.Connection:
        """A connection outside the pool, for session locks and LISTEN; the caller closes it."""
        return await asyncpg.connect(
            self._url,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            server_settings={**_SERVER_SETTINGS, "application_name": f"{self._application}-dedicated"},
        )


async def _keep_session(_: Connection) -> None:
    """Nothing to undo: work on pooled connections is transactions only (an open one is rolled back before this).

    Session locks and LISTEN are for `dedicated` connections. The driver's default asks the server to forget them
    after every use, one round trip more for each transaction.
    """
