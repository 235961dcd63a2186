"""The third book: asking the experiment, by id, for what it has accepted. A thread of its own.

An item is visible when every run of its trace came back with an end and every score of it came back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from evalrunner.clock import Clock
from evalrunner.supervisor.events import Event, Missed, Seen
from evalrunner.verify.readback import ReadBack

logger = logging.getLogger(__name__)

#: Items asked for in one pass, and seconds between passes that found nothing new.
PASS = 400
PAUSE, LONGEST_PAUSE = 0.5, 5.0


@dataclass(frozen=True)
class Wanted:
    """What must come back for an item to be visible."""

    runs: tuple[str, ...]
    feedback: tuple[str, ...]


class Confirmer:
    """Confirms items in the background.

    Args:
        post: takes `Seen` events, from this thread.
        note: takes a sentence when the experiment cannot be read at the moment.
    """

    def __init__(
        self, readback: ReadBack, post: Callable[[Event], None], note: Callable[[str], None], clock: Clock
    ) -> None:
        self._readback = readback
        self._post = post
        self._note = note
        self._clock = clock
        self._wanted: dict[int, Wanted] = {}
        self._holes: dict[int, str] = {}
        self._wake = threading.Condition()
        self._stopping = False
        self._hurry = False
        self._thread = threading.Thread(target=self._run, name="confirm", daemon=True)
        self._thread.start()

    def want(self, items: dict[int, Wanted]) -> None:
        """Ask for these too."""
        with self._wake:
            self._wanted.update(items)
            self._wake.notify()

    def forget(self, item: int) -> None:
        """Do not ask for this one any more."""
        with self._wake:
            self._wanted.pop(item, None)

    @property
    def waiting(self) -> int:
        """How many items have not come back yet."""
        return len(self._wanted)

    def hurry(self) -> None:
        """Everything is accepted: do not wait for company any more."""
        with self._wake:
            self._hurry = True
            self._wake.notify()

    def missed(self) -> Missed:
        """Return what has not come back, with what is missing of it."""
        with self._wake:
            return Missed({i: self._holes.get(i, "it was not asked for in time") for i in self._wanted})

    def stop(self) -> None:
        """End the thread."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout=30)

    def _run(self) -> None:
        pause = PAUSE
        while True:
            with self._wake:
                # A pass costs two queries: gather, unless this is the end.
                self._wake.wait_for(lambda: self._stopping or (self._hurry and self._wanted), timeout=pause)
                if self._stopping:
                    return
                batch = dict(list(self._wanted.items())[:PASS])
            if batch:
                pause = self._pass(batch, pause)

    def _pass(self, batch: dict[int, Wanted], pause: float) -> float:
        try:
            seen = self._look(batch)
        except Exception as error:
            # An outage; the next pass asks again, and the deadline is the supervisor's.
            logger.info("read-back failed: %s", error)
            self._note(f"the experiment cannot be read back at the moment ({type(error).__name__})")
            self._rest(min(LONGEST_PAUSE, 2 * pause))
            return min(LONGEST_PAUSE, 2 * pause)
        with self._wake:
            # Forgotten, or wanted anew under other ids, while we looked: then this is no answer.
            seen = {item for item in seen if self._wanted.get(item) == batch[item]}
            for item in batch:
                wanted = self._wanted.pop(item, None)
                if wanted is not None and item not in seen:
                    self._wanted[item] = wanted  # to the end of the line
        if seen:
            self._note("")
            self._post(Seen(tuple(sorted(seen))))
            return PAUSE
        self._rest(min(LONGEST_PAUSE, pause))
        return min(LONGEST_PAUSE, 2 * pause)

    def _rest(self, seconds: float) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._stopping, timeout=seconds)

    def _look(self, batch: dict[int, Wanted]) -> set[int]:
        runs = self._readback.seen([run for wanted in batch.values() for run in wanted.runs])
        scored = [run for w in batch.values() if w.feedback for run in w.runs[:1]]
        scores = {score.id for score in self._readback.scores(scored)}
        # Scores of child runs are rare, and asked for only where some are missing.
        more = [run for w in batch.values() if not scores.issuperset(w.feedback) for run in w.runs[1:]]
        scores |= {score.id for score in self._readback.scores(more)}
        seen: set[int] = set()
        for item, wanted in batch.items():
            hole = _hole(wanted, runs, scores)
            if hole:
                self._holes[item] = hole
            else:
                seen.add(item)
        return seen


def _hole(wanted: Wanted, runs: set[str], scores: set[str]) -> str | None:
    missing = [run for run in wanted.runs if run not in runs]
    if wanted.runs[0] in missing:
        return f"accepted, but its root run {wanted.runs[0]} does not come back"
    if missing:
        return f"{len(missing)} of {len(wanted.runs)} runs do not come back: {', '.join(missing[:3])}"
    absent = [score for score in wanted.feedback if score not in scores]
    if absent:
        return f"{len(absent)} of {len(wanted.feedback)} scores do not come back: {', '.join(absent[:3])}"
    return None
