"""Check examples against their dataset's schemas before they are written, in threads of their own.

A schema and a value that take long hold up one of these threads, and neither the write thread nor the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from evalbackend.store.base import OpenStore
from evalbackend.store.schemas import UNCHECKED, Checked, check, pairs
from evalbackend.wire.examples import ExampleWrite

_pool = ThreadPoolExecutor(2, thread_name_prefix="backend-check")


async def checked(store: OpenStore, writes: Iterable[tuple[str | None, ExampleWrite]]) -> Checked:
    """Return what agrees with its schema, to be handed to the write; 422 for the first that does not.

    Each example comes with its dataset; None is the one that it is in.
    """
    told = list(writes)
    found = await store.read(lambda connection: pairs(connection, told))
    if not found:
        return UNCHECKED
    return await asyncio.get_running_loop().run_in_executor(_pool, check, found)
