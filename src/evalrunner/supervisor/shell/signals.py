"""A signal that asks for an end is counted, not obeyed: the loop looks, and ends in good order.

Batch systems have many words for it: SIGTERM (`scancel`, the time limit, preemption), SIGUSR1 or SIGUSR2 some time
before (`sbatch --signal`, SGE's `-notify`), SIGXCPU (SGE's and LSF's limits), and a terminal that is closed SIGHUP.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from evalrunner.clock import SYSTEM, Clock
from evalrunner.supervisor.setup.walltime import TimeLeft

#: Each of them asks for an end.
STOPS = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU,
)  # fmt: skip
#: Taken over from whoever handles them; the others only where nobody does, and nobody has said `nohup`.
_OURS = (signal.SIGINT, signal.SIGTERM)
#: What nobody has set: the system's way, or that of our own command (`__main__`).
_FREE = (signal.SIG_DFL, signal.default_int_handler)
#: Seconds within which further signals are the same request: a shell passes on what the kernel has sent already.
#: Not those of Ctrl-C, which a human repeats on purpose.
ECHO = 1.0
#: Among the signals: nobody has sent one, but the job's time is over.
TIME = 0
KILLING = "killing what is in flight; what was finished is safe on disk"


class Stops:
    """How often an end was asked for so far, and since when.

    Args:
        drain: seconds from the first signal to the end.
        job: what the run may take of its job: the clock asks for an end, too.

    Attributes:
        asked: the signals.
        interrupts: whether a signal interrupts besides, as Ctrl-C does in any program.
    """

    def __init__(self, drain: float = math.inf, job: TimeLeft | None = None, clock: Clock = SYSTEM) -> None:
        self.asked: list[int] = []
        self.interrupts = False
        self._drain, self._clock = drain, clock
        self._due, self._until = (math.inf, math.inf) if job is None else (job.items_end, job.until)
        self._since = self._last = -math.inf

    def __call__(self) -> int:
        """Return how often."""
        if not self.asked and self._clock.monotonic() >= self._due:
            self.time_is_up()
        return len(self.asked)

    @property
    def by_clock(self) -> bool:
        """Whether nobody asks for an end, but the job's time is nearly over."""
        return self.asked == [TIME]

    def time_is_up(self) -> None:
        """Ask for an end: what is left of the job's time is of no use for anything new."""
        if not self.asked:
            self.asked.append(TIME)

    def hear(self, number: int) -> None:
        """Count a signal, unless it is an echo. For a signal's handler: no locks, no output."""
        now = self._clock.monotonic()
        if self.asked and number != signal.SIGINT and now - self._last < ECHO:
            return
        if not self.asked or (self.by_clock and number != signal.SIGINT):
            # The clock's request, if there was one, was the same; this one may leave less time.
            self._since, self.asked = now, [number]
        else:
            self.asked.append(number)
        self._last = now

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Let signals interrupt, where nothing has begun that would need an orderly end."""
        self.interrupts = True
        try:
            yield
        finally:
            self.interrupts = False

    def left(self) -> float:
        """Return the seconds that a run which is to end still has; none after a second request."""
        if not self():
            return math.inf
        if len(self.asked) > 1:
            return 0.0
        end = self._until if self.by_clock else min(self._since + self._drain, self._until)
        return max(0.0, end - self._clock.monotonic())


class _Answering(Stops):
    """Whoever asks first after a signal lets `say` answer it: not the handler, which may have interrupted it."""

    def __init__(self, say: Callable[[str], None], drain: float, job: TimeLeft | None, clock: Clock) -> None:
        super().__init__(drain, job, clock)
        self._say, self._job = say, job
        self._heard, self._answered = 0, TIME

    def __call__(self) -> int:
        super().__call__()
        if self._heard and self.asked[0] != self._answered:
            self._heard = 0  # a signal, after the clock: it may leave less time
        for answer in (self._stopping, lambda: KILLING)[self._heard : len(self.asked)]:
            self._heard += 1
            self._say(answer())
        return len(self.asked)

    def _stopping(self) -> str:
        first = self._answered = self.asked[0]
        why = str(self._job) if first == TIME else signal.Signals(first).name
        now = self._clock.monotonic()
        left = max(0.0, (self._due if first == TIME else min(self._since + self._drain, self._until)) - now)
        has = f"{left:.0f} s" + (" (--drain-timeout)" if first != TIME and left > self._drain - 1 else "")
        again = "a second Ctrl-C" if first == signal.SIGINT else "Ctrl-C"
        return (
            f"stopping ({why}): nothing new is begun, and what has begun has up to {has}; "
            f"{again} kills what is in flight"
        )


@contextlib.contextmanager
def counted_signals(
    say: Callable[[str], None], drain_timeout: float, job: TimeLeft | None = None, clock: Clock = SYSTEM
) -> Iterator[Stops]:
    """Yield how often the user has asked for an end; in another than the main thread, only the clock does.

    Once: finish what ends within `drain_timeout` seconds. Twice: kill the workers (what is in their spools is safe).
    Three times: end at once; everything that matters is on disk.
    """
    stops = _Answering(say, drain_timeout, job, clock)
    if threading.current_thread() is not threading.main_thread():
        yield stops
        return

    def handler(number: int, _: FrameType | None) -> None:
        stops.hear(number)
        if len(stops.asked) - (TIME in stops.asked) > 2:
            os._exit(128 + number)
        if stops.interrupts:
            raise KeyboardInterrupt

    free = [one for one in STOPS if one in _OURS or signal.getsignal(one) in _FREE]
    before = {number: signal.signal(number, handler) for number in free}
    try:
        yield stops
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextlib.contextmanager
def interrupting_signals() -> Iterator[Stops]:
    """Let SIGTERM interrupt as Ctrl-C does, where nothing has begun that would need an orderly end."""
    if threading.current_thread() is not threading.main_thread():
        yield Stops()
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield Stops()
    finally:
        signal.signal(signal.SIGTERM, before)
