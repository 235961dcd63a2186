"""What should be known of a push beside its numbers: asked of its index, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator

from evalrunner.transfer.push.transform import Rewriting
from evalrunner.transfer.upload.index import Index
from evalrunner.transfer.upload.shift import DAY
from evalrunner.verify import transfers
from evalrunner.verify.codes import Finding

#: What is named of many.
_NAMED = 3
_ABSENT = "used WHERE example NOT IN (SELECT source FROM examples)"


def remarks(index: Index, to: Rewriting, now: int) -> Iterator[Finding]:
    """Return what is too old, open, or of examples that are not there.

    Args:
        now: microseconds.
    """
    limit = now - DAY - to.shift
    if early := index.count("start < ?", limit)[0]:
        named = _first(index, "SELECT key FROM trees WHERE start < ? ORDER BY n", limit)
        yield transfers.traces_early(early, index.count("1")[0], map(to.id, named))
    if unended := _count(index, "runs WHERE finish IS NULL"):
        yield transfers.runs_open(unended, _count(index, "runs"))
    if absent := _count(index, _ABSENT):
        named = _first(index, f"SELECT example FROM {_ABSENT} ORDER BY example")  # noqa: S608 - constants
        yield transfers.examples_absent(absent, named)


def _count(index: Index, what: str) -> int:
    return int(index.db.execute(f"SELECT count(*) FROM {what}").fetchone()[0])  # noqa: S608 - constants


def _first(index: Index, query: str, *values: object) -> list[str]:
    return [row[0] for row in index.db.execute(f"{query} LIMIT {_NAMED}", values)]
