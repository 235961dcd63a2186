"""Our end of one worker's pipe. Whatever is done to the other end, the supervisor's loop does not wait for it.

Two threads per worker, one for each direction; both end when the pipe is closed, also if something that the
target has left behind still holds the other end. What has come waits in a short queue, so that a worker which
talks without end fills its own pipe and nobody's memory.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import socket
import threading

from evalrunner.engines.frames import Frames, framed
from evalrunner.protocol.messages import Message, decode, encode

#: Messages of one worker that may wait for the supervisor.
WAITING = 256
#: Looks, a second apart, without a byte of a message that has begun. Looks and not seconds: a batch system may
#: stop and continue the whole job, and then this process sees little of the pause.
SILENT_LOOKS = 60


class WorkerPipe:
    """Sends orders, hears messages; neither waits.

    Attributes:
        broken: why nothing that comes can be understood any more, or "": the worker must end then.
        channel: ready for reading, for `wait`, when there is something to receive (or the end).
    """

    def __init__(self, ours: socket.socket, name: str) -> None:
        self._socket = ours
        self._frames = Frames()
        self._closed = False
        self._over = False
        self._heard: queue.Queue[Message | None] = queue.Queue(WAITING)
        self._orders: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.broken = ""
        self.ended = False
        self.channel, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._threads = [
            threading.Thread(target=self._read, name=f"hears-{name}", daemon=True),
            threading.Thread(target=self._write, name=f"orders-{name}", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def send(self, message: Message) -> None:
        """Give an order; a worker that is gone loses it."""
        self._orders.put(framed(encode(message)))

    def receive(self) -> list[Message]:
        """Return what has come, without waiting."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.channel, 4096):
                pass
        messages: list[Message] = []
        with contextlib.suppress(queue.Empty):
            while (message := self._heard.get_nowait()) is not None:
                messages.append(message)
            self.ended = True
        return messages

    def finish(self, seconds: float) -> None:
        """Wait until everything that a dead worker has said is heard; for what holds the pipe yet, not long."""
        self._threads[0].join(seconds)

    def close(self) -> None:
        """End both threads and let go of every descriptor; what was not heard is lost."""
        if self._closed:
            return
        self._closed = True
        self._orders.put(None)
        with contextlib.suppress(OSError):
            # Also wakes a thread of ours that waits in it.
            self._socket.shutdown(socket.SHUT_RDWR)
        while self._threads[0].is_alive():
            self.receive()  # it may wait for room
            self._threads[0].join(0.01)
        self._threads[1].join()
        self._socket.close()
        os.close(self.channel)
        os.close(self._bell)

    # -- threads -------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while data := self._next():
                for message in map(decode, self._frames.feed(data)):
                    self._tell(message)
        except OSError:
            pass  # it is gone; its end is noticed like any other
        except ValueError as error:
            self.broken = f"what came through its pipe is no message ({error})"[:300]
        self._tell(None)

    def _next(self) -> bytes:
        for _ in range(SILENT_LOOKS):
            if not self._frames.unfinished or self._readable():
                return self._socket.recv(65536)
        raise ValueError(f"it stopped in the middle of one for {SILENT_LOOKS} s")

    def _readable(self) -> bool:
        looked = select.poll()
        looked.register(self._socket, select.POLLIN)
        return bool(looked.poll(1000))

    def _tell(self, message: Message | None) -> None:
        self._heard.put(message)
        with contextlib.suppress(BlockingIOError):  # it has not heard the last ring yet
            os.write(self._bell, b".")

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # it is gone
            while (order := self._orders.get()) is not None:
                self._socket.sendall(order)


def pair() -> tuple[socket.socket, int]:
    """Return our end, and the descriptor of theirs.

    Blocking, whatever default timeout the user's script has set for sockets: both ends wait without limit.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(True)
    theirs.setblocking(True)
    return ours, theirs.detach()
