"""Coming in and going out, and the files of the pages."""

from __future__ import annotations

from importlib import resources
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from evalbackend.errors import HttpError
from evalbackend.web.render import HEADERS, asset, page
from evalbackend.web.site import site

HOME = "/ui/"
SDK = "/o/"
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#2f6f5e" d="M1 1h14v14H1z"/>'
    '<path fill="none" stroke="#fff" stroke-width="2" d="M4 8l3 3 5-6"/></svg>'
)
_BODY = 4096


async def sign_in(request: Request) -> Response:
    """Let in who comes by the printed link; the code leaves the address at once."""
    code = request.query_params.get("code") or request.query_params.get("token")
    onward = _onward(request.query_params.get("next"))
    if code is None:
        return _to(onward) if site(request).door.knows(request) else ask(request, onward)
    if not site(request).door.opens(code):
        return ask(
            request, onward, "The code in this link is not that of this server. Use its latest link.", 401
        )
    return site(request).door.let_in(_to(onward))


async def check(request: Request) -> Response:
    """Let in who knows the token."""
    form = parse_qs((await _body(request)).decode("utf-8", "replace"))
    given, onward = (form.get(name, [""])[0] for name in ("token", "next"))
    onward = _onward(onward)
    if not site(request).door.opens(given):
        return ask(request, onward, "That is not the token of this server.", 401)
    return site(request).door.let_in(_to(onward))


def lead_in(request: Request, onward: str) -> Response:
    """Ask a visitor to sign in, and lead on to the page from there."""
    if onward.startswith(SDK):
        # The SDK prints these links: who follows one is led to the page by way of the sign-in, and not refused.
        return _to(f"/login?{urlencode({'next': onward})}")
    return ask(request, onward, status=401)


def _onward(told: str | None) -> str:
    """Return where to go after signing in: only ever a page of ours."""
    return told if told and told.startswith(("/ui/", SDK)) and "\\" not in told else HOME


async def sign_out(request: Request) -> Response:
    """Take the cookie back."""
    return site(request).door.let_out(_to("/login"))


def ask(request: Request, onward: str, problem: str = "", status: int = 200) -> Response:
    """Return the sign-in page."""
    # A link from another site does not carry our cookie: the page asks once more by itself.
    again = not problem and request.headers.get("sec-fetch-site") == "cross-site"
    return page(request, "sign_in.html", status, onward=onward, problem=problem, again=again)


async def file(request: Request) -> Response:
    """Return the style sheet, the script or the icon."""
    kinds = {"style.css": "text/css", "page.js": "text/javascript"}
    name = request.path_params["name"]
    if name == "icon.svg":
        return asset(_ICON, "image/svg+xml")
    if name not in kinds:
        raise HttpError(404, "there is no such file")
    return asset(
        resources.files(__package__).joinpath("static").joinpath(name).read_text(encoding="utf-8"),
        kinds[name],
    )


async def home(_: Request) -> Response:
    """Lead from the bare address to the pages."""
    return _to(HOME)


def _to(address: str) -> Response:
    return RedirectResponse(address, 303, HEADERS)


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY:
            raise HttpError(413, "the form is too long")
    return body
