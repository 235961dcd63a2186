"""Serve the backend on a socket until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator, Mapping
from functools import partial
from pathlib import Path

import uvicorn

from evalbackend.app import create_app
from evalbackend.faults import load
from evalbackend.http.connections import BACKLOG, Connection, Limits, Places
from evalbackend.http.gate import LOOPBACK

_KEEP_ALIVE_S = 120  # longer than a worker is silent: a connection closed under it costs a retry
_HEADERS = 256 * 2**10  # a hundred ids in a query string are 4 KB, and some callers pass thousands
_GRACE_S = 10
_TICK_S = 0.1  # between two of uvicorn's ticks
_TICKS = 5  # between two calls of stop()
LIMITS = Limits()


def serve(
    store: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str,
    faults: Path | None = None,
    ready: Callable[[str], None] | None = None,
    stop: Callable[[], bool] | None = None,
    admin_token: str | None = None,
    flags: Mapping[str, bool] | None = None,
    read_only: bool = False,
    prices: Path | None = None,
    limits: Limits = LIMITS,
) -> None:
    """Run the server until SIGTERM, SIGINT or until `stop()` is true; then end what is in flight, and return.

    `ready(url)` is called once, when connections are accepted; port 0 takes a free port. `stop` is
    asked about twice a second and must not block. Signals are heeded only in the main thread.
    ValueError without a token, ConfigError for a bad table of prices, StoreError for a store that cannot be
    opened, OSError for a port in use.
    """
    if not token:
        raise ValueError("the backend needs a token: without one, everybody could read and write the store")
    plan = load(faults) if faults is not None else None
    listener = _listen(host, port)
    try:
        hosts = (*LOOPBACK, host) if _is_loopback(host) else None
        app = create_app(
            store,
            token,
            plan,
            admin_token=admin_token,
            allowed_hosts=hosts,
            flags=flags,
            read_only=read_only,
            prices=prices,
        )
    except BaseException:
        listener.close()
        raise
    config = uvicorn.Config(
        app,
        # uvicorn only ever calls it, and its annotation names a class.
        http=partial(Connection, places=Places(limits)),  # type: ignore[arg-type]
        backlog=BACKLOG,
        ws="none",
        loop="asyncio",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        h11_max_incomplete_event_size=_HEADERS,
    )
    url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    try:
        asyncio.run(_Server(config, url, limits, ready, stop).serve(sockets=[listener]))
    finally:
        listener.close()
        app.state.state.store.close()  # again, for the case that it never came to an orderly shutdown


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without, every second answer waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        url: str,
        limits: Limits,
        ready: Callable[[str], None] | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        super().__init__(config)
        self._url = url
        self._looks = max(1, round(limits.stall_s / _TICK_S))
        self._ready = ready
        self._stop = stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._ready is not None:
            self._ready(self._url)

    async def on_tick(self, counter: int) -> bool:
        if self._stop is not None and counter % _TICKS == 0 and self._stop():
            self.should_exit = True
        if counter % self._looks == 0:
            for connection in list(self.server_state.connections):
                assert isinstance(connection, Connection)
                connection.look()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        # uvicorn raises the signal again when it has shut down; here an orderly end is a plain return.
        with super().capture_signals():
            yield
            self._captured_signals.clear()
