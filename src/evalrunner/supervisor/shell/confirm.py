"""The third book: asking the experiment, by id, for what it has accepted. A thread of its own.

An item is visible when every run of its trace came back with an end and every score of it came back. Whom to ask
when, and what an answer means, is `Confirming`'s; here are the thread, the clock, and what reads.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

from evalrunner.clock import Clock
from evalrunner.service.errors import words
from evalrunner.supervisor.core.events import Event, Missed, Seen
from evalrunner.supervisor.shell.confirming import PASS, Confirming
from evalrunner.supervisor.shell.look import Found, Wanted, look
from evalrunner.verify.readback import ReadBack, Score

__all__ = ["PASS", "Confirmer", "Wanted"]

logger = logging.getLogger(__name__)


class Confirmer:
    """Confirms items in the background.

    Args:
        post: takes `Seen` events, from this thread; must not block, nor call back.
        note: takes a sentence when the experiment cannot be read at the moment, "" when it can.
        unseen: called after every pass that found nothing.
    """

    def __init__(
        self,
        readback: ReadBack,
        post: Callable[[Event], None],
        note: Callable[[str], None],
        clock: Clock,
        unseen: Callable[[], None] = lambda: None,
    ) -> None:
        self._readback = readback
        self._post = post
        self._note = note
        self._clock = clock
        self._unseen = unseen
        self._machine = Confirming(clock.monotonic())
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="confirm", daemon=True)
        self._thread.start()

    def want(self, items: dict[int, Wanted]) -> None:
        """Ask for these too."""
        with self._wake:
            self._machine.want(items)
            self._wake.notify()

    def forget(self, item: int) -> None:
        """Do not ask for this one any more."""
        with self._wake:
            self._machine.forget(item)

    @property
    def waiting(self) -> int:
        """How many items have not come back yet; what came back has been posted before it leaves this number."""
        return self._machine.waiting

    def hurry(self) -> None:
        """Everything is accepted: do not wait for company any more."""
        with self._wake:
            self._machine.hurry()
            self._wake.notify()

    def missed(self) -> Missed:
        """Return what has not come back, with what is missing of it.

        Whatever is not in it was posted before: what lies in the queue of events is to be heeded first.
        """
        with self._wake:
            return self._machine.missed()

    def scores(self) -> dict[int, tuple[Score, ...]]:
        """Return, for every item that came back with scores, those of its root run, without their ids."""
        with self._wake:
            return self._machine.scores()

    def stop(self, seconds: float = math.inf) -> None:
        """End the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout=min(30.0, seconds))

    # -- the thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._gather()) is not None:
            if batch:
                self._pass(batch)

    def _gather(self) -> dict[int, Wanted] | None:
        """Wait until a pass is due; None at the end."""
        with self._wake:
            while not self._stopping:
                now = self._clock.monotonic()
                if (seconds := self._machine.due(now)) <= 0:
                    return self._machine.take(now)
                self._wake.wait(seconds)
            return None

    def _pass(self, batch: dict[int, Wanted]) -> None:
        found = self._look(batch)
        with self._wake:
            seen = self._machine.seen(batch, found)
            if seen:
                # Before they leave the table, and under its lock: whoever finds an item gone from the table
                # finds the answer in the queue.
                self._post(Seen(tuple(seen)))
            self._machine.settle(batch, found, self._clock.monotonic())
        if not found.seen:
            self._unseen()
        with self._wake:
            self._machine.rest(self._clock.monotonic(), seen=bool(found.seen))

    def _look(self, batch: dict[int, Wanted]) -> Found:
        try:
            found = look(self._readback, batch)
        except Exception as error:
            # An outage; another pass asks again, and the deadline is the supervisor's.
            logger.info("read-back failed: %s", error)
            with self._wake:
                found = self._machine.fail(
                    batch, f"accepted, and the experiment cannot be read back: {words(error)}"
                )
            self._note(f"the experiment cannot be read back at the moment ({type(error).__name__})")
            return found
        with self._wake:
            self._machine.can_read()
        self._note("")
        return found
