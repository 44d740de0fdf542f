"""Where everything of one local platform is: folders, ports, development secrets.

A layout is made once per state directory and remembered, so that addresses stay the same.
"""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

from caas_chassis.embedded.ports import free_port, is_free

SERVICES: Final = ("payments", "orders", "ota", "billing", "reconciliation")
PARTNERS: Final = ("gateway", "vehicles", "vss", "mail", "identity")
_FIXED: Final = {
    "payments": 8101, "orders": 8102, "ota": 8103, "billing": 8104, "reconciliation": 8105,
    "gateway": 8201, "vehicles": 8202, "vss": 8203, "mail": 8204, "identity": 8205, "mqtt": 8883, "smtp": 8025,
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
        if file.exists():
            stored = json.loads(file.read_text())
            return cls(state_dir, stored["ports"], stored["api_key"], stored["webhook_secret"])
        state_dir.mkdir(parents=True, exist_ok=True)
        layout = cls(
            state_dir,
            _choose_ports(fixed=fixed_ports),
            f"dev-{secrets.token_hex(12)}",
            f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}",
        )
        stored = {name: value for name, value in asdict(layout).items() if name != "state_dir"}
        file.write_text(json.dumps(stored, indent=2))
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


def _choose_ports(*, fixed: bool) -> dict[str, int]:
    chosen: dict[str, int] = {}
    for name, wanted in _FIXED.items():
        port = wanted if fixed and is_free(wanted) else free_port()
        while port in chosen.values():
            port = free_port()
        chosen[name] = port
    return chosen
