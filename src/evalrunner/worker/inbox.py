"""The worker's end of the pipe: orders come in on a thread of their own, messages go out from any."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from evalrunner.protocol.messages import Message, decode, encode
from evalrunner.protocol.orders import Begin, Drain, Lease, LeasedItem, Retire, Stop, Trust
from evalrunner.worker.leaving import leave
from evalrunner.worker.prelude import die_with_group
from evalrunner.worker.ward import Ward


class Inbox:
    """Orders from the supervisor, and the leases that no lane has taken yet.

    Attributes:
        ward: the failures that wait for a verdict of the supervisor's.
    """

    def __init__(self, connection: Any, send: Callable[[Message], None]) -> None:
        self._connection = connection
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._items: deque[LeasedItem] = deque()
        self._changed = asyncio.Condition()
        self._begin: asyncio.Future[Begin | None] = self._loop.create_future()
        self._closed = False
        self.ward = Ward(self._wake)
        self.hungry = 0
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                message = decode(self._connection.recv_bytes())
                self._loop.call_soon_threadsafe(self._take, message)
            except (EOFError, OSError):
                die_with_group()  # the supervisor is gone
            except BaseException as error:
                leave(self._send, f"it cannot take orders any more ({type(error).__name__}: {error})")

    def _take(self, message: Message) -> None:
        if isinstance(message, Begin):
            self._begin.set_result(message)
        elif isinstance(message, Lease):
            self._items.extend(message.items)
        elif isinstance(message, Trust):
            self.ward.believe(message.kinds)
        elif isinstance(message, (Drain, Stop, Retire)):
            self._closed = True
            if not self._begin.done():
                self._begin.set_result(None)
            if not isinstance(message, Drain):
                self._items.clear()
                self.ward.forget()
        self._wake()

    def _wake(self) -> None:
        self._notify_task = self._loop.create_task(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def begin(self) -> Begin | None:
        """Wait for the experiment; None: this worker is not needed any more, and there may be none."""
        return await self._begin

    async def next_item(self) -> LeasedItem | None:
        """Wait for a leased item; None when no more will come."""
        if self._items and not self.ward.full:
            return self._items.popleft()
        async with self._changed:
            while not self._items or (self.ward.full and not self._closed):
                if self._closed:
                    return None
                self.hungry += 1
                try:
                    await self._changed.wait()
                finally:
                    self.hungry -= 1
            return self._items.popleft()

    def starving(self) -> bool:
        """Whether a lane waits for an item."""
        return self.hungry > 0


def sender_of(connection: Any) -> Callable[[Message], None]:
    """Return what puts a message on the pipe; if the supervisor is gone, so are we."""
    lock = threading.Lock()

    def send(message: Message) -> None:
        with lock:
            try:
                connection.send_bytes(encode(message))
            except OSError:
                die_with_group()

    return send
