"""One limit for all that send at the same time."""

from __future__ import annotations

import threading

from evalrunner.clock import SYSTEM, Clock
from evalrunner.delivery.sending.exchange import Transport
from evalrunner.delivery.sending.retry import LONGEST_RETRY_AFTER
from evalrunner.delivery.sending.transport import Answer


class Gate:
    """One limit for all lines: when the service asks to be left alone, nobody sends until then."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock, self._lock, self._until = clock, threading.Lock(), 0.0
        self._closing = threading.Event()

    def close(self) -> None:
        """Keep nobody any longer."""
        self._closing.set()

    def wait(self) -> None:
        """Wait until one may send."""
        while (left := self._left()) > 0 and not self._closing.wait(left):
            pass

    def _left(self) -> float:
        with self._lock:
            return self._until - self._clock.monotonic()

    def asked(self, seconds: float) -> None:
        """Note that the service wants to be left alone."""
        with self._lock:
            self._until = max(self._until, self._clock.monotonic() + min(seconds, LONGEST_RETRY_AFTER))


class Gated:
    """A transport that passes the gate."""

    def __init__(self, transport: Transport, gate: Gate) -> None:
        self._transport, self._gate = transport, gate

    def post_multipart(self, body: bytes, boundary: str, *, compress: bool, limit: float) -> Answer:
        """Send one body, when it may be sent."""
        self._gate.wait()
        answer = self._transport.post_multipart(body, boundary, compress=compress, limit=limit)
        if answer.retry_after:
            self._gate.asked(answer.retry_after)
        return answer
