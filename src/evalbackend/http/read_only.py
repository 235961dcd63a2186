"""A server that is read-only refuses every operation that does not say of itself that it reads.

The pages say nothing of the kind: their package reads and never writes. The switches of /_admin, which only tests
mount, change what the server does and not the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from evalbackend import web
from evalbackend.errors import HttpError
from evalbackend.http.body import drained
from evalbackend.http.operation import Operation
from evalbackend.store.read_only import READ_ONLY


def only_reads(routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """Return the routes with every operation that may write answered 403."""
    return [kept for route in routes for kept in _split(route)]


def _split(route: BaseRoute) -> Iterator[BaseRoute]:
    assert isinstance(route, Route), "a mounted application would have to be looked through, too"
    reads = route.reads if isinstance(route, Operation) else route in web.routes
    yield route if reads else Route(route.path, _refuse, methods=sorted(route.methods or set()))


async def _refuse(request: Request) -> Response:
    await drained(request)
    raise HttpError(403, READ_ONLY)
