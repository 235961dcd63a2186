"""Sending what the destination does not have: what is there already is asked for first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import requests
from langsmith import utils as sdk

from evalrunner.clock import SYSTEM
from evalrunner.errors import RunBroken
from evalrunner.transfer.upload.confirm import Confirmer, together
from evalrunner.transfer.upload.index import SOUND, UNSENT, Index, State, Tree
from evalrunner.transfer.upload.outbox import AHEAD_BYTES, Outbox
from evalrunner.transfer.upload.scan import TELL_EVERY
from evalrunner.transfer.upload.source import Source, Traces
from evalrunner.transfer.upload.there import NOTHING, Known


class Dispatch:
    """Sends the traces of an index that the destination lacks.

    Attributes:
        accepted: traces that it has accepted from this upload.
    """

    def __init__(
        self, index: Index, source: Source, confirmer: Confirmer, note: Callable[[str], None]
    ) -> None:
        self._index, self._source, self._confirmer, self._note = index, source, confirmer, note
        self.accepted = 0
        self._told = SYSTEM.monotonic()
        self._began = self._told

    def look_for_known(self, known: bool) -> int:
        """Ask for what may be there already, and book it; return how many traces are.

        Args:
            known: there has been an upload into the project before.
        """
        project = (self._source.project,)
        found = self._index.db.execute("SELECT value FROM facts WHERE name = 'project'").fetchone()
        fresh = found != project
        booked = self._index.count(f"{SOUND} AND NOT ({UNSENT})")[0]
        # Of which traces a part was there stays: they may lie behind where the asking ends.
        kept = int(State.PENDING if fresh else State.PARTLY)
        with self._index.db:
            self._index.db.execute("UPDATE trees SET state = 0, reason = NULL WHERE state <> ?", (kept,))
        if known:
            # Of an upload that was cut off, what was under way lies behind what was booked.
            self._ask(None if fresh or not booked else booked)
        with self._index.db:  # not before all was asked for: who is killed while asking asks for all again
            self._index.db.execute("INSERT OR REPLACE INTO facts VALUES ('project', ?)", project)
        return self._index.count("state = ?", int(State.SEEN))[0]

    def _ask(self, booked: int | None) -> None:
        """Ask for traces in the order of the input, until none of many is there where none was booked."""
        absent = seen = 0
        for trees in together(self._index.trees(UNSENT)):
            lacking = self._confirmer.lacking(trees)
            partly = [n for n, lack in lacking.items() if lack.partly]
            self._index.book((tree.n, State.SEEN, None) for tree in trees if tree.n not in lacking)
            self._index.book((n, State.PARTLY, None) for n in partly)
            seen += len(trees)
            none = len(lacking) == len(trees) and not partly
            absent = absent + sum(tree.size for tree in trees) if none else 0
            if booked is not None and seen >= booked and absent > 2 * AHEAD_BYTES:
                return
            self._tell(f"looking at what is there already: {seen:,} traces")

    def send(self, outbox: Outbox) -> None:
        """Send all that is to be sent, and book what becomes of it.

        Raises:
            RunBroken: a file has changed, or what is there cannot be read.
            RunFolderError: the index cannot be written.
        """
        self._began = SYSTEM.monotonic()
        total, _, size = self._index.count(UNSENT)
        built = 0
        for trees in together(self._index.trees(UNSENT)):
            placed = self._source.placed(trees)
            known = self._known(trees, placed)
            for n, operations in self._source.built(placed, known, outbox.boundary):
                outbox.put(n, operations)
            built += sum(tree.size for tree in trees)
            self._book(outbox)
            self._tell_rate(total, size, built)
        outbox.finish(lambda: self._book(outbox))

    def _known(self, trees: Sequence[Tree], placed: Traces) -> Known:
        """Ask what there is of those traces that are there in part: of these only the rest is sent."""
        partly = {tree.n: placed[tree.n] for tree in trees if tree.state is State.PARTLY}
        try:
            return self._confirmer.known(partly) if partly else NOTHING
        except (sdk.LangSmithError, requests.RequestException) as error:
            raise RunBroken(
                f"what is there already cannot be read ({type(error).__name__}); the same command goes on"
            ) from None

    def _book(self, outbox: Outbox) -> None:
        settled = list(outbox.settled())
        if settled:
            self.accepted += sum(one.refused is None for one in settled)
            self._index.book(
                (one.tree, State.REFUSED if one.refused else State.ACCEPTED, one.refused) for one in settled
            )

    def _tell_rate(self, total: int, size: int, built: int) -> None:
        if not size:  # what is read from a service has no size before it has been read
            return self._tell(f"{self.accepted:,} of {total:,} traces sent")
        spent = SYSTEM.monotonic() - self._began
        rate = built / max(spent, 0.001)
        left = (size - built) / max(rate, 1.0)
        return self._tell(
            f"{self.accepted:,} of {total:,} traces sent ({built / max(size, 1):.0%} built), {rate / 1e6:.1f} MB/s, "
            f"about {_long(left)} left"
        )

    def tell_confirming(self) -> None:
        """Say how far the reading back is."""
        seen = self._index.count("state = ?", int(State.SEEN))[0]
        self._tell(f"{seen:,} of {self._index.count(SOUND)[0]:,} traces read back")

    def tell_comparing(self, compared: int) -> None:
        """Say how far the comparison is."""
        self._tell(f"{compared:,} of {self._index.count(SOUND)[0]:,} traces compared")

    def _tell(self, text: str) -> None:
        if SYSTEM.monotonic() - self._told >= TELL_EVERY:
            self._told = SYSTEM.monotonic()
            self._note(text)


def _long(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
