"""What one gateway process is started with."""

import argparse
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Durations ending in `_s` are seconds of real time; `webhook_url` None means no webhooks.

    `public_url` is where customers find the gateway's pages; None is where the merchant found it.
    """

    port: int
    state_dir: Path
    api_key: str
    webhook_url: str | None
    webhook_secret: str | None
    hang_s: float
    slow_s: float
    pending_s: float
    public_url: str | None


def settings_from_arguments(arguments: list[str] | None = None) -> Settings:
    """Reads the command line; exits with status 2 and a message when it is wrong."""
    parser = argparse.ArgumentParser(prog="caas_sandbox.gateway", description="Sandbox payment gateway")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free port")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--api-key", required=True)
    parser.add_argument("--webhook-url", help="where signed webhooks are sent; none are made without it")
    parser.add_argument("--webhook-secret", help="whsec_<base64>, needed with --webhook-url")
    parser.add_argument("--hang-s", type=float, default=3.0, help="how long an unanswered request hangs")
    parser.add_argument("--slow-s", type=float, default=1.0, help="how late a slow answer is")
    parser.add_argument("--pending-s", type=float, default=1.0, help="how long tok_pending stays pending")
    parser.add_argument("--public-url", help="where customers reach this gateway, if not where merchants do")
    given = parser.parse_args(arguments)
    if given.webhook_url and not (given.webhook_secret or "").startswith("whsec_"):
        parser.error("--webhook-url needs --webhook-secret whsec_<base64>")
    return Settings(**vars(given))
