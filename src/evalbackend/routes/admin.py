"""For tests only, and mounted only with an admin token: break the server on purpose, and hear the truth."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.errors import ConfigError, HttpError
from evalbackend.faults import FaultPlan
from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, body_object, state
from evalbackend.store.truth import truth
from evalbackend.wire.flags import changed


async def _arm(request: Request) -> Response:
    body = await body_object(request)
    try:
        plan = FaultPlan.from_document(body, "the body")
    except ConfigError as error:
        raise HttpError(422, str(error)) from error
    plan.arm()
    state(request).faults = plan
    return answer(plan.report())


async def _switch(request: Request) -> Response:
    """Change the flags of /info, of which each client reads once what they are."""
    parts = state(request)
    parts.flags = changed(parts.flags, await body_object(request))
    return answer(parts.flags)


async def _report(request: Request) -> Response:
    return answer(state(request).faults.report())


async def _truth(request: Request) -> Response:
    session = request.query_params.get("session")
    if not session:
        raise HttpError(422, "session must name a session, by id or name")
    return answer(await state(request).store.read(lambda connection: truth(connection, session)))


routes = [
    Operation(
        "PUT /_admin/faults",
        _arm,
        "Break the server",
        body="fault:list seed:int conflict_mode:text",
        kind="json",
        reads=True,
    ),
    Operation("GET /_admin/faults", _report, "What the faults did", reads=True),
    Operation("PUT /_admin/flags", _switch, "Change the flags of /info", body="", kind="json", reads=True),
    Operation("GET /_admin/truth", _truth, "What arrived", query="session:text!", reads=True),
]
