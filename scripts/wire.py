"""Small runs as the SDK puts them on the wire, without the SDK: multipart, zstd, a connection kept open."""

from __future__ import annotations

import http.client
import secrets
import uuid
from collections.abc import Iterable
from urllib.parse import urlsplit

import orjson
import zstandard

_BOUNDARY = "frontier"
_START = "2026-01-02T03:04:05.000006+00:00"
_END = "2026-01-02T03:04:06.000006+00:00"


def post(
    run: str, session: str, *, ended: bool = False, number: int = 0, more: dict[str, str] | None = None
) -> list[bytes]:
    """Return the parts of a root run's create; `ended`: with its outputs and its end; `more`: further fields."""
    seconds = f"2026-01-{number // 86400 % 28 + 1:02}T{number // 3600 % 24:02}:{number // 60 % 60:02}"
    start = f"{seconds}:{number % 60:02}.000006+00:00" if number else _START
    main = {"id": run, "trace_id": run, "dotted_order": f"20260102T030405000006Z{run}", "name": "target"}
    main |= {"run_type": "chain", "session_name": session, "start_time": start, **(more or {})}
    extra = {"metadata": {"number": number}, "runtime": {"sdk": "langsmith-py"}}
    made = [_part(f"post.{run}", main | ({"end_time": _END} if ended else {}))]
    made += [_part(f"post.{run}.inputs", {"x": number}), _part(f"post.{run}.extra", extra)]
    return [*made, _part(f"post.{run}.outputs", {"answer": number})] if ended else made


def patch(run: str) -> list[bytes]:
    """Return the parts of a root run's update: outputs and end."""
    main = {"id": run, "trace_id": run, "dotted_order": f"20260102T030405000006Z{run}", "end_time": _END}
    return [_part(f"patch.{run}", main), _part(f"patch.{run}.outputs", {"answer": run})]


def feedback(run: str, session: str, key: str, score: float) -> bytes:
    """Return the part of a score of a root run."""
    name = new_id()
    body = {"id": name, "run_id": run, "trace_id": run, "session_id": session, "key": key, "score": score}
    return _part(f"feedback.{name}", body)


def _part(name: str, value: object) -> bytes:
    raw = orjson.dumps(value)
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
    )
    return head.encode() + raw + b"\r\n"


def packed(parts: Iterable[bytes]) -> bytes:
    """Return a whole body of parts, compressed."""
    return zstandard.compress(b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode(), 3)


def new_id() -> str:
    """Return a run id; from the system's randomness, so that no two processes draw the same."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


class Line:
    """One connection to a backend."""

    def __init__(self, url: str, token: str, timeout: float = 30.0) -> None:
        self._token = token
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def send(self, body: bytes) -> int:
        """POST a packed body to /runs/multipart and return the status; OSError or HTTPException if cut."""
        kind = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}", "content-encoding": "zstd"}
        return self.ask("POST", "/runs/multipart", body, **kind)[0]

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Send any request and return (status, body)."""
        self._connection.request(method, path, body, {"x-api-key": self._token, **headers})
        answer = self._connection.getresponse()
        return answer.status, answer.read()
