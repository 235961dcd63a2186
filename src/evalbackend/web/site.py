"""What the pages keep beside the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from evalbackend.store.base import OpenStore
from evalbackend.web.digest import Digests
from evalbackend.web.door import Door
from evalbackend.web.standings import Standings

T = TypeVar("T")


class Site:
    """The door, and what is remembered of experiments that were looked at."""

    def __init__(self, store: OpenStore, token: str) -> None:
        self.store = store
        self.door = Door(token, store.url_secret)
        self.digests = Digests(lambda: store.address, store.changes)
        self.standings = Standings(store.changes)

    async def digested(self, work: Callable[[Digests], T]) -> T:
        """Run `work` over the digests, off the event loop, while nobody else uses them."""
        commits = self.store.commits

        def locked() -> T:
            with self.digests.at(commits):
                return work(self.digests)

        return await run_in_threadpool(locked)

    def close(self) -> None:
        """Let go of the digests."""
        self.digests.close()


def site(request: Request) -> Site:
    """Return the application's site."""
    found: Site = request.app.state.site
    return found
