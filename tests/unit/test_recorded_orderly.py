"""What is told of an orderly file in one pass is what the forest's queries say; of any other, nothing is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalrunner.transfer.upload.forest import resolve
from evalrunner.transfer.upload.index import Index, Row
from evalrunner.transfer.upload.orderly import place_orderly

TABLES = ("trees", "placed", "runs")
LIMIT, MOST = 100, 25_000


@st.composite
def forests(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Traces that stand together, parents before children, in times in any relation; now and then one is not so."""
    rows: list[dict[str, Any]] = []
    for tree in range(draw(st.integers(0, 4))):
        for number in range(draw(st.integers(1, 5))):
            parent = None if not number else f"{tree}.{draw(st.integers(0, number - 1))}"
            start = draw(st.integers(0, 50))
            finish = draw(st.none() | st.integers(start, 60))
            rows.append(row(f"{tree}.{number}", parent, f"t{tree}", start=start, finish=finish))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2])) if rows else 0):
        one = draw(st.sampled_from(rows))
        name = draw(st.sampled_from(["id", "parent", "trace", "fault", "length", "order"]))
        if name == "order":
            rows = draw(st.permutations(rows))
        elif name == "length":
            one["length"] = LIMIT + 1
        else:
            one[name] = draw(st.sampled_from([None, "0.0", "0.1", "1.0", "t0", "t1", "gone", one["id"]]))
    return rows


def told(path: Path, rows: list[dict[str, Any]], *, orderly: bool) -> tuple[bool, list[Any]]:
    """Return whether one pass was enough, and what the index says then."""
    path.unlink(missing_ok=True)
    index = Index(path, fresh=True)
    try:
        index.fill(Row(n, 0, n, n * 10, **{"length": 10, **row}) for n, row in enumerate(rows, start=1))
        enough = orderly and place_orderly(index.db, LIMIT, MOST)
        if not enough:
            assert index.count("1")[0] == 0
            assert not index.db.execute("SELECT 1 FROM placed").fetchone()
            resolve(index.db, LIMIT, orderly=False)
        return enough, [index.db.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES]
    finally:
        index.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(forests())
def test_as_the_queries_say(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    enough, found = told(tmp_path / "index.sqlite", rows, orderly=True)
    _, wanted = told(tmp_path / "other.sqlite", rows, orderly=False)
    assert found == wanted
    if enough:
        assert all(fault is None for *_, fault, _, _, _ in found[0])


def row(one: str, parent: str | None, trace: str | None, **more: Any) -> dict[str, Any]:
    return {"id": one, "parent": parent, "trace": trace, "start": 1, "finish": 2} | more


def test_which_are_told_in_one_pass(tmp_path: Path) -> None:
    whole = [row("a", None, "t"), row("b", "a", "t"), row("c", "b", "t"), row("x", None, "u")]
    for rows, enough in (
        (whole, True),
        ([], True),
        ([*whole, row("d", "a", "t")], False),  # it stands apart
        ([*whole, row("e", None, "t")], False),  # a second root, further down: all before it has been told
        ([whole[1], whole[0]], False),  # before its parent
        ([*whole, row("y", None, "u")], False),  # a second root
        ([*whole, row("a", None, "v")], False),  # twins
        ([*whole, row("y", "a", "v")], False),  # of another trace than its parent
        ([*whole, row("y", None, None)], False),  # its trace is not named
        ([*whole, row("y", None, "v", fault="no name")], False),
        ([*whole, row("y", None, "v", length=LIMIT + 1)], False),
        ([*whole, row("y", "y", "v")], False),  # its own parent
    ):
        assert told(tmp_path / "index.sqlite", rows, orderly=True)[0] is enough, rows


def test_more_runs_than_a_service_takes(tmp_path: Path) -> None:
    index = Index(tmp_path / "index.sqlite")
    try:
        index.fill(Row(n, 0, n, 0, 1, str(n), "t", None if n == 1 else "1", 1) for n in range(1, 5))
        assert not place_orderly(index.db, LIMIT, 3)
        assert place_orderly(index.db, LIMIT, 4)
    finally:
        index.close()
