"""From runs to traces: every trace is whole, or named with what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalrunner.transfer.upload.forest import MOST_RUNS, resolve
from evalrunner.transfer.upload.index import Index, Row

LIMIT = 1000


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    made = Index(tmp_path / "index.sqlite")
    yield made
    made.close()


def run(n: int, run_id: str | None, parent: str | None = None, trace: str | None = None, **more: Any) -> Row:
    told: dict[str, Any] = {"start": 1000 + n, "finish": 2000 + n, "length": 10, **more}
    return Row(n=n, file=0, line=n, offset=n * 10, id=run_id, parent=parent, trace=trace, **told)


def faults(index: Index, rows: list[Row]) -> dict[str, str | None]:
    index.fill(rows)
    resolve(index.db, LIMIT)
    assert index.count("1")[1] == len(rows), "every row is of a trace"
    return {tree.key: tree.fault for tree in index.trees("1")}


def test_traces_by_what_the_file_calls_them_or_by_their_root(index: Index) -> None:
    rows = [run(1, "c", "b"), run(2, "b", "a"), run(3, "a"), run(4, "x", None, "t1"), run(5, "y", "x", "t1")]
    assert faults(index, rows) == {"a": None, "t1": None}
    assert [row.id for row in index.rows(1)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([run(1, "a"), run(2, "b", "a"), run(3, "b", "a")], {"a": "the id 'b' occurs twice"}),
        (
            [run(1, "a"), run(2, "b"), run(3, "a", "b")],
            {"a": "the id 'a' occurs twice", "b": "the id 'a' occurs twice"},
        ),
        ([run(1, "a", "gone")], {"a": "the parent 'gone' of run 'a' is not in the input"}),
        (
            [run(1, "a", None, "t"), run(2, "b", "gone", "t")],
            {"t": "the parent 'gone' of run 'b' is not in the input"},
        ),
        ([run(1, "a", "a")], {"a": "its parents go round in a circle: 'a' leads back to it"}),
        (
            [run(1, "a", "b"), run(2, "b", "a"), run(3, "c", "a")],
            {"a": "its parents go round in a circle: 'b' leads back to it"},
        ),
        ([run(1, "a", None, "t"), run(2, "b", None, "t")], {"t": "it has 2 roots"}),
        (
            [run(1, "a"), run(2, "b", "a", "u"), run(3, "u")],
            {
                "a": "run 'b' says that it is of trace 'u', and its parent is of trace 'a'",
                "u": "run 'b' says that it is of this trace, and its parent is of trace 'a'",
            },
        ),
        ([run(1, "a"), run(2, None, "a", fault="no id")], {"a": "no id"}),
        ([run(1, None, fault="it is a string")], {"element 1": "it is a string"}),
        ([run(1, "a"), run(2, "b", "a", length=LIMIT + 1)],
         {"a": "run 'b' has 1001 bytes, and the service takes 1000 at once"}),
    ],
)  # fmt: skip
def test_a_broken_trace_is_named(index: Index, rows: list[Row], wanted: dict[str, str]) -> None:
    sound = [run(99, "other")]
    assert faults(index, [*rows, *sound]) == {**wanted, "other": None}


def test_more_runs_than_a_service_takes_of_a_trace(index: Index) -> None:
    rows = [run(1, "a"), *(run(n, str(n), "a") for n in range(2, MOST_RUNS + 2))]
    assert faults(index, rows) == {"a": "it has 25001 runs, and a service takes 25000 of a trace"}


def test_a_chain_is_as_deep_as_it_likes(index: Index) -> None:
    rows = [run(n, str(n), str(n + 1)) for n in range(1, 5000)] + [run(5000, "5000")]
    assert faults(index, rows) == {"5000": None}
    assert [row.n for row in index.rows(1)] == list(range(5000, 0, -1))


ids = st.sampled_from("abcdef")
anything = st.lists(st.tuples(st.none() | ids, st.none() | ids, st.none() | ids), max_size=12)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(anything)
def test_whatever_runs_say_a_sound_trace_is_a_tree(
    tmp_path: Path, told: list[tuple[str | None, ...]]
) -> None:
    (tmp_path / "index.sqlite").unlink(missing_ok=True)
    index = Index(tmp_path / "index.sqlite")
    try:
        rows = [
            run(n, one[0], one[1], one[2], fault=None if one[0] else "no id") for n, one in enumerate(told, 1)
        ]
        faults(index, rows)
        for tree in index.trees("fault IS NULL"):
            runs = index.rows(tree.n)
            seen: set[str | None] = {None}
            for one in runs:
                assert one.parent in seen, "parents come first"
                assert one.id not in seen, "and each once"
                seen.add(one.id)
            assert sum(one.parent is None for one in runs) == 1
            assert {one.trace for one in runs} <= {None, tree.key}
    finally:
        index.close()
