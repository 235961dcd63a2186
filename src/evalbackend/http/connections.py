"""Connections: who does not go on is let go, and there are only so many places.

A client has the turn while it sends a head, sends a body or takes in an answer. In each of these it must
come forward: a head within `stall_s`, of the others `progress` bytes per `stall_s` or the end. All
connections are looked at once per `stall_s`, so that it may take up to twice as long to be let go. While
the server has the turn, or has stopped reading, no time counts; idle keep-alive is uvicorn's to end.
"""

from __future__ import annotations

import resource
import socket
import struct
from dataclasses import dataclass
from typing import Any

import h11
import orjson
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from evalbackend.http.gate import answered

BACKLOG = 256  # so many are accepted at one time
_OTHER_FILES = 64
_FULL = "this server has no place for another connection: try again"


@dataclass(frozen=True, slots=True)
class Limits:
    """What connections may cost; the defaults let an uplink of 3 kbit/s pass."""

    stall_s: float = 60.0
    """Seconds in which a client that has the turn must come forward."""
    progress: int = 16 * 2**10
    """Bytes of a body or an answer that are coming forward."""
    connections: int = 1000
    """Places; fewer where the process may not open so many files."""


class Places:
    """The places for connections; where none is free, who has been idle for the longest makes room."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        room = limits.connections if files == resource.RLIM_INFINITY else files - BACKLOG - _OTHER_FILES
        self._most = max(1, min(limits.connections, room))
        self._idle: dict[Connection, None] = {}

    def take(self, taken: int) -> bool:
        """Tell whether there is a place for one more, itself among the `taken`, and make it."""
        if taken <= self._most:
            return True
        oldest = next(iter(self._idle), None)
        if oldest is None:
            return False
        oldest.turn_away(503, _FULL)
        return True

    def idle(self, one: Connection, yes: bool) -> None:
        """Hear that a connection has no request, or has one."""
        self._idle.pop(one, None)
        if yes:
            self._idle[one] = None


class Connection(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with limits, and with a way for a fault plan to cut the connection."""

    def __init__(self, *args: Any, places: Places, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._inner, self.app = self.app, self._serve
        self._places = places
        self._has_place = True
        self._received = 0
        self._resumed = 0
        self._before: tuple[str, object, int, int] | None = None

    def connection_made(self, transport: Any) -> None:
        """Take a place, if there is one."""
        super().connection_made(transport)
        self._has_place = self._places.take(len(self.connections))
        self._places.idle(self, True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._places.idle(self, False)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what comes."""
        self._received += len(data)
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._places.idle(self, False)

    def on_response_complete(self) -> None:
        """Be idle again."""
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._places.idle(self, True)

    def resume_writing(self) -> None:
        """Hear that the client has taken in most of what was waiting for it."""
        self._resumed += 1
        super().resume_writing()

    def look(self) -> None:
        """Let the client go if it has had the turn since the last look and has not come forward."""
        before, self._before = self._before, self._standing()
        if before is None or self._before is None or before[:3] != self._before[:3]:
            return
        if self._before[3] - before[3] >= self._places.limits.progress:
            return
        if self._before[0] == "answer":
            self._reset()
        else:
            self.turn_away(408, f"nothing more of the request came for {self._places.limits.stall_s:g} s")

    def turn_away(self, status: int, detail: str) -> None:
        """Answer in the place of the application, if it has not begun to, and hang up."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._places.idle(self, False)
        body = orjson.dumps({"detail": detail})
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
        }
        head = h11.Response(status_code=status, headers=[*headers.items(), ("retry-after", "1")])
        try:
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:
            self.transport.abort()
        self.transport.close()

    def _reset(self) -> None:
        # Otherwise the kernel would keep what it has of the answer, and offer it for minutes.
        end = self.transport.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _standing(self) -> tuple[str, object, int, int] | None:
        """Return what the client is at, of which request, and how far; None if it has not the turn."""
        if waiting := self.transport.get_write_buffer_size():
            return "answer", self.cycle, self._resumed, -waiting
        if self.conn.their_state is h11.IDLE and (
            self.timeout_keep_alive_task is None or self.conn.trailing_data[0]
        ):
            return "head", self.cycle, 0, 0
        if self.conn.their_state is h11.SEND_BODY and not self.flow.read_paused:
            return "body", self.cycle, 0, self._received
        return None

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["evalrunner.abort"] = self.transport.abort
            if not self._has_place:
                await answered(send, 503, _FULL, {"retry-after": "1", "connection": "close"})
                return
        await self._inner(scope, receive, send)
