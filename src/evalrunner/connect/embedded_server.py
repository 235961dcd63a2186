"""What runs in the embedded backend's process: `main([STORE, READY_FD])`.

The token comes by the environment, not by argv, which everybody on the machine can read.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from evalrunner.clock import SYSTEM, Clock
from evalrunner.connect.state import Server, State
from evalrunner.engines.processes import born
from evalrunner.errors import RunFolderError

#: Seconds without any user after which the server ends.
IDLE = 1.0
_STORE_WAIT = 15.0


@contextlib.contextmanager
def owning(store: Path, *, wait: float) -> Iterator[State]:
    """Have a store for oneself.

    Args:
        store: its file.
        wait: how long to wait for the server before us to end.

    Raises:
        RunFolderError: another server has it.
    """
    state = State.of(store)
    state.prepare()
    with state.lock("store.lock", wait=wait) as mine:
        if not mine:
            raise RunFolderError(
                f"the store {store} {_holder(state)}; use that one, or another file with --store"
            )
        try:
            yield state
        finally:
            _withdraw(state)


def announcer(state: State, store: Path, token: str) -> Callable[[str], None]:
    """Return what to call with the server's url once it listens."""

    def announce(url: str) -> None:
        state.announce(Server(url, os.getpid(), born(), socket.gethostname(), str(store), token))

    return announce


class Idle:
    """Tells when nobody needs the server any more."""

    def __init__(self, state: State, clock: Clock = SYSTEM) -> None:
        """Watch the tenants of `state`."""
        self._state = state
        self._clock = clock
        self._since: float | None = None

    def __call__(self) -> bool:
        """Return True once no user has been alive for a while, and none can find us any more."""
        now = self._clock.monotonic()
        if self._state.tenants():
            self._since = None
        elif self._since is None:
            self._since = now
        return self._since is not None and now - self._since >= IDLE and self._gone()

    def _gone(self) -> bool:
        with self._state.lock("server.lock", wait=0.0) as held:
            # Who holds the lock is registering, or starting what it takes us for.
            if not held or self._state.tenants():
                return False
            self._state.forget()
            return True


def _holder(state: State) -> str:
    server = state.server()
    return f"is served at {server.url} (pid {server.pid})" if server else "is held by another server"


def _withdraw(state: State) -> None:
    server = state.server()
    if server and server.pid == os.getpid():
        state.forget()


def main(arguments: list[str]) -> None:
    """Serve until nobody needs it."""
    store, ready = Path(arguments[0]), int(arguments[1])
    token = os.environ.pop("EVALRUNNER_TOKEN")
    with owning(store, wait=_STORE_WAIT) as state:
        from evalbackend.errors import BackendError  # noqa: PLC0415 - only after the store is ours
        from evalbackend.serve import serve  # noqa: PLC0415

        announce = announcer(state, store, token)

        def tell(url: str) -> None:
            announce(url)
            os.write(ready, b"1")
            os.close(ready)

        try:
            serve(store, host="127.0.0.1", port=0, token=token, ready=tell, stop=Idle(state))
        except BackendError as error:
            sys.exit(str(error))  # the log's last line, which the command that waits for us shows
