"""A server that answers GET as it was told, whatever a LangSmith would say."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any


class Script(http.server.BaseHTTPRequestHandler):
    """Answers as told by path."""

    answers: dict[str, tuple[int, Any]]
    date: str | None

    def do_GET(self) -> None:
        status, body = self.answers.get(self.path.partition("?")[0], (404, {}))
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Location", "https://elsewhere.example/info")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return what stands in the header Date."""
        return self.date or super().date_time_string(timestamp)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def scripted(date: str | None = None, /, **answers: tuple[int, Any]) -> Iterator[str]:
    """Yield the address of a server that has these answers, by path.

    Args:
        date: what it has for the time.
    """
    told = {f"/{path}": answer for path, answer in answers.items()}
    handler = type("Handler", (Script,), {"answers": told, "date": date})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
