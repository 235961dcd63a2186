"""Real servers for the contract tests: in a thread, or in a process that can be killed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import orjson
import requests
from langsmith import Client

from evalbackend.serve import serve

T = TypeVar("T")
TOKEN = "the-token"
ADMIN = "the-admin-token"
_CHILD = """
import sys
from pathlib import Path
from evalbackend.serve import serve
serve(Path(sys.argv[1]), token=sys.argv[2], admin_token=sys.argv[3], ready=lambda url: print(url, flush=True))
"""


class Backend:
    """A running server, as tests see it."""

    def __init__(self, url: str) -> None:
        self.url = url

    @contextlib.contextmanager
    def client(self, **options: Any) -> Iterator[Client]:
        """A real SDK client, flushed and closed in the end.

        It is given what `GET /info` says: its two threads would ask through one session, which fails now and then
        ("OrderedDict mutated during iteration"), and then it believes in a service that can do nothing.
        """
        info = self.call("GET", "/info").json()
        client = Client(**{"api_url": self.url, "api_key": TOKEN, "info": info, **options})
        try:
            yield client
            client.flush()
        finally:
            client.close()

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """A plain request with the key."""
        headers = {"x-api-key": TOKEN, **options.pop("headers", {})}
        return requests.request(method, self.url + path, headers=headers, timeout=60, **options)

    def multipart(self, body: bytes, **headers: str) -> requests.Response:
        """A POST /runs/multipart of prepared bytes."""
        kind = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.call("POST", "/runs/multipart", data=body, headers={**kind, **headers})

    def truth(self, session: str) -> dict[str, Any]:
        """What arrived, by the admin route."""
        return dict(self._admin("GET", f"/_admin/truth?session={session}"))

    def faults(self, *rules: dict[str, Any], **plan: Any) -> None:
        """Replace the plan of faults, and arm it."""
        self._admin("PUT", "/_admin/faults", {**plan, "fault": list(rules)})

    def report(self) -> dict[str, Any]:
        """What the plan has done."""
        return dict(self._admin("GET", "/_admin/faults"))

    def _admin(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"x-admin-token": ADMIN}
        answer = requests.request(method, self.url + path, json=body, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()


class Process:
    """A server in a process of its own, over a store that outlives it."""

    def __init__(self, store: Path) -> None:
        command = [sys.executable, "-c", _CHILD, str(store), TOKEN, ADMIN]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.backend = Backend(self.process.stdout.readline().strip())

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self._reap()

    def terminate(self) -> int:
        """SIGTERM; return the exit code."""
        self.process.terminate()
        return self._reap()

    def _reap(self) -> int:
        code = self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextlib.contextmanager
def running(store: Path, **options: Any) -> Iterator[Backend]:
    """A server in a thread of this process."""
    urls: list[str] = []
    listening, stop = threading.Event(), threading.Event()

    def ready(url: str) -> None:
        urls.append(url)
        listening.set()

    kept = {"token": TOKEN, "admin_token": ADMIN, "ready": ready, "stop": stop.is_set, **options}
    thread = threading.Thread(target=serve, args=(store,), kwargs=kept)
    thread.start()
    try:
        assert listening.wait(60)
        yield Backend(urls[0])
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def eventually(ask: Callable[[], T], wanted: Callable[[T], bool], seconds: float = 60.0) -> T:
    """Ask again and again until the answer is as wanted; return the last answer."""
    end = time.monotonic() + seconds
    answer = ask()
    while not wanted(answer) and time.monotonic() < end:
        threading.Event().wait(0.02)
        answer = ask()
    assert wanted(answer), answer
    return answer


BOUNDARY = "frontier"


def part(name: str, data: Any, mime: str = "application/json") -> bytes:
    """One part, as the SDK writes it."""
    raw = data if isinstance(data, bytes) else orjson.dumps(data)
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {mime}\r\n'
    return f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw + b"\r\n"


def body(*parts: bytes) -> bytes:
    """A whole multipart body."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def run_id() -> str:
    """A new id."""
    return str(uuid.uuid4())


def post(run: str, session: str, **fields: Any) -> bytes:
    """The create of a root run, complete unless told otherwise."""
    big = {
        name: fields.pop(name) for name in ("inputs", "outputs", "extra", "error", "events") if name in fields
    }
    start = "2026-01-02T03:04:05.000006+00:00"
    main = {"id": run, "trace_id": run, "dotted_order": f"20260102T030405000006Z{run}", "name": "target"}
    main |= {"run_type": "chain", "start_time": start, "end_time": start, "session_name": session, **fields}
    return part(f"post.{run}", main) + b"".join(
        part(f"post.{run}.{name}", value) for name, value in big.items()
    )


def patch(run: str, **fields: Any) -> bytes:
    """The update of a root run."""
    big = {
        name: fields.pop(name) for name in ("inputs", "outputs", "extra", "error", "events") if name in fields
    }
    main = {"id": run, "trace_id": run, "dotted_order": f"20260102T030405000006Z{run}", **fields}
    return part(f"patch.{run}", main) + b"".join(
        part(f"patch.{run}.{name}", value) for name, value in big.items()
    )


def read(backend: Backend, run: str) -> dict[str, Any]:
    """A run, which must be there."""
    answer = backend.call("GET", f"/runs/{run}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def query(backend: Backend, **fields: Any) -> requests.Response:
    """What the older generation of reads answers to a query."""
    answer: requests.Response = backend.call("POST", "/runs/query", json=fields)
    return answer
