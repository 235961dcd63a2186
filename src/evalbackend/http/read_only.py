"""Which operations only read. What is not named here is refused by a server that is read-only.

The pages are not named one by one: their package reads and never writes. The switches of /_admin, which
only tests mount, change what the server does and not the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from evalbackend import web
from evalbackend.errors import HttpError
from evalbackend.http.body import drained
from evalbackend.store.read_only import READ_ONLY

READS = frozenset(
    """
    GET /info
    GET /openapi.json
    GET /runs/{id}
    POST /runs/query
    POST /runs/stats
    GET /runs/{id}/share
    GET /public/{token}/r
    GET /public/{token}/run
    GET /public/{token}/run/{id}
    GET /public/{token}/runs
    GET /public/{token}/runs{query}
    POST /public/{token}/runs/query
    GET /sessions
    GET /sessions/{id}
    GET /datasets
    GET /datasets/{id}
    GET /datasets/{id}/openai_ft
    POST /datasets/{id}/runs
    GET /datasets/{id}/versions
    GET /datasets/{id}/versions/diff
    GET /datasets/{id}/version
    GET /datasets/{id}/splits
    GET /datasets/{id}/share
    GET /public/{token}/datasets
    GET /public/{token}/datasets/sessions
    GET /public/{token}/examples
    GET /examples
    GET /examples/{id}
    GET /attachments/{sha}
    GET /feedback
    GET /feedback/{id}
    GET /feedback/tokens
    GET /feedback-configs
    GET /datasets/comparative/{id}
    GET /datasets/{id}/comparative
    GET /annotation-queues
    GET /annotation-queues/{id}
    GET /annotation-queues/{id}/size
    GET /annotation-queues/{id}/total_size
    GET /annotation-queues/{id}/total_archived
    GET /annotation-queues/{id}/runs
    GET /annotation-queues/{id}/run/{index:int}
    GET /annotation-queues/{id}/queues
    POST /annotation-queues/{id}/export
    GET /platform/annotation-queues/{id}/items
    GET /platform/annotation-queues/{id}/items/count
    GET /platform/annotation-queues/{id}/items/{item}/placement
    GET /platform/evaluators
    GET /platform/evaluators/{id}
    GET /runs/threads/{id:path}
    POST /v2/runs/query
    GET /v2/runs/{id}
    GET /v2/runs/{id}/url
    POST /v2/traces/query
    GET /v2/traces/{id}/runs
    POST /v2/datasets/{id}/experiment-runs
    POST /v2/threads/query
    POST /v2/threads/stats
    GET /v2/threads/{id}/traces
    GET /v2/threads/{id}/stats
    GET /v2/public/{token}/run/{id}
    POST /v2/public/{token}/runs/query
    PUT /_admin/faults
    GET /_admin/faults
    PUT /_admin/flags
    GET /_admin/truth
    """.strip().split("\n    ")
)


def only_reads(routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """Return the routes with every operation that may write answered 403."""
    return [kept for route in routes for kept in _split(route)]


def _split(route: BaseRoute) -> Iterator[BaseRoute]:
    assert isinstance(route, Route), "a mounted application would have to be looked through, too"
    methods = route.methods or set()
    reads = methods if route in web.routes else {one for one in methods if _reads(one, route.path)}
    if reads:
        yield Route(route.path, route.endpoint, methods=sorted(reads))
    if methods - reads:
        yield Route(route.path, _refuse, methods=sorted(methods - reads))


def _reads(method: str, path: str) -> bool:
    return f"{'GET' if method == 'HEAD' else method} {path}" in READS


async def _refuse(request: Request) -> Response:
    await drained(request)
    raise HttpError(403, READ_ONLY)
