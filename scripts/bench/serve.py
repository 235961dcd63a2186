"""Serve the local backend by itself, with the routes that break it and tell the truth (not for production).

    python scripts/bench/serve.py STORE          token and admin token: BENCH_TOKEN, BENCH_ADMIN_TOKEN

Prints its address on the first line, and ends with SIGTERM. GET /_bench/requests answers how many requests there
were, itself left out: counted before anything else sees them, whatever becomes of them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from evalbackend import serve as server
from evalbackend.app import create_app

REQUESTS = "/_bench/requests"


class Counted:
    """Counts requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the count, or count and pass on."""
        if scope["type"] == "http" and scope["path"] == REQUESTS:
            await PlainTextResponse(str(self._requests))(scope, receive, send)
            return
        self._requests += scope["type"] == "http"
        await self._app(scope, receive, send)


def main() -> int:
    """Serve until told to stop."""

    def create_counted(*args: Any, **kwargs: Any) -> Starlette:
        app = create_app(*args, **kwargs)
        app.add_middleware(Counted)
        return app

    with patch.object(server, "create_app", create_counted):
        server.serve(
            Path(sys.argv[1]),
            token=os.environ["BENCH_TOKEN"],
            admin_token=os.environ["BENCH_ADMIN_TOKEN"],
            ready=lambda url: print(url, flush=True),
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
