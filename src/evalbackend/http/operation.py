"""One operation of the API: its address, and all that is to be said of it, where it is answered.

A field is `name:type`; `*` after the type says that there may be several, `!` that it must be there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Endpoint = Callable[[Request], Awaitable[Response]]


class Operation(Route):
    """A route that clients call, with what the OpenAPI document, the gate and a read-only server ask of it.

    Args:
        address: method and path, `GET /runs/{id}`.
        summary, query, body: for the document; `kind` is the body's: an object, a list of them, or parts.
        status: of the answer when all is well.
        unserved: what is answered 501.
        reads: it writes nothing. Only such are served by a server that is read-only.
        public: it asks for no key: it tells no secret, or carries a token or a signature of its own. Whatever
            begins with its path up to the first parameter is let through with it.
    """

    def __init__(
        self,
        address: str,
        endpoint: Endpoint,
        summary: str,
        *,
        query: str = "",
        body: str = "",
        kind: Literal["", "json", "list", "form"] = "",
        status: int = 200,
        unserved: str = "",
        reads: bool = False,
        public: bool = False,
    ) -> None:
        self.method, path = address.split(" ")
        super().__init__(path, endpoint, methods=[self.method])
        self.summary, self.query, self.body, self.kind = summary, query, body, kind
        self.status, self.unserved = status, unserved
        self.reads, self.public = reads, public

    @property
    def address(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"

    @property
    def stem(self) -> str:
        """The path up to its first parameter."""
        return self.path.partition("{")[0]
