"""Names of time zones in settings and on command lines: only what the IANA database knows gets through."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator


def zone_named(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name, such as Europe/Madrid; None for any other text."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # Names of folders and paths are none either.
        return None


def _known(name: str) -> str:
    if zone_named(name) is None:
        raise ValueError("not a time zone of the IANA database, such as Europe/Madrid")
    return name


TimeZoneName = Annotated[str, AfterValidator(_known)]
"""A setting that names a time zone. A wrong one ends the start with its name and what it should be."""
