"""The toy as a process of its own: `python -m chassis.tests.toy_process`; its partner writes to a file."""

import asyncio
import os
from pathlib import Path

from fastapi import APIRouter, FastAPI

from caas_chassis import main
from caas_chassis.auth import TokenVerifier
from caas_chassis.cause import Cause
from caas_chassis.runtime import Runtime
from caas_chassis.settings import ServiceSettings
from caas_chassis.web import create_app
from chassis.tests.toy_service import Told, a_service


class ToySettings(ServiceSettings):
    """The common settings, and where the partner keeps its book."""

    partner_book: Path


def build(settings: ToySettings) -> FastAPI:
    """The application, as a service's `app.py` builds it."""

    async def tell(told: Told) -> str:
        await asyncio.to_thread(note, settings.partner_book, f"{told.activation_id}\n")
        return "ok"

    runtime = Runtime(a_service(tell), settings)
    router = APIRouter()

    @router.post("/touch")
    async def touch() -> dict[str, str]:
        async with runtime.transaction(Cause.of_person("test")) as tx:
            await tx.execute("SELECT pg_current_xact_id()")
        return {"status": "touched"}

    return create_app(runtime, [router], verifier=TokenVerifier("http://127.0.0.1:9", "test", "test"))


def note(book: Path, line: str) -> None:
    """Append durably: the partner does not forget when the caller dies."""
    with book.open("a") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    main.run(ToySettings, build)
