"""The embedded backend: found or started when a command needs it, gone a second after the last one ended.

The server is a process of its own, in a session of its own, so that Ctrl-C in the terminal ends the run and
not the place that its traces go to. Every race is settled by `server.lock`: a user registers and looks for a
server under it, and a server leaves under it, after looking for users once more.
"""

from __future__ import annotations

import http.client
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO
from urllib.parse import urlsplit

from evalrunner.clock import SYSTEM
from evalrunner.config import Endpoint
from evalrunner.connect.state import Server, State
from evalrunner.engines.processes import alive
from evalrunner.errors import RunFolderError, ServiceError
from evalrunner.interpreter import away_from_here
from evalrunner.shortage import shortage

START_TIMEOUT = 60.0  # a login node that a hundred people use takes a while to import a web framework
_ANSWER_TIMEOUT = 5.0
_LOG_LIMIT = 5_000_000


class Embedded:
    """The local backend over one store, for as long as the `with` block lasts."""

    def __init__(self, store: Path, *, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Take a store; `meanwhile` is called while the server starts."""
        self._store = store.absolute()
        self._state = State.of(self._store)
        self._meanwhile = meanwhile
        self._tenant: Path | None = None

    def __enter__(self) -> Endpoint:
        self._state.prepare()
        try:
            with self._state.lock("server.lock", wait=START_TIMEOUT + 10) as held:
                server = self._registered(held)
            self._meanwhile()
        except OSError as error:
            self._leave()
            found = shortage(error, self._state.folder)
            raise RunFolderError(
                f"cannot work in {self._state.folder}: {found.cause}; {found.remedy} (--store names another place)"
            ) from None
        except BaseException:
            self._leave()
            raise
        return Endpoint(server.url, key=server.token, local=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._tenant:
            self._tenant.unlink(missing_ok=True)
            self._tenant = None

    def _registered(self, held: bool) -> Server:
        """Register as a user, then return the server; under the lock, so that it cannot leave in between."""
        if not held:
            raise ServiceError(f"another command holds {self._state.folder}/server.lock and does not end")
        self._tenant = self._state.enter()
        return self._found() or self._start()

    def _found(self) -> Server | None:
        """Return the server that has the store already; end one that no longer answers."""
        server = self._state.server()
        if server is None:
            return None
        if server.host != socket.gethostname():
            self._check_gone(server)
        elif alive(server.pid, server.birth):
            if answers(server):
                return server
            self._replace(server)
        self._state.forget()
        return None

    def _check_gone(self, server: Server) -> None:
        """Refuse to start beside a server on another host of a shared disk, where its pid means something."""
        with self._state.lock("store.lock", wait=0.0) as free:
            if not free:
                raise ServiceError(
                    f"the store {self._store} is served on {server.host} (pid {server.pid}); "
                    "work there, or name another file with --store"
                )

    def _replace(self, server: Server) -> None:
        others = [pid for pid in self._state.tenants() if pid != os.getpid()]
        if others:
            raise ServiceError(
                f"the local backend (pid {server.pid}) does not answer, and pid {others[0]} still uses it; "
                f"its log: {self._state.log}"
            )
        os.kill(server.pid, signal.SIGKILL)

    def _start(self) -> Server:
        reader, writer = os.pipe()
        try:
            process = self._spawn(writer)
        finally:
            os.close(writer)
        with os.fdopen(reader, "rb") as ready:
            self._meanwhile()
            self._meanwhile = lambda: None
            self._wait(process, ready.fileno())
        # It outlives us on purpose; with a status Python does not complain of that.
        process.returncode = 0
        server = self._state.server()
        assert server is not None, "it announced itself before it said that it is ready"
        return server

    def _spawn(self, ready: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "EVALRUNNER_TOKEN": secrets.token_urlsafe(32)}
        code = away_from_here("from evalrunner.connect.embedded_server import main; main(sys.argv[1:])")
        command = [sys.executable, "-c", code, str(self._store), str(ready)]
        with self._open_log() as log:
            return subprocess.Popen(
                command, env=environment, pass_fds=[ready], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def _open_log(self) -> IO[bytes]:
        descriptor = os.open(self._state.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if os.fstat(descriptor).st_size > _LOG_LIMIT:
            os.ftruncate(descriptor, 0)
        return os.fdopen(descriptor, "ab")

    def _wait(self, process: subprocess.Popen[bytes], ready: int) -> None:
        said = select.select([ready], [], [], START_TIMEOUT)[0]
        if said and os.read(ready, 1):
            return
        how = "ended at once" if said else f"was not ready within {START_TIMEOUT:.0f} s"
        process.kill()
        process.wait()
        raise ServiceError(f"the local backend {how}{self._last_words()}; its log: {self._state.log}")

    def _last_words(self) -> str:
        lines = self._state.log.read_text(errors="replace").split("\n") if self._state.log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f" ({last[:200]})" if last else ""


def answers(server: Server) -> bool:
    """Tell whether a server answers at all; a refused connection is tried again while the process ends."""
    deadline = SYSTEM.monotonic() + _ANSWER_TIMEOUT
    while SYSTEM.monotonic() < deadline:
        try:
            return _info(server) == 200
        except ConnectionRefusedError:
            if not alive(server.pid, server.birth):
                return False
            time.sleep(0.05)
        except (OSError, http.client.HTTPException):
            return False
    return False


def _info(server: Server) -> int:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=_ANSWER_TIMEOUT)
    try:
        connection.request("GET", "/info", headers={"x-api-key": server.token})
        return connection.getresponse().status
    finally:
        connection.close()
