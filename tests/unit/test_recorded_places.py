"""Whatever forest of runs, in whatever order and with whatever times: the invariants of an upload hold."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.transfer.files.runs import RecordedRun, read_run
from evalrunner.transfer.upload.again import again
from evalrunner.transfer.upload.index import Row, State, Tree
from evalrunner.transfer.upload.moments import moment
from evalrunner.transfer.upload.rewrite import APART, Unfit, check, events, operations, place
from evalrunner.transfer.upload.shift import Shift

PROJECT = "6f1d3c7a-9b55-4d6b-9b1e-0c5e2a4e6e0b"
EPOCH = 1_700_000_000_000_000
DAY = 86_400_000_000


@st.composite
def trees(draw: st.DrawFn) -> list[Row]:
    """One trace, parents before children as the index gives them, with times in any relation."""
    count = draw(st.integers(1, 25))
    parents = [None, *(draw(st.integers(0, n - 1)) for n in range(1, count))]
    starts = [EPOCH + draw(st.integers(-DAY, DAY)) for _ in range(count)]
    lengths = [draw(st.none() | st.integers(0, DAY)) for _ in range(count)]
    return [
        Row(
            n + 1, 0, None, 0, 0, f"run {n}", "t", None if above is None else f"run {above}", start,
            None if length is None else start + length,
        )
        for n, (above, start, length) in enumerate(zip(parents, starts, lengths, strict=True))
    ]  # fmt: skip


def tree_of(rows: list[Row]) -> Tree:
    return Tree(1, "t", len(rows), 0, min(row.start or 0 for row in rows), None, None, State.PENDING, None)


def run_of(row: Row, **more: Any) -> RecordedRun:
    told = {"id": row.id, "name": "n", "run_type": "tool", "start_time": moment(row.start or 0), **more}
    if row.finish is not None:
        told["end_time"] = moment(row.finish)
    return read_run(orjson.dumps(told))


@given(trees(), st.integers(-2 * DAY, 2 * DAY), st.integers(1, 5), st.integers(5, 9))
def test_the_invariants_of_a_forest(rows: list[Row], moved: int, scale: int, whole: int) -> None:
    tree = tree_of(rows)
    for shift in (Shift("delta", to=moved), Shift("trace", EPOCH, EPOCH + moved, scale, whole)):
        placed = place(PROJECT, shift, tree, rows)
        by_source = {one.row.id: one for one in placed}
        assert len({one.id for one in placed}) == len(rows)
        assert {one.trace for one in placed} == {placed[0].id}
        assert {one.moved for one in placed} == {shift.of(tree.start)}, "times are as far apart as they were"
        for one in placed:
            main = main_of(one, rows)
            assert (main.get("parent_run_id"), main["trace_id"]) == (one.parent, placed[0].id)
            above = None if one.row.parent is None else by_source[one.row.parent]
            assert one.parent == (above.id if above else None)
            assert one.order.rpartition(".")[0] == (above.order if above else "")
            assert one.order.endswith(one.id)
        apart = {one.start // 1000: one.id for one in placed}
        assert sorted(apart.values()) == [apart[at] for at in sorted(apart)], "ids are ordered by time"


def main_of(placed: Any, rows: list[Row]) -> dict[str, Any]:
    ((kind, one, parts),) = operations(PROJECT, b'"p"', placed, run_of(placed.row))
    assert (kind, one, [name for name, _, _ in parts]) == ("post", placed.id, [f"post.{placed.id}"])
    main: dict[str, Any] = orjson.loads(parts[0][2])
    assert main["start_time"] == moment((placed.row.start or 0) + placed.moved)
    assert main.get("end_time") == (
        None if placed.row.finish is None else moment(placed.row.finish + placed.moved)
    )
    return main


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=4), values, max_size=4)


@given(inputs=objects, outputs=objects, extra=objects, serialized=objects, tags=st.lists(st.text(max_size=5)))
def test_what_a_run_says_travels_as_its_bytes(**told: Any) -> None:
    if not isinstance(told["extra"].get("metadata", {}), dict):
        told["extra"].pop("metadata")
    (row,) = [Row(1, 0, None, 0, 0, "r", "t", None, EPOCH, None)]
    source = {"id": "r", "name": "ünï", "run_type": "llm", "start_time": moment(EPOCH), **told}
    data = msgspec.json.encode(source)
    run = again(row, data)
    assert run == msgspec.structs.replace(read_run(data), trace="t")
    (placed,) = place(PROJECT, Shift("none"), tree_of([row]), [row])
    ((_, _, parts),) = operations(PROJECT, b'"p"', placed, run)
    sent = {name.rpartition(".")[2]: body for name, _, body in parts[1:]}
    assert sent == {name: msgspec.json.encode(told[name]) for name in APART if name in told}
    main = msgspec.json.decode(parts[0][2])
    assert (main["tags"], main["name"]) == (told["tags"], "ünï")


def test_an_event_moves_in_its_time_alone() -> None:
    told = b'[{"name":"a","time":"2024-05-01T10:00:00+05:30","kwargs":{"x":1.0}},{"time":"when"},{"time":null},{}]'
    assert events(told, 1_500_000) == (
        b'[{"name":"a","time":"2024-05-01T04:30:01.500000+00:00","kwargs":{"x":1.0}},{"time":"when"},{"time":null},{}]'
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"attachments": {"a": {"mime_type": "x/y", "data": "?"}}}, "its attachments must be"),
        ({"feedback": [{"key": "k", "id": [1]}]}, "its feedback must be"),
    ],
)
def test_what_operations_would_stumble_over_is_said_before(more: dict[str, Any], said: str) -> None:
    row = Row(1, 0, None, 0, 0, "r", "t", None, EPOCH, None)
    with pytest.raises(Unfit, match=said):
        check(run_of(row, **more))
