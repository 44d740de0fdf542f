"""Identifiers: UUIDv7, which sort by time and so keep indexes compact."""

from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """A new UUIDv7."""
    return UUID(int=uuid_utils.uuid7().int)
