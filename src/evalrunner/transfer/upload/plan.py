"""What a trace of the input becomes in a project: its place, and its operations, built from the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from evalrunner.delivery.capture.traces import Operation
from evalrunner.errors import RunBroken
from evalrunner.transfer.files.inputs import Inputs
from evalrunner.transfer.files.runs import RecordedRun
from evalrunner.transfer.upload.again import again
from evalrunner.transfer.upload.index import Index, Row, Tree
from evalrunner.transfer.upload.rewrite import Placed, operations, place, scores
from evalrunner.transfer.upload.shift import Shift
from evalrunner.transfer.upload.there import NOTHING, Known


@dataclass(frozen=True)
class Plan:
    """An input, a project, and how the times move."""

    inputs: Inputs
    index: Index
    project: str
    name: str
    shift: Shift

    def placed(self, trees: Sequence[Tree]) -> dict[int, list[Placed]]:
        """Return where the runs of some sound traces go, parents first."""
        rows = self.index.rows_of([tree.n for tree in trees])
        return {tree.n: place(self.project, self.shift, tree, rows[tree.n]) for tree in trees}

    def run(self, row: Row) -> RecordedRun:
        """Read a run again, from where it lies."""
        return again(row, self.inputs.read(row.file, row.offset, row.length))

    def built(
        self, traces: Mapping[int, Sequence[Placed]], known: Known
    ) -> Iterator[tuple[int, Iterator[Operation]]]:
        """Build what creates each of some traces, or what it lacks there."""
        return ((n, self.operations(runs, known)) for n, runs in traces.items())

    def operations(self, runs: Sequence[Placed], known: Known = NOTHING) -> Iterator[Operation]:
        """Build what creates a trace, or what it lacks there, run by run.

        Args:
            runs: as `placed` returns them.
            known: what is there of them; a run that has ended since is sent its end.

        Raises:
            RunBroken: a file has changed since it was read.
        """
        if changed := self.inputs.changed():
            raise RunBroken(_begins_anew(changed))
        name = orjson.dumps(self.name)
        for placed in runs:
            run = self.run(placed.row)
            if run.id != placed.row.id:
                raise RunBroken(
                    _begins_anew(f"{self.inputs.names[placed.row.file]} has changed since it was read")
                )
            ended = run.end is not None and placed.id in known.open
            for kind, one, parts in operations(self.project, name, placed, run, "patch" if ended else "post"):
                if kind == "patch" or one not in known.ids:
                    yield kind, one, parts

    def score_ids(self, placed: Placed) -> list[str]:
        """Return the ids of a run's feedback."""
        return [one for one, _ in scores(self.project, placed, self.run(placed.row))]


def _begins_anew(changed: str) -> str:
    return f"{changed}; what was sent of it is as it was before, and the same command begins anew with what it is"
