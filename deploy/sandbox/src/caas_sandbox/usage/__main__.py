"""Starts the usage generator: `python -m caas_sandbox.usage --port N --state-dir DIR --bootstrap-servers HOST:PORT`."""

import argparse
from pathlib import Path
from zoneinfo import ZoneInfo

from fastapi import FastAPI

from caas_sandbox.database import open_database
from caas_sandbox.refusing import refuse_with_problems
from caas_sandbox.serving import run_partner
from caas_sandbox.usage.books import Books
from caas_sandbox.usage.http import UsageApi
from caas_sandbox.usage.store import SCHEMA, Store


def main() -> None:
    """Runs until SIGTERM."""
    parser = argparse.ArgumentParser(prog="caas_sandbox.usage", description="Sandbox cars that report their use")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free port")
    parser.add_argument("--state-dir", type=Path, required=True, help="where the book is kept")
    parser.add_argument("--bootstrap-servers", required=True, help="the broker, host:port")
    parser.add_argument("--zone", type=ZoneInfo, default=ZoneInfo("Europe/Madrid"), help="the time zone of billing")
    given = parser.parse_args()
    store = Store(open_database(given.state_dir / "usage.sqlite3", SCHEMA))
    books = Books(store, given.zone, given.bootstrap_servers)
    http = FastAPI(title="Sandbox usage")
    http.include_router(UsageApi(books).router())
    refuse_with_problems(http)
    run_partner(http, given.port, books.run)


if __name__ == "__main__":
    main()
