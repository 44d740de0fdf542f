"""The processes of a platform: how each partner and each service is started, and when it is ready."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from caas_local.layout import SERVICES, SUPPLIERS, Layout
from caas_local.postgres import DatabaseUrls

RETRY_DELAYS_OTA_S: Final = "[0.5, 1, 2]"
"""The default of 5, 15 and 45 s would make every demonstration of a silent car take a minute."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process. It is ready when `ready_url` answers 200."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready_url: str


def partner_programs(layout: Layout, bootstrap_servers: str) -> list[Program]:
    """The sandbox: gateway, vehicles with their MQTT broker and their use, maintenance, mail, identity, suppliers."""
    webhook_url = f"{layout.url('payments')}/webhooks/gateway"
    arguments: dict[str, list[str]] = {
        "identity": ["--issuer", layout.url("identity")],
        "mail": ["--smtp-port", str(layout.ports["smtp"])],
        "vss": ["--api-key", layout.api_key],
        "vehicles": ["--mqtt-port", str(layout.ports["mqtt"])],
        "usage": ["--bootstrap-servers", bootstrap_servers],
        "gateway": [
            "--api-key", layout.api_key, "--webhook-url", webhook_url, "--webhook-secret", layout.webhook_secret,
        ],
    }  # fmt: skip
    for name in SUPPLIERS:
        supplier_url = f"{layout.url('orders')}/webhooks/{name}"
        arguments[name] = [
            "--api-key", layout.api_key, "--webhook-url", supplier_url, "--webhook-secret", layout.webhook_secret,
        ]  # fmt: skip
    return [_partner(layout, name, extra) for name, extra in arguments.items()]


def service_programs(layout: Layout, bootstrap_servers: str, databases: Mapping[str, DatabaseUrls]) -> list[Program]:
    """The five services, each with its own database."""
    shared = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "CAAS_CLOCK_FILE": str(layout.clock_file),
        "CAAS_JWKS_URL": f"{layout.url('identity')}/jwks.json",
        "CAAS_JWT_ISSUER": layout.url("identity"),
        "CAAS_MIGRATE_ON_START": "true",
    }
    programs = []
    for name in SERVICES:
        prefix = f"CAAS_{name.upper()}_"
        own = {f"{prefix}{key}": value for key, value in _settings_of(layout, name).items()}
        own[f"{prefix}DATABASE_URL"] = databases[name].serving
        own |= {f"{prefix}MIGRATION_DATABASE_URL": url for url in [databases[name].owner] if url}
        own[f"{prefix}HTTP_PORT"] = str(layout.ports[name])
        own[f"{prefix}CONSUMER_INSTANCE"] = "local"
        command = [sys.executable, "-m", f"caas_{name}", "serve"]
        programs.append(Program(name, command, {**shared, **own}, f"{layout.url(name)}/health/ready"))
    return programs


def environment_of(program: Program) -> dict[str, str]:
    """The process's whole environment: this one's, its own settings, and what a test set for it on purpose."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **program.environment}


def _partner(layout: Layout, name: str, extra: Sequence[str]) -> Program:
    command = [
        sys.executable, "-m", f"caas_sandbox.{name}",
        "--port", str(layout.ports[name]), "--state-dir", str(layout.folder(name)), *extra,
    ]  # fmt: skip
    return Program(name, command, {"CAAS_CLOCK_FILE": str(layout.clock_file)}, f"{layout.url(name)}/health")


def _settings_of(layout: Layout, service: str) -> dict[str, str]:
    gateway = {"GATEWAY_URL": layout.url("gateway"), "GATEWAY_API_KEY": layout.api_key, "GATEWAY_TIMEOUT_S": "2"}
    smtp = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(layout.ports["smtp"])}
    match service:
        case "payments":
            return {
                **gateway,
                "AUDIT_ANCHOR_EVERY_S": "2",
                "EXPOSURE_EVERY_S": "2",
                "PUBLIC_URL": layout.url("payments"),
                "WEBHOOK_SECRET": layout.webhook_secret,
            }
        case "orders":
            vss = {"VSS_URL": layout.url("vss"), "VSS_API_KEY": layout.api_key, "VSS_TIMEOUT_S": "2"}
            return {**smtp, **vss, **_settings_of_suppliers(layout)}
        case "ota":
            return {"MQTT_PORT": str(layout.ports["mqtt"]), "RETRY_DELAYS_S": RETRY_DELAYS_OTA_S}
        case "billing":
            return smtp
        case _:
            return gateway


def _settings_of_suppliers(layout: Layout) -> dict[str, str]:
    settings = {"PARTNER_TIMEOUT_S": "5"}
    for name in SUPPLIERS:
        prefix = name.upper()
        settings[f"{prefix}_URL"] = layout.url(name)
        settings[f"{prefix}_API_KEY"] = layout.api_key
        settings[f"{prefix}_WEBHOOK_SECRET"] = layout.webhook_secret
    return settings
