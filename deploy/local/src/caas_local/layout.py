"""Where everything of one local platform is: folders, ports, development secrets.

A layout is made once per state directory and remembered, so that addresses stay the same.
"""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from caas_chassis.embedded.ports import free_port, is_free

SERVICES: Final = ("payments", "orders", "ota", "billing", "reconciliation")
SUPPLIERS: Final = ("factory", "registration", "transport")
PARTNERS: Final = ("gateway", "vehicles", "vss", "mail", "identity", "usage", *SUPPLIERS)
_FIXED: Final = {
    "payments": 8101, "orders": 8102, "ota": 8103, "billing": 8104, "reconciliation": 8105,
    "gateway": 8201, "vehicles": 8202, "vss": 8203, "mail": 8204, "identity": 8205,
    "factory": 8206, "registration": 8207, "transport": 8208, "usage": 8209, "mqtt": 8883, "smtp": 8025,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """`ports` by name of service, partner, `mqtt` and `smtp`. Everything listens on the loopback address."""

    state_dir: Path
    ports: dict[str, int]
    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)

    @classmethod
    def of(cls, state_dir: Path, *, fixed_ports: bool) -> Self:
        """The remembered layout of this directory, or a new one.

        With `fixed_ports` the documented ports are used where they are free, else any.
        """
        file = state_dir / "layout.json"
        stored: dict[str, Any] = json.loads(file.read_text()) if file.exists() else _new_secrets()
        known: dict[str, int] = stored.get("ports", {})
        if known.keys() >= _FIXED.keys():
            return cls(state_dir, **stored)
        # What was added to the platform since the layout was made gets a port beside those that are remembered.
        layout = cls(state_dir, **{**stored, "ports": _choose_ports(known, fixed=fixed_ports)})
        state_dir.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({name: value for name, value in asdict(layout).items() if name != "state_dir"}))
        file.chmod(0o600)
        return layout

    @property
    def clock_file(self) -> Path:
        """The file that moves business time."""
        return self.state_dir / "clock.json"

    def url(self, name: str) -> str:
        """The HTTP base address of a service or partner."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def folder(self, name: str) -> Path:
        """The state of one process."""
        folder = self.state_dir / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def cache_dir() -> Path:
    """Downloads that all platforms share."""
    return Path(os.environ.get("CAAS_CACHE_DIR", ".local/cache")).absolute()


def _new_secrets() -> dict[str, Any]:
    return {
        "api_key": f"dev-{secrets.token_hex(12)}",
        "webhook_secret": f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}",
    }


def _choose_ports(known: dict[str, int], *, fixed: bool) -> dict[str, int]:
    chosen = dict(known)
    for name, wanted in _FIXED.items():
        if name in known:
            continue
        port = wanted if fixed and is_free(wanted) else free_port()
        while port in chosen.values():
            port = free_port()
        chosen[name] = port
    return chosen
