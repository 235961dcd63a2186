"""Reading the input once: every run into the index, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evalrunner.clock import SYSTEM
from evalrunner.transfer.files.broken import BrokenRun
from evalrunner.transfer.files.element import Element
from evalrunner.transfer.files.inputs import Inputs
from evalrunner.transfer.files.plain import Told
from evalrunner.transfer.files.quick import PART
from evalrunner.transfer.files.runs import read_run
from evalrunner.transfer.upload.forest import resolve
from evalrunner.transfer.upload.hashing import Hashing
from evalrunner.transfer.upload.index import SOUND, Index, Row
from evalrunner.transfer.upload.rewrite import Unfit, check
from evalrunner.transfer.upload.shift import Extent

#: Seconds between two words about how far it is.
TELL_EVERY = 5.0


def scan(inputs: Inputs, path: Path, size_limit: int, note: Callable[[str], None]) -> None:
    """Make the index of an input.

    Args:
        path: of the index, which does not exist yet.
        size_limit: bytes that the service takes in one request.

    Raises:
        DataError: the input is of another kind.
        RunFolderError: the index cannot be written.
    """
    index = Index(path, fresh=True)
    try:
        with Hashing() as hashing:
            index.fill(rows(inputs, hashing, note))
        resolve(index.db, size_limit)
    finally:
        index.close()


def rows(inputs: Inputs, hashing: Hashing, note: Callable[[str], None]) -> Iterator[Row | tuple[object, ...]]:
    """Yield what the index keeps of each run: its row, or the values of one."""
    told, read = SYSTEM.monotonic(), 0
    for n, element in enumerate(inputs.elements(PART, hashing), start=1):
        if element.told is None:
            yield to_row(n, element)
        else:
            yield _values(n, element, element.told)
        read += element.length
        if n % 256 == 0 and SYSTEM.monotonic() - told >= TELL_EVERY:
            told = SYSTEM.monotonic()
            note(f"reading: {n:,} runs, {read / max(inputs.size, 1):.0%} of {inputs.size / 1e6:,.0f} MB")


def to_row(n: int, element: Element) -> Row:
    """Return what the index keeps of an element."""
    place = (n, element.file, element.line, element.offset, element.length)
    if element.told is not None:
        return Row(*_values(n, element, element.told))
    try:
        run = read_run(element.data, element.fault)
        check(run)
    except BrokenRun as broken:
        return Row(*place, broken.id, broken.trace, broken.parent, fault=broken.reason)
    except Unfit as unfit:
        fault = f"run {run.id!r}: {unfit}"
        return Row(*place, run.id, run.trace, run.parent, run.start, run.end, fault=fault)
    scores, example = run.feedback is not None, run.example is not None
    return Row(*place, run.id, run.trace, run.parent, run.start, run.end, scores, None, example)


def _values(n: int, element: Element, told: Told) -> tuple[Any, ...]:
    """Return the values of a row: most runs are told, and are never made one."""
    place = (n, element.file, element.line, element.offset, element.length)
    return (*place, told.id, told.trace, told.parent, told.start, told.end, False, None, told.example)


def extent(index: Index) -> Extent | None:
    """Return the times of all sound traces; None if there are none."""
    query = f"SELECT min(start), max(newest), max(start), max(newest - start) FROM trees WHERE {SOUND}"  # noqa: S608
    found = index.db.execute(query).fetchone()
    return None if found[0] is None else Extent(*found)


def examples(index: Index) -> int:
    """Return how many runs of sound traces name an example of a dataset."""
    return _sound_runs(index, "example")


def unended(index: Index) -> int:
    """Return how many runs of sound traces have no end."""
    return _sound_runs(index, "finish IS NULL")


def _sound_runs(index: Index, condition: str) -> int:
    if index.db.execute(f"SELECT 1 FROM runs WHERE {condition} LIMIT 1").fetchone() is None:  # noqa: S608
        return 0  # as for most inputs, whose tables need not be joined then
    query = (
        "SELECT count(*) FROM runs JOIN placed USING (n) JOIN trees ON trees.n = tree"  # noqa: S608 - constants
        f" WHERE {condition} AND trees.fault IS NULL"
    )
    return int(index.db.execute(query).fetchone()[0])


def ends_early(index: Index) -> bool:
    """Tell whether an input was cut off: traces before the cut may lack runs that stood behind it."""
    query = (
        "SELECT 1 FROM runs WHERE fault LIKE '%cut off%' OR fault LIKE '%what followed is missing%' LIMIT 1"
    )
    return index.db.execute(query).fetchone() is not None
