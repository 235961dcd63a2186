"""A service that takes everything and keeps nothing but counts: what an upload costs beside it is the sender's.

python scripts/bench/sink.py        prints its address; GET /counts tells requests, bytes and connections
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_INFO = {
    "version": "0.12.0",
    "instance_flags": {"zstd_compression_enabled": True},
    "batch_ingest_config": {
        "use_multipart_endpoint": True, "size_limit": 100, "size_limit_bytes": 20971520,
        "scale_up_nthreads_limit": 16, "scale_up_qsize_trigger": 1000, "scale_down_nempty_trigger": 4,
    },
}  # fmt: skip


class Sink(ThreadingHTTPServer):
    """Counts."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.counts = {"requests": 0, "bytes": 0}
        self.sessions: dict[str, dict[str, Any]] = {}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Sink

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/info":
            return self._answer(200, _INFO)
        if url.path == "/counts":
            return self._answer(200, self.server.counts)
        names = parse_qs(url.query).get("name", [])
        found = [one for one in self.server.sessions.values() if not names or one["name"] in names]
        return self._answer(200, found)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if urlsplit(self.path).path == "/sessions":
            made = json.loads(body)
            self.server.sessions[made["id"]] = made
            return self._answer(200, made)
        with self.server.lock:
            self.server.counts["requests"] += 1
            self.server.counts["bytes"] += len(body)
        return self._answer(202, {})

    do_PATCH = do_POST  # noqa: N815 - as the base class calls it

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serve until the process is ended."""
    sink = Sink()
    print(f"http://127.0.0.1:{sink.server_address[1]}", flush=True)
    sink.serve_forever()


if __name__ == "__main__":
    main()
