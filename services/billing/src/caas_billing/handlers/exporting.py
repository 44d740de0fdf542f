"""Writes the file for collections page by page, so that its size is no matter (SUB-6)."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from caas_billing.domain.collections_file import header, lines
from caas_billing.store import owed
from caas_billing.store.owed import CollectionFilter
from caas_chassis.transaction import Tx


async def collections_file(
    reading: Callable[[], AbstractAsyncContextManager[Tx]], wanted: CollectionFilter
) -> AsyncIterator[str]:
    """The header, then the lines of every page; each page is read in a transaction of its own."""
    yield header()
    while True:
        async with reading() as tx:
            found = await owed.list_collections(tx, wanted)
        if not found:
            return
        yield lines(found)
        wanted = wanted.following(found[-1])
