"""What the traces of an experiment become: their places, and their operations, read again when they are sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evalrunner.delivery.spool.record import Encoded, Operation, encode_each
from evalrunner.service.paging import portions
from evalrunner.transfer.push.source import Source, Trace
from evalrunner.transfer.push.transform import Rewriting
from evalrunner.transfer.upload.index import Index, Tree
from evalrunner.transfer.upload.rewrite import Placed
from evalrunner.transfer.upload.source import Traces
from evalrunner.transfer.upload.there import Known

#: Traces that are read at once, and held in memory.
_TOGETHER = 10


class Runs:
    """The ids of an index's runs, asked for one by one."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def __contains__(self, run: object) -> bool:
        return self._index.db.execute("SELECT 1 FROM runs WHERE id = ?", (run,)).fetchone() is not None


@dataclass
class Plan:
    """An experiment here, its copy there, and how the one becomes the other.

    Attributes:
        foreign: how many runs of the traces that were built are no part of what is pushed.
    """

    source: Source
    index: Index
    to: Rewriting
    foreign: int = 0

    @property
    def project(self) -> str:
        """The copy's id."""
        return str(self.to.experiment)

    def placed(self, trees: Sequence[Tree]) -> dict[int, list[Placed]]:
        """Return how the runs of some traces are called there; the rest of their place is read with them."""
        rows = self.index.rows_of([tree.n for tree in trees])
        return {
            tree.n: [Placed(row, self.to.id(str(row.id)), None, "", 0, "") for row in rows[tree.n]]
            for tree in trees
        }

    def rated(self, placed: Placed) -> dict[str, str]:
        """Return the ids of a run's feedback there, with those here."""
        found = self.index.db.execute("SELECT id FROM rated WHERE run = ? ORDER BY id", (placed.row.id,))
        return {self.to.id(one): one for (one,) in found}

    def score_ids(self, placed: Placed) -> list[str]:
        """Return the ids of a run's feedback there."""
        return list(self.rated(placed))

    def built(self, traces: Traces, known: Known, boundary: str) -> Iterator[tuple[int, Iterator[Encoded]]]:
        """Build what creates each of some traces, or what it lacks there, and the end of what has ended since.

        Raises:
            RunBroken: the experiment cannot be read.
        """
        for some in portions(list(traces), _TOGETHER):
            runs = {str(one.row.id): one for n in some for one in traces[n]}
            numbers = {str(traces[n][0].row.trace): n for n in some}
            rated = {one for one, placed in runs.items() if placed.row.scores}
            for trace in self.source.traces(list(numbers), rated):
                self.foreign += sum(run.id not in runs for run in trace.runs)
                yield numbers[trace.id], encode_each(boundary, self._operations(trace, runs, known))

    def _operations(self, trace: Trace, runs: dict[str, Placed], known: Known) -> Iterator[Operation]:
        project = self._elsewhere(trace.id)
        for run in trace.runs:
            placed = runs.get(run.id)
            if placed is None:
                continue
            ended = placed.row.finish is not None and placed.id in known.open
            if ended or placed.id not in known.ids:
                files = self.source.files(run.s3_urls)
                yield self.to.run(run, project, files, "patch" if ended else "post")
        for run_id, row in trace.feedback:
            if run_id in runs:
                operation = self.to.feedback_operation(row, trace.id)
                if operation[1] not in known.ids:
                    yield operation

    def _elsewhere(self, trace: str) -> str | None:
        query = "SELECT project FROM elsewhere WHERE trace = ?"
        found: tuple[str] | None = self.index.db.execute(query, (trace,)).fetchone()
        return found[0] if found else None
