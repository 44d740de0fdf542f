"""Every named crash point of every service, derived from the code: what it handles, calls and fires."""

import importlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from caas_chassis.service import Service
from caas_local.layout import SERVICES, Layout
from caas_local.programs import service_programs

# Reached by every service that publishes and consumes.
_ALWAYS: Final = (
    "relay.before_send", "relay.after_send", "relay.after_mark", "offset.before_commit", "offset.after_commit",
)  # fmt: skip
# Commits of HTTP requests, and of the loop that takes vehicles' acknowledgements.
_OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "payments": ("http.before_commit", "http.after_commit"),
    "orders": ("http.before_commit", "http.after_commit"),
    "reconciliation": ("http.before_commit", "http.after_commit"),
    "ota": ("vehicles.before_commit", "vehicles.after_commit"),
    "billing": (),
}


def points_of(name: str, service: Service) -> list[str]:
    """Before and after every commit, partner call, send, published mark and offset commit of a service."""
    return [*_ALWAYS, *_OWN[name], *_handled(service), *_called(service), *_fired(service)]


def build_services(layout: Layout) -> dict[str, Service]:
    """The five services as their processes build them, without starting anything."""
    urls = dict.fromkeys(SERVICES, "postgresql://nobody@127.0.0.1:1/none")
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


def _handled(service: Service) -> Iterator[str]:
    for message in service.handlers:
        yield f"handle.before_commit:{message.__name__}"
        yield f"handle.after_commit:{message.__name__}"


def _called(service: Service) -> Iterator[str]:
    for effect in service.effects:
        for point in ("before_call", "after_call", "before_commit", "after_commit"):
            yield f"effect.{point}:{effect.name}"


def _fired(service: Service) -> Iterator[str]:
    for timer in service.timers:
        yield f"timer.before_commit:{timer}"
        yield f"timer.after_commit:{timer}"
