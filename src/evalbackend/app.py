"""Put the server together."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from evalbackend import routes, web
from evalbackend.errors import HttpError
from evalbackend.faults import FaultPlan
from evalbackend.http import openapi
from evalbackend.http.gate import Gate
from evalbackend.http.operation import Operation
from evalbackend.http.presign import Signer
from evalbackend.http.read_only import only_reads
from evalbackend.http.state import NOWHERE, AppState, answer, names_nothing
from evalbackend.prices import prices_for
from evalbackend.store.db import Store
from evalbackend.store.read_only import ReadOnlyStore
from evalbackend.store.runs_late import show_all
from evalbackend.wire.flags import FLAGS


def create_app(
    store_path: Path,
    token: str,
    faults: FaultPlan | None = None,
    *,
    admin_token: str | None = None,
    allowed_hosts: tuple[str, ...] | None = None,
    flags: Mapping[str, bool] | None = None,
    read_only: bool = False,
    prices: Path | None = None,
) -> Starlette:
    """Open the store and return the application; it closes the store when its lifespan ends.

    Clients must send `token` as their API key. `allowed_hosts` are the names that a Host header may
    carry (any port); None allows all. `flags` replace those of /info; with ch_query_enabled false the
    older reads of runs answer 501, as a service without them does. With `read_only` the store is only
    read, and must be there: whatever may write answers 403. `prices` is a table of what models cost
    (prices.toml). StoreError if the store cannot be opened, ConfigError for a bad table, ValueError without token.
    """
    if not token:
        raise ValueError("the backend needs a token: without one, everybody could read and write the store")
    table = prices_for(store_path, prices)
    store = ReadOnlyStore(store_path) if read_only else Store(store_path)
    plan = faults or FaultPlan()
    plan.arm()
    parts = AppState(store, Signer(store.url_secret), plan, {**FLAGS, **(flags or {})}, table)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if not read_only:
            await store.write(show_all)
        yield
        app.state.site.close()
        store.close()

    served = _served(with_admin=admin_token is not None)
    operations = openapi.operations(served)
    stems = tuple({one.stem for one in operations if one.public})
    gate = Middleware(
        Gate, state=parts, token=token, admin_token=admin_token, hosts=allowed_hosts, open_stems=stems
    )
    app = Starlette(
        routes=only_reads(served) if read_only else served,
        middleware=[gate],
        exception_handlers={HttpError: _refused, HTTPException: _unknown},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.state = parts
    app.state.operations = operations  # of the document: of a read-only server too
    app.state.site = web.Site(store, token)
    return app


def _served(*, with_admin: bool) -> list[BaseRoute]:
    """Return every route: those of each module in routes/, the document of them, and the pages."""
    names = [
        found.name for found in pkgutil.iter_modules(routes.__path__) if with_admin or found.name != "admin"
    ]
    modules = [importlib.import_module(f"{routes.__name__}.{name}") for name in names]
    found: list[Operation] = [one for module in (*modules, openapi) for one in module.routes]
    return [*sorted(found, key=_precedence, reverse=True), *web.routes]


def _precedence(operation: Operation) -> tuple[list[int], str]:
    """Order operations so that no parameter takes what another has as a word: words first, then parameters.

    Among words the later letters come first, for no other reason than that /runs is asked most.
    """
    kinds = [
        0 if ":path}" in word else 1 if word.startswith("{") else 2 if "{" in word else 3
        for word in operation.path.split("/")[1:]
    ]
    return kinds, operation.path


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)
    return answer({"detail": error.detail}, error.status)


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405 and names_nothing(request):
        return answer({"detail": NOWHERE}, 404)
    refusal = answer({"detail": error.detail}, error.status_code)
    refusal.headers.update(error.headers or {})
    return refusal
