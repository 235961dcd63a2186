"""What a trace of the input becomes in a project: its place, and its operations, built from the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import orjson

from evalrunner.delivery.spool.record import Encoded, Operation, encode_each
from evalrunner.errors import RunBroken
from evalrunner.transfer.files.inputs import Inputs
from evalrunner.transfer.files.runs import RecordedRun
from evalrunner.transfer.upload.again import again
from evalrunner.transfer.upload.index import Index, Row, Tree
from evalrunner.transfer.upload.mould import mould_of
from evalrunner.transfer.upload.rewrite import Placed, operations, place, scores
from evalrunner.transfer.upload.shift import Shift
from evalrunner.transfer.upload.there import NOTHING, Known

#: Bytes of a file that are read at once.
_AT_ONCE = 1 << 20


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
        self, traces: Mapping[int, Sequence[Placed]], known: Known, boundary: str
    ) -> Iterator[tuple[int, Iterator[Encoded]]]:
        """Build what creates each of some traces, or what it lacks there."""
        return ((n, self.encoded(boundary, runs, known)) for n, runs in traces.items())

    def encoded(self, boundary: str, runs: Sequence[Placed], known: Known = NOTHING) -> Iterator[Encoded]:
        """Build what creates a trace, or what it lacks there, run by run.

        Args:
            boundary: of the requests.
            runs: as `placed` returns them.
            known: what is there of them; a run that has ended since is sent its end.

        Raises:
            RunBroken: a file has changed since it was read.
        """
        if changed := self.inputs.changed():
            raise RunBroken(_begins_anew(changed))
        name = orjson.dumps(self.name)
        mould = mould_of(boundary, self.project, name)
        for placed, data in self._read(runs):
            if placed.id not in known.ids and (body := mould.post(placed, data)) is not None:
                yield "post", placed.id, body
                continue
            yield from encode_each(boundary, self._operations(name, placed, bytes(data), known))

    def _operations(self, name: bytes, placed: Placed, data: bytes, known: Known) -> Iterator[Operation]:
        run = again(placed.row, data)
        if run.id != placed.row.id:
            raise RunBroken(
                _begins_anew(f"{self.inputs.names[placed.row.file]} has changed since it was read")
            )
        ended = run.end is not None and placed.id in known.open
        for kind, one, parts in operations(self.project, name, placed, run, "patch" if ended else "post"):
            if kind == "patch" or one not in known.ids:
                yield kind, one, parts

    def _read(self, runs: Sequence[Placed]) -> Iterator[tuple[Placed, bytes | memoryview]]:
        """Yield each run with its bytes; those that lie together are read at once."""
        rows = [placed.row for placed in runs]
        begin, end = min(row.offset for row in rows), max(row.offset + row.length for row in rows)
        near = len({row.file for row in rows}) == 1 and end - begin <= _AT_ONCE
        if near and end - begin <= 2 * sum(row.length for row in rows):
            whole = memoryview(self.inputs.read(rows[0].file, begin, end - begin))
            for placed, row in zip(runs, rows, strict=True):
                yield placed, whole[row.offset - begin : row.offset - begin + row.length]
            return
        for placed, row in zip(runs, rows, strict=True):
            yield placed, self.inputs.read(row.file, row.offset, row.length)

    def score_ids(self, placed: Placed) -> list[str]:
        """Return the ids of a run's feedback."""
        return [one for one, _ in scores(self.project, placed, self.run(placed.row))]


def _begins_anew(changed: str) -> str:
    return f"{changed}; what was sent of it is as it was before, and the same command begins anew with what it is"
