"""The third book: asking the experiment, by id, for what it has accepted. A thread of its own.

An item is visible when every run of its trace came back with an end and every score of it came back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from evalrunner.clock import Clock
from evalrunner.service.errors import words
from evalrunner.supervisor.core.events import Event, Missed, Seen
from evalrunner.supervisor.shell.confirm_queue import ConfirmQueue
from evalrunner.supervisor.shell.look import Found, Wanted, look
from evalrunner.verify.readback import IDS, ReadBack, Score

__all__ = ["Confirmer", "Wanted"]

logger = logging.getLogger(__name__)

#: Items asked for in one pass: whole requests, where each has one run.
PASS = 4 * IDS
#: Seconds that an item waits for company; seconds between passes that found nothing, at most.
PAUSE, LONGEST_PAUSE = 0.5, 5.0


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
        self._wanted: dict[int, Wanted] = {}
        self._queue = ConfirmQueue()
        self._holes: dict[int, str] = {}
        self._trouble = ""
        self._scores: dict[int, tuple[Score, ...]] = {}
        self._equal: dict[tuple[Score, ...], tuple[Score, ...]] = {}
        self._wake = threading.Condition()
        self._stopping = False
        self._hurry = False
        self._pause = PAUSE
        self._thread = threading.Thread(target=self._run, name="confirm", daemon=True)
        self._thread.start()

    def want(self, items: dict[int, Wanted]) -> None:
        """Ask for these too."""
        with self._wake:
            self._wanted.update(items)
            self._queue.add(items)
            self._wake.notify()

    def forget(self, item: int) -> None:
        """Do not ask for this one any more."""
        with self._wake:
            self._remove(item)

    @property
    def waiting(self) -> int:
        """How many items have not come back yet; what came back has been posted before it leaves this number."""
        return len(self._wanted)

    def hurry(self) -> None:
        """Everything is accepted: do not wait for company any more."""
        with self._wake:
            self._hurry = True
            self._wake.notify()

    def missed(self) -> Missed:
        """Return what has not come back, with what is missing of it.

        Whatever is not in it was posted before: what lies in the queue of events is to be heeded first.
        """
        with self._wake:
            unasked = self._trouble or "it was not asked for in time"
            return Missed({i: self._holes.get(i, unasked) for i in self._wanted})

    def scores(self) -> dict[int, tuple[Score, ...]]:
        """Return, for every item that came back with scores, those of its root run, without their ids."""
        with self._wake:
            return dict(self._scores)

    def stop(self) -> None:
        """End the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout=30)

    # -- the thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._gather()) is not None:
            if batch:
                self._pass(batch)

    def _gather(self) -> dict[int, Wanted] | None:
        """Wait for a full pass, or as long as a part of one waits for company; None at the end."""
        with self._wake:
            self._wake.wait_for(self._enough, timeout=PAUSE)
            if self._stopping:
                return None
            taken = self._queue.take(PASS, self._wanted.__contains__, self._clock.monotonic())
            return {item: self._wanted[item] for item in taken}

    def _enough(self) -> bool:
        ready = self._queue.ready(self._clock.monotonic())
        return self._stopping or ready >= PASS or (self._hurry and ready > 0)

    def _pass(self, batch: dict[int, Wanted]) -> None:
        try:
            found = look(self._readback, batch)
        except Exception as error:
            # An outage; another pass asks again, and the deadline is the supervisor's.
            logger.info("read-back failed: %s", error)
            found = Found(holes=dict.fromkeys(batch, self._failed(error)))
        else:
            self._trouble = ""
            self._note("")
        self._heed(batch, found)
        if found.seen:
            self._pause = PAUSE
        else:
            self._unseen()
            self._rest()

    def _failed(self, error: Exception) -> str:
        self._trouble = f"accepted, and the experiment cannot be read back: {words(error)}"
        self._note(f"the experiment cannot be read back at the moment ({type(error).__name__})")
        return self._trouble

    def _heed(self, batch: dict[int, Wanted], found: Found) -> None:
        with self._wake:
            # Forgotten, or wanted anew under other ids, while we looked: then this is no answer.
            meant = [item for item, wanted in batch.items() if self._wanted.get(item) == wanted]
            seen = sorted(item for item in meant if item in found.seen)
            if seen:
                # Before they leave the table, and under its lock: whoever finds an item gone from the table
                # finds the answer in the queue.
                self._post(Seen(tuple(seen)))
            for item in seen:
                self._remove(item)
                if batch[item].feedback:
                    self._scores[item] = self._one_of_equals(found.seen[item])
            left = [item for item in meant if item in found.holes]
            self._holes.update((item, found.holes[item]) for item in left)
            self._queue.again(left, self._clock.monotonic(), alone=found.unreadable.intersection(left))

    def _remove(self, item: int) -> None:
        self._wanted.pop(item, None)
        self._holes.pop(item, None)
        self._queue.drop(item)

    def _one_of_equals(self, scores: tuple[Score, ...]) -> tuple[Score, ...]:
        """Return equal scores as one object: most of a hundred thousand are a few numbers under a few keys."""
        try:
            return self._equal.setdefault(scores, scores)
        except TypeError:  # a value that is a list or an object
            return scores

    def _rest(self) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._stopping, timeout=min(LONGEST_PAUSE, self._pause))
        self._pause = min(LONGEST_PAUSE, 2 * self._pause)
