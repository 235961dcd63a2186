"""The sender: takes durable records and sends them until the service has taken them, or never will.

One piece of code, wherever records are sent from: the worker's own spool, a dead worker's, a resumed run's. What is
sent when, and what an answer means, is the machine's to say (machine.py); here are its thread, its clock and its I/O.

A record that is refused stays in its spool: it can be sent again by a later run. Only what is durable may be
offered: a record that was sent and then lost by a power cut would be executed, and visible, twice.
"""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Callable, Sequence

from evalrunner.clock import SYSTEM, Clock
from evalrunner.delivery.listener import DeliveryListener
from evalrunner.delivery.sending.exchange import Exchange, Transport
from evalrunner.delivery.sending.machine import Accepted, Note, Refused, Send, SendMachine, Told
from evalrunner.delivery.sending.queue import SendQueue
from evalrunner.delivery.spool.writer import Entry

#: What this process, and not a record, is short of: descriptors, memory.
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class Sender:
    """Sends the records of one spool on a thread of its own. A forked child must not use its parent's.

    Args:
        read_body: returns a record's body; what it raises refuses the record, unless descriptors or memory are
            short: then it is sent later.
        boundary: of the spool.
        listener: hears, on the sender's thread, what becomes of each record.
        max_batch_bytes, max_batch_ops: of one request, unpacked; a single record may be larger.
        linger: seconds that the first record of a batch waits for company.
        deadline: seconds without any success after which everything pending is refused. Each later batch is
            tried once, until one is taken. No request lasts longer than what is left of it.
        probe_interval: seconds between two tries while the key is refused.
        patient: the time for which the service asks to be left alone does not count towards the deadline.
    """

    def __init__(
        self,
        transport: Transport,
        read_body: Callable[[Entry], bytes],
        boundary: str,
        listener: DeliveryListener,
        *,
        clock: Clock = SYSTEM,
        compress: bool = True,
        max_batch_bytes: int = 4 << 20,
        max_batch_ops: int = 1000,
        linger: float = 0.05,
        deadline: float = 900.0,
        probe_interval: float = 30.0,
        patient: bool = False,
        rng: random.Random | None = None,
    ) -> None:
        self._read_body, self._listener, self._clock = read_body, listener, clock
        self._exchange = Exchange(transport, boundary, compress=compress)
        self._queue = SendQueue(max_bytes=max_batch_bytes, max_ops=max_batch_ops, linger=linger)
        rng = rng or random.Random()  # noqa: S311  (scatters delays, guards nothing)
        self._machine = SendMachine(
            self._queue, deadline=deadline, probe_interval=probe_interval, patient=patient, rng=rng
        )
        self._closed = False
        self._lock = threading.Lock()  # of the machine
        self._work = threading.Condition(self._lock)  # the sender waits here
        self._settled = threading.Condition(self._lock)  # wait_idle() waits here
        self._thread = threading.Thread(target=self._run, name="evalrunner-sender", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Records offered and neither accepted nor refused."""
        with self._lock:
            return len(self._queue.pending)

    def offer(self, entries: list[Entry]) -> None:
        """Take durable records to send. What is pending already is not taken twice."""
        with self._lock:
            self._queue.offer(entries, self._clock.monotonic())
            self._work.notify()

    def flush(self) -> None:
        """Send what is there without waiting for company."""
        with self._lock:
            self._queue.flush()
            self._work.notify()

    def wait_idle(self, timeout: float | None = None) -> bool:
        """Wait until every offered record has been accepted or refused, or the sender is stopped.

        Returns:
            Whether nothing is pending.
        """
        with self._lock:
            self._settled.wait_for(lambda: not self._queue.pending or self._closed, timeout)
            return not self._queue.pending

    def undelivered(self) -> list[Entry]:
        """Return the pending records in the order of the spool; refused ones are not among them."""
        with self._lock:
            return self._queue.in_order()

    def stop(self, timeout: float | None = 30.0) -> bool:
        """Stop sending; what is pending stays so.

        Returns:
            False if a request is still under way after `timeout` seconds: its records may yet be accepted.
        """
        with self._lock:
            self._closed = True
            self._work.notify()
            self._settled.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while step := self._next():
            send, told = step
            self._tell(told)
            if send is None:
                continue
            entries = send.batch.entries
            try:
                self._send(send)
            except Exception as error:  # ours: these records fail, the others must not
                self._fail(entries, error)

    def _next(self) -> tuple[Send | None, list[Told]] | None:
        """Sleep until there is something to send or to tell; None means stop."""
        with self._lock:
            while not self._closed:
                step, told = self._machine.next(self._clock.monotonic())
                if isinstance(step, Send):
                    return step, told
                if told:
                    return None, told
                until = step.until
                self._work.wait(None if until is None else max(0.0, until - self._clock.monotonic()))
        return None

    def _send(self, send: Send) -> None:
        """Send a batch once, and take in what came of it."""
        try:
            bodies = self._bodies(send)
        except OSError as error:
            with self._lock:
                told = self._machine.short(send, error, self._clock.monotonic())
        else:
            if not bodies:
                return
            reply = self._exchange.post(send.batch, bodies, send.limit)
            with self._lock:
                told = self._machine.answered(send, reply, self._clock.monotonic())
        self._tell(told)

    def _bodies(self, send: Send) -> list[bytes]:
        """Read a batch; what cannot be read is refused by name, and is no part of it any more.

        Raises:
            OSError: this process is short of descriptors or memory, which says nothing of the record.
        """
        bodies = []
        for entry in list(send.batch.entries):
            try:
                bodies.append(self._read_body(entry))
            except Exception as error:
                if isinstance(error, OSError) and error.errno in _SHORT:
                    raise
                with self._lock:
                    told = self._machine.unreadable(send.batch, entry, error)
                self._tell(told)
        return bodies

    def _tell(self, told: Sequence[Told]) -> None:
        """Tell the listener; what it raises fails the records that it was told of, and no others."""
        for one in told:
            try:
                self._tell_one(one)
            except Exception as error:
                self._fail(one.entries if isinstance(one, Accepted) else [], error)

    def _tell_one(self, one: Told) -> None:
        # Settled after it was told: who waits for idle sees true books.
        if isinstance(one, Note):
            self._listener.note(one.text)
        elif isinstance(one, Accepted):
            self._listener.accepted(one.entries)
            self._settle(one.entries)
        elif isinstance(one, Refused):
            try:
                self._listener.refused(one.entry, one.why)
            finally:  # nobody would wait for it in vain
                self._settle([one.entry])

    def _fail(self, entries: Sequence[Entry], error: Exception) -> None:
        with self._lock:
            told = self._machine.broken(entries, error)
        for one in told:
            self._tell_one(one)

    def _settle(self, entries: Sequence[Entry]) -> None:
        with self._lock:
            self._queue.settle(entries)
            if not self._queue.pending:
                self._settled.notify_all()
