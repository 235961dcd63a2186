"""Connections that can be broken from outside when their time is up; nothing here knows what is sent."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Deadline:
    """Breaks this thread's connection when its time is up.

    A socket's timeout starts anew with every byte, so that a server which sends one byte in ten seconds would
    hold us for ever. Shutting the socket down from outside ends whatever call waits in it.
    """

    def __init__(self, seconds: float) -> None:
        self.expired = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        _current.deadline = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _current.deadline = None
        self._drop()

    def watch(self, connection: socket.socket) -> None:
        """Take the connection under guard, by a second handle that a wrapping in TLS leaves valid."""
        self._drop()
        with self._lock:
            self._socket = socket.socket(fileno=os.dup(connection.fileno()))
            if self.expired:
                self._shut()

    def _expire(self) -> None:
        with self._lock:
            self.expired = True
            self._shut()

    def _shut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # it has ended by itself
                self._socket.shutdown(socket.SHUT_RDWR)

    def _drop(self) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


class _Current(threading.local):
    deadline: Deadline | None = None


_current = _Current()


class _Guarded(HTTPConnection):
    """Shows its socket to the guard of the exchange: when it is made, and when it is used again."""

    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        if _current.deadline is not None:
            _current.deadline.watch(connection)
        return connection

    def putrequest(self, *args: Any, **kwargs: Any) -> None:
        if _current.deadline is not None and self.sock is not None:
            _current.deadline.watch(self.sock)
        super().putrequest(*args, **kwargs)


class _GuardedTls(_Guarded, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTls


_POOLS = {"http": _HttpPool, "https": _HttpsPool}


class Adapter(HTTPAdapter):
    """Requests' own, with connections that can be guarded."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # those bring connections of their own, unguarded
            manager.pool_classes_by_scheme = _POOLS
        return manager
