"""Every named crash point of every service, derived from the code: what it handles, calls and fires."""

import importlib
import os
from collections.abc import Mapping
from typing import Any, Final

from caas_chassis.crash_catalogue import crash_points
from caas_chassis.service import Service
from caas_local.layout import SERVICES, Layout
from caas_local.postgres import DatabaseUrls
from caas_local.programs import service_programs

# The rest of the chassis' points (parking, gaps, housekeeping) are reached when something is wrong with a message;
# the chassis' own tests die there.
_PREFIXES: Final = ("relay.", "offset.", "handle.", "effect.", "timer.", "http.")
# What it answers over HTTP is only read.
_READ_ONLY: Final = ("ota",)
# Transactions of loops that a service adds itself.
_OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "ota": ("vehicles.before_commit", "vehicles.after_commit"),
    "billing": tuple(f"{point}.{side}_commit" for point in ("closing", "finishing") for side in ("before", "after")),
}


def points_of(name: str, service: Service) -> list[str]:
    """Before and after every commit, partner call, send, published mark and offset commit of a service."""
    points = [point for point in crash_points(service) if point.startswith(_PREFIXES)]
    written = [point for point in points if not (name in _READ_ONLY and point.startswith("http."))]
    return [*written, *_OWN.get(name, ())]


def build_services(layout: Layout) -> dict[str, Service]:
    """The five services as their processes build them, without starting anything."""
    urls = dict.fromkeys(SERVICES, DatabaseUrls("postgresql://nobody@127.0.0.1:1/none"))
    services: dict[str, Service] = {}
    before = dict(os.environ)
    for program in service_programs(layout, "127.0.0.1:1", urls):
        os.environ.update(program.environment)
        services[program.name] = _build(program.name)
    os.environ.clear()
    os.environ.update(before)
    return services


def _build(name: str) -> Service:
    app: Any = importlib.import_module(f"caas_{name}.app")
    settings: Any = importlib.import_module(f"caas_{name}.settings")
    settings_type = getattr(settings, f"{name.capitalize()}Settings")
    service = app.build(settings_type()).state.runtime.service
    assert isinstance(service, Service)
    return service
