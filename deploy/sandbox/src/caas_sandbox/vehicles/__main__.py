"""Starts the vehicles: books, broker (unless an outside one is used), link and control port."""

import argparse
import asyncio
from pathlib import Path

import uvloop

from caas_sandbox.clock import BusinessClock
from caas_sandbox.serving import LOOPBACK, bind, serve
from caas_sandbox.vehicles.broker import start_broker
from caas_sandbox.vehicles.fleet import Fleet
from caas_sandbox.vehicles.http import build_app
from caas_sandbox.vehicles.link import Link
from caas_sandbox.vehicles.store import VehicleBooks

_CONNECT_WITHIN_S = 15


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="caas_sandbox.vehicles", description="Sandbox vehicles over MQTT")
    parser.add_argument("--port", type=int, required=True, help="HTTP control port")
    parser.add_argument("--mqtt-port", type=int, required=True, help="port of the MQTT broker")
    parser.add_argument("--state-dir", type=Path, required=True, help="where the books are kept")
    parser.add_argument("--broker-host", default=LOOPBACK, help="host of an outside broker")
    parser.add_argument("--no-broker", action="store_true", help="use an outside broker, start none")
    parser.add_argument(
        "--client-id", default="caas-sandbox-vehicles", help="name of the MQTT session; one for each fleet"
    )
    return parser.parse_args()


async def run(arguments: argparse.Namespace) -> None:
    """Runs until SIGTERM; every part is closed before it returns."""
    bound = bind(arguments.port)
    books = VehicleBooks(arguments.state_dir / "vehicles.sqlite3")
    broker = None if arguments.no_broker else await start_broker(arguments.mqtt_port)
    if broker is not None:
        books.report_all()
    fleet = Fleet(books, BusinessClock())
    link = Link(fleet, arguments.broker_host, arguments.mqtt_port, arguments.client_id)

    async def ready() -> str:
        async with asyncio.timeout(_CONNECT_WITHIN_S):
            await link.connected.wait()
        return f" and mqtt://{arguments.broker_host}:{arguments.mqtt_port}"

    try:
        async with asyncio.TaskGroup() as tasks:
            linked = tasks.create_task(link.run())
            await serve(build_app(fleet, link), bound, ready)
            linked.cancel()
    finally:
        if broker is not None:
            await broker.shutdown()
        books.close()


def main() -> None:
    """Entry point of `python -m caas_sandbox.vehicles`."""
    uvloop.run(run(_arguments()))


if __name__ == "__main__":
    main()
