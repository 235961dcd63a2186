"""The addresses of the pages. Every one of them but the way in asks for the cookie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from evalbackend.errors import HttpError
from evalbackend.web import pages_data, pages_experiment, pages_run
from evalbackend.web import pages_sign_in as door
from evalbackend.web.render import page
from evalbackend.web.site import site

Endpoint = Callable[[Request], Awaitable[Response]]
OPEN = ("/ui/", "/o/")
"""Prefixes of what is guarded here, by the cookie, and not by the API key."""
WAY_IN = ("/", "/ui", "/login", "/logout")


def _guarded(endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> Response:
        if not site(request).door.knows(request):
            query = f"?{request.url.query}" if request.url.query else ""
            return door.lead_in(request, request.url.path + query)
        return await _answered(endpoint, request)

    return guarded


def _public(endpoint: Endpoint) -> Endpoint:
    async def public(request: Request) -> Response:
        return await _answered(endpoint, request)

    return public


async def _answered(endpoint: Endpoint, request: Request) -> Response:
    try:
        return await endpoint(request)
    except HttpError as error:
        return page(request, "problem.html", error.status, status_code=error.status, detail=error.detail)


async def _nowhere(_: Request) -> Response:
    raise HttpError(404, "there is no such page")


_PAGES: dict[str, Endpoint] = {
    "/ui/": pages_data.datasets,
    "/ui/datasets/{id}": pages_data.dataset,
    "/ui/examples/{id}": pages_data.example,
    "/ui/projects/{id}": pages_data.project,
    "/ui/experiments/{id}": pages_experiment.experiment,
    "/ui/experiments/{id}/holes": pages_experiment.holes,
    "/ui/compare": pages_experiment.compare,
    "/ui/runs/{id}": pages_run.run,
    "/ui/runs/{id}/{part}": pages_run.part,
    "/o/{tenant}/{kind}/{rest:path}": pages_run.sdk_link,
    "/ui/{rest:path}": _nowhere,
}
routes = [
    Route("/", _public(door.home), methods=["GET"]),
    Route("/ui", _public(door.home), methods=["GET"]),
    Route("/login", _public(door.sign_in), methods=["GET"]),
    Route("/login", _public(door.check), methods=["POST"]),
    Route("/logout", _public(door.sign_out), methods=["POST"]),
    Route("/ui/static/{name}", _public(door.file), methods=["GET"]),
    *(Route(address, _guarded(endpoint), methods=["GET"]) for address, endpoint in _PAGES.items()),
]
