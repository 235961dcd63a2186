"""Which segments of the workers' spools are still needed; the others are let go while the run goes on.

A segment goes when the next one has begun, every record up to there has been heard of, by number, and each item in it
is visible, which the ledger has committed. A death before the removal leaves a file whose items are visible: nothing
of it is sent, and it goes at the end of the next run. After it nothing is missed: a visible item is sent no more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from evalrunner.delivery.spool.files import segment_path


@dataclass
class _Segment:
    """What is known of one file; `first` is the first of its records that was heard of."""

    first: int
    needed_for: set[int] = field(default_factory=set)
    kept: bool = False
    gone: bool = False


@dataclass
class _Spool:
    """What is known of one worker's spool: every record up to `heard` was heard of, and some beyond."""

    heard: int = 0
    beyond: set[int] = field(default_factory=set)
    segments: dict[int, _Segment] = field(default_factory=dict)

    def take(self, seq: int) -> None:
        self.beyond.add(seq)
        while self.heard + 1 in self.beyond:
            self.heard += 1
            self.beyond.discard(self.heard)

    def let_go(self) -> list[int]:
        """Return the segments that nobody needs any more, each once."""
        done = [number for number, one in self.segments.items() if self._is_done(number, one)]
        for number in done:
            self.segments[number].gone = True
        while self.segments and self.segments[oldest := min(self.segments)].gone:
            del self.segments[oldest]
        return done

    def _is_done(self, number: int, one: _Segment) -> bool:
        following = self.segments.get(number + 1)
        if following is None or self.heard < following.first - 1:
            return False
        return not (one.kept or one.gone or one.needed_for)


class Reclaimer:
    """The segments of all workers of a run.

    Args:
        keep: let nothing go: in live mode a segment may hold the beginning of what is not over.
    """

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self._folder = folder
        self._keep = keep
        self._spools: dict[int, _Spool] = {}
        self._where: dict[int, tuple[int, _Segment]] = {}
        self._changed: set[int] = set()

    def heard_of(self, worker: int, segment: int, seq: int, *, loose: bool = False) -> None:
        """Note that a worker has spoken of a record; a loose one keeps its segment until the end of the run."""
        if self._keep or seq < 1:
            return
        spool = self._spools.setdefault(worker, _Spool())
        if seq > spool.heard:
            spool.take(seq)
            one = spool.segments.setdefault(segment, _Segment(seq))
            one.first = min(one.first, seq)
            one.kept = one.kept or loose
            self._changed.add(worker)

    def need(self, worker: int, segment: int, item: int) -> None:
        """Keep a segment until an item that lies in it is visible."""
        one = self._spools[worker].segments.get(segment) if worker in self._spools else None
        if one is not None:
            one.needed_for.add(item)
            self._where[item] = worker, one

    def release(self, item: int) -> None:
        """An item is visible, and the ledger says so for good."""
        if item in self._where:
            worker, one = self._where.pop(item)
            one.needed_for.discard(item)
            self._changed.add(worker)

    def let_go(self) -> None:
        """Remove what is not needed any more."""
        changed, self._changed = self._changed, set()
        for worker in sorted(changed):
            for number in self._spools[worker].let_go():
                segment_path(self._folder / f"{worker:06d}.spool", number).unlink(missing_ok=True)
