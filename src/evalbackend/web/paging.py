"""Pages of a list, and what a query string may say."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from evalbackend.errors import HttpError
from evalbackend.http.state import path_id
from evalbackend.wire.values import uuid_text


@dataclass(frozen=True, slots=True)
class Pages:
    """Where one is in a list."""

    page: int
    size: int
    total: int

    @property
    def last(self) -> int:
        """The number of the last page."""
        return max(1, -(-self.total // self.size))

    @property
    def first_row(self) -> int:
        """The number of the first row shown."""
        return min((self.page - 1) * self.size + 1, self.total)

    @property
    def last_row(self) -> int:
        """The number of the last row shown."""
        return min(self.page * self.size, self.total)


def page_number(request: Request, name: str = "page") -> int:
    """Return the page asked for; nonsense is the first."""
    value = request.query_params.get(name, "")
    return max(1, int(value)) if value.isascii() and value.isdigit() and len(value) < 7 else 1


def choice(request: Request, name: str, known: dict[str, str], default: str) -> str:
    """Return a known word of the query string, else the default."""
    value = request.query_params.get(name, "")
    return value if value in known else default


def words(request: Request, name: str) -> str:
    """Return a short text of the query string."""
    return request.query_params.get(name, "").strip()[:200]


def wanted(request: Request, name: str = "id") -> str:
    """Return an id of the path; 404 if it is none: no page is there."""
    try:
        return path_id(request, name)
    except HttpError:
        raise HttpError(404, "there is no such page") from None


def wanted_query(request: Request, name: str) -> str:
    """Return an id of the query string; 404 if it is none."""
    try:
        return uuid_text(request.query_params.get(name), name)
    except HttpError:
        raise HttpError(404, f"the address must name an experiment as {name}") from None
