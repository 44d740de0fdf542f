"""The vehicle service system: says whether a vehicle's maintenance is current, unless it is down or slow.

Only what was put in is known; a vehicle that nobody put in is answered 404.
"""

import argparse
import asyncio
import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from caas_sandbox.clock import BusinessClock
from caas_sandbox.serving import run_partner

DEFAULT_SLOW_S = 10.0
_NEXT_INSPECTION = timedelta(days=180)
_OVERDUE_BY = timedelta(days=30)


class State(StrEnum):
    """What the system knows about a vehicle, or how it fails to say it."""

    CURRENT = "current"
    OVERDUE = "overdue"
    UNAVAILABLE = "unavailable"
    SLOW = "slow"


class StateRequest(BaseModel):
    """The state to answer with from now on."""

    state: State


class MaintenanceBooks:
    """Which vehicle is in which state, kept in SQLite."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS vehicles (vehicle_id TEXT PRIMARY KEY, state TEXT NOT NULL)")

    def put(self, vehicle_id: str, state: State) -> None:
        """Sets the vehicle's state."""
        self._database.execute("INSERT OR REPLACE INTO vehicles VALUES (?, ?)", (vehicle_id, state))

    def get(self, vehicle_id: str) -> State | None:
        """The vehicle's state, or None when it is unknown."""
        row = self._database.execute("SELECT state FROM vehicles WHERE vehicle_id = ?", (vehicle_id,)).fetchone()
        return State(row[0]) if row else None


def build_app(books: MaintenanceBooks, clock: BusinessClock, api_key: str, slow_s: float) -> FastAPI:
    """The application; asking needs the bearer key, setting a state is the sandbox's own and needs none."""
    app = FastAPI(title="CaaS sandbox: vehicle service system")

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.put("/vehicles/{vehicle_id}")
    async def put_vehicle(vehicle_id: str, request: StateRequest) -> dict[str, str]:
        books.put(vehicle_id, request.state)
        return {"vehicle_id": vehicle_id, "state": request.state}

    @app.get("/vehicles/{vehicle_id}/maintenance", dependencies=[Depends(_bearer_check(api_key))])
    async def get_maintenance(vehicle_id: str) -> dict[str, Any]:
        state = books.get(vehicle_id)
        if state is None:
            raise HTTPException(404, f"vehicle {vehicle_id!r} is unknown")
        if state is State.UNAVAILABLE:
            raise HTTPException(503, "the vehicle service system is down")
        if state is State.SLOW:
            await asyncio.sleep(slow_s)
        return _maintenance(vehicle_id, clock, is_current=state is not State.OVERDUE)

    return app


def _bearer_check(api_key: str) -> Callable[[HTTPAuthorizationCredentials | None], Awaitable[None]]:
    bearer = HTTPBearer(auto_error=False)

    async def check(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        given = credentials.credentials if credentials else ""
        if not secrets.compare_digest(given.encode(), api_key.encode()):
            raise HTTPException(401, "a valid bearer key is needed", {"www-authenticate": "Bearer"})

    return check


def _maintenance(vehicle_id: str, clock: BusinessClock, *, is_current: bool) -> dict[str, Any]:
    today = clock.now().date()
    return {
        "vehicle_id": vehicle_id,
        "current": is_current,
        "next_due_on": (today + _NEXT_INSPECTION if is_current else today - _OVERDUE_BY).isoformat(),
        "reason": "" if is_current else "maintenance_overdue",
    }


def main() -> None:
    """Entry point of `python -m caas_sandbox.vss`."""
    parser = argparse.ArgumentParser(prog="caas_sandbox.vss", description="Sandbox vehicle service system")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state-dir", type=Path, required=True, help="where the books are kept")
    parser.add_argument("--api-key", required=True, help="bearer key of who asks")
    parser.add_argument("--slow-s", type=float, default=DEFAULT_SLOW_S, help="seconds that `slow` takes")
    arguments = parser.parse_args()
    books = MaintenanceBooks(arguments.state_dir / "vss.sqlite3")
    run_partner(build_app(books, BusinessClock(), arguments.api_key, arguments.slow_s), arguments.port)


if __name__ == "__main__":
    main()
