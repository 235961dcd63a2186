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
import time
from collections.abc import Callable, Iterator
from types import FrameType

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
        due: when an end is asked for by the clock (monotonic seconds): the job is about to end.

    Attributes:
        asked: the signals.
        interrupts: whether a signal interrupts besides, as Ctrl-C does in any program.
        due: as given.
    """

    def __init__(self, due: float = math.inf) -> None:
        self.asked: list[int] = []
        self.interrupts = False
        self.due = due
        self._since = self._last = -math.inf

    def __call__(self) -> int:
        """Return how often."""
        if not self.asked and time.monotonic() >= self.due:
            self.time_is_up()
        return len(self.asked)

    def time_is_up(self) -> None:
        """Ask for an end: what is left of the job's time is of no use for anything new."""
        if not self.asked:
            self._since = time.monotonic()
            self.asked.append(TIME)

    def hear(self, number: int) -> None:
        """Count a signal, unless it is an echo. For a signal's handler: no locks, no output."""
        now = time.monotonic()
        if self.asked and number != signal.SIGINT and now - self._last < ECHO:
            return
        self._since = self._since if self.asked else now
        self._last = now
        if self.asked == [TIME] and number != signal.SIGINT:
            self.asked.clear()  # it says what we knew: the job's time comes to its end
        self.asked.append(number)

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """Let signals interrupt, where nothing has begun that would need an orderly end."""
        self.interrupts = True
        try:
            yield
        finally:
            self.interrupts = False

    def left(self, seconds: float) -> float:
        """Return what is left of so many seconds since the first; none after a second one."""
        if not self():
            return math.inf
        return 0.0 if len(self.asked) > 1 else max(0.0, self._since + seconds - time.monotonic())


class _Answering(Stops):
    """Whoever asks first after a signal lets `say` answer it: not the handler, which may have interrupted it."""

    def __init__(
        self, say: Callable[[str], None], seconds: float, due: float = math.inf, ending: str = ""
    ) -> None:
        super().__init__(due)
        self._say, self._seconds, self._ending = say, seconds, ending
        self._heard = 0

    def __call__(self) -> int:
        super().__call__()
        for answer in (self._stopping(), KILLING)[self._heard : len(self.asked)]:
            self._heard += 1
            self._say(answer)
        return len(self.asked)

    def _stopping(self) -> str:
        if self.asked and self.asked[0] == TIME:
            why, more = self._ending, "Ctrl-C"
        else:
            why, more = signal.Signals(self.asked[0]).name if self.asked else "", "a second Ctrl-C"
        return (
            f"stopping ({why}): nothing new is begun, and what has begun has up to {self._seconds:.3g} s "
            f"(--drain-timeout); {more} kills what is in flight"
        )


@contextlib.contextmanager
def counted_signals(
    say: Callable[[str], None], drain_timeout: float, due: float = math.inf, ending: str = ""
) -> Iterator[Stops]:
    """Yield how often the user has asked for an end; in another than the main thread, only the clock does.

    Args:
        due: when the clock does (monotonic seconds); `ending` says why.

    Once: finish what ends within `drain_timeout` seconds. Twice: kill the workers (what is in their spools is safe).
    Three times: end at once; everything that matters is on disk.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _Answering(say, drain_timeout, due, ending)
        return
    stops = _Answering(say, drain_timeout, due, ending)

    def handler(number: int, _: FrameType | None) -> None:
        stops.hear(number)
        if len(stops.asked) > 2:
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
