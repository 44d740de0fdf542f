"""Starts the gateway: `python -m caas_sandbox.gateway --port N --state-dir DIR --api-key KEY [...]`."""

from caas_sandbox.gateway.app import build_gateway
from caas_sandbox.gateway.settings import settings_from_arguments
from caas_sandbox.serving import run_partner


def main() -> None:
    """Runs until SIGTERM."""
    settings = settings_from_arguments()
    gateway = build_gateway(settings)
    run_partner(gateway.http, settings.port, *gateway.loops)


if __name__ == "__main__":
    main()
