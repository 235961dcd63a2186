"""`--verify content`: everything that runs say, their feedback and their attachments, read back and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from evalrunner.service.paging import PAGE, portions
from evalrunner.transfer.remote import contents
from evalrunner.transfer.remote.asking import Asking
from evalrunner.transfer.remote.reads import Feedback, Reads, Run
from evalrunner.transfer.upload.confirm import together
from evalrunner.transfer.upload.content import Difference, of_attachments, of_run, of_scores, said
from evalrunner.transfer.upload.index import State
from evalrunner.transfer.upload.plan import Plan
from evalrunner.transfer.upload.rewrite import Placed, attachments, scores
from evalrunner.transfer.upload.summary import Hole

#: Differences of a trace that are said.
_NAMED = 3


class Comparison:
    """Compares traces that are there with the input.

    Args:
        hole: makes the entry of a trace, by its number, with what is to be said of it.
        tell: is called now and then.
    """

    def __init__(
        self,
        plan: Plan,
        asking: Asking,
        reads: Reads,
        hole: Callable[[int, str], Hole],
        tell: Callable[[int], None],
    ) -> None:
        self._plan, self._asking, self._reads, self._hole, self._tell = plan, asking, reads, hole, tell

    def different(self) -> Iterator[Hole]:
        """Return the traces that are there, and not as they were sent; RunBroken if nobody answers any more."""
        compared = 0
        for trees in together(self._plan.index.trees("state = ?", int(State.SEEN))):
            for n, runs in self._plan.placed(trees).items():
                found = [said(one) for some in portions(runs, PAGE) for one in self._of(some)]
                if found:
                    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
                    yield self._hole(n, "; ".join(found[:_NAMED]) + more)
            compared += len(trees)
            self._tell(compared)

    def _of(self, runs: Sequence[Placed]) -> Iterator[Difference]:
        there, _ = self._reads.runs([one.id for one in runs])
        scored = [one.id for one in runs if one.row.scores]
        known = {one.id: one for some in self._pages(scored) for one in some}
        for one in runs:
            for name, sent, came in self._of_run(one, there.get(one.id), known):
                yield f"run {one.row.id}, {name}", sent, came

    def _pages(self, scored: list[str]) -> Iterator[list[Feedback]]:
        for some in portions(scored, PAGE // 2):  # ids stand in the address
            yield from self._reads.feedback(some)

    def _of_run(self, placed: Placed, found: Run | None, known: dict[str, Feedback]) -> Iterator[Difference]:
        if found is None:
            yield "all of it", "it was there by id", None
            return
        run = self._plan.run(placed.row)
        gone: list[str] = []
        apart = contents.values(
            self._asking, found, lambda kind, name, why: gone.append(f"{kind} {name}: {why}")
        )
        yield from of_run(placed, run, found, apart)
        yield from of_scores(scores(self._plan.project, placed, run), known)
        there: dict[str, bytes] = {}
        for name, _, data in contents.attachments(
            self._asking, found, lambda kind, name, why: gone.append(f"{kind} {name}: {why}")
        ):
            with data:
                there[name] = data.read()
        yield from of_attachments(attachments(run), there)
        for why in gone:
            yield why, "it was there", None
