"""Templates, and the headers that every page carries."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from evalbackend.http.state import state
from evalbackend.web import text
from evalbackend.web.advice import Advice

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader(__package__ or ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters.update(
        plain=text.plain,
        line=text.one_line,
        secs=text.seconds,
        score=text.score,
        when=text.moment,
        ago=text.ago,
        size=text.size,
        with_command=_with_command,
        query=lambda values: urlencode({name: value for name, value in values.items() if value}),
    )
    made.filters["n"] = lambda value: f"{value:,}"
    return made


def _with_command(sentence: str, command: str) -> Markup:
    """Return our own sentence with a command in the place of its {}."""
    return Markup("<code>{}</code>").format(command).join(map(escape, sentence.split("{}")))


_TEMPLATES = _environment()


def page(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """Return a page."""
    advice = Advice(state(request).store.path)
    body = _TEMPLATES.get_template(template).render(path=request.url.path, advice=advice, **values)
    return Response(body, status, HEADERS, media_type="text/html")


def asset(body: str, media_type: str) -> Response:
    """Return a file of ours."""
    return Response(body, headers={**HEADERS, "Cache-Control": "max-age=300"}, media_type=media_type)
