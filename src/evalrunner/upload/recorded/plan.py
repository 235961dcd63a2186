"""What a trace of the input becomes in a project: its place, and its operations, built from the file."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from uuid import UUID

from evalrunner.delivery.capture.traces import Operation
from evalrunner.errors import RunBroken
from evalrunner.upload.files.inputs import Inputs
from evalrunner.upload.files.runs import RecordedRun, read_run
from evalrunner.upload.recorded.index import Index, Row, Tree
from evalrunner.upload.recorded.rewrite import Placed, operations, place, scores
from evalrunner.upload.recorded.shift import Shift


@dataclass(frozen=True)
class Plan:
    """An input, a project, and how the times move."""

    inputs: Inputs
    index: Index
    project: UUID
    name: str
    shift: Shift

    def placed(self, tree: Tree) -> list[Placed]:
        """Return where the runs of a sound trace go, parents first."""
        return place(self.project, self.shift, tree, self.index.rows(tree.n))

    def run(self, row: Row) -> RecordedRun:
        """Read a run again, from where it lies."""
        return read_run(self.inputs.read(row.file, row.offset, row.length))

    def operations(self, tree: Tree, known: Container[str] = ()) -> Iterator[Operation]:
        """Build what creates a trace, run by run.

        Args:
            known: ids of runs that are there already; their scores may not be.

        Raises:
            RunBroken: a file has changed since it was read.
        """
        for placed in self.placed(tree):
            run = self.run(placed.row)
            self._refuse_change(placed.row, run)
            for kind, one, parts in operations(self.project, self.name, placed, run):
                if kind != "post" or one not in known:
                    yield kind, one, parts

    def _refuse_change(self, row: Row, run: RecordedRun) -> None:
        """See to it that what was read a second time is what was read first, before it is sent."""
        changed = self.inputs.changed()
        if changed is None and (run.id, run.start, run.end) != (row.id, row.start, row.finish):
            changed = f"{self.inputs.names[row.file]} has changed since it was read"
        if changed is not None:
            raise RunBroken(
                f"{changed}; nothing of the change was sent, and the same command begins anew with it"
            )

    def score_ids(self, placed: Placed) -> list[UUID]:
        """Return the ids of a run's feedback."""
        return [one for one, _ in scores(self.project, placed, self.run(placed.row))]
