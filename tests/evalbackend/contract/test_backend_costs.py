"""What SQLite does for a request: which statements the server runs, and what it makes of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from evalbackend.store import db
from evalbackend.store.functions import register
from evalbackend.store.journal import Journal
from evalbackend.web.tree import read_tree
from tests.support.backend import (
    Backend,
    body,
    part,
    patch,
    post,
    run_id,
    running,
)

A, CHILD, B = run_id(), run_id(), run_id()
USAGE = {"usage_metadata": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}}
_ABORT = 2  # OE_Abort


@dataclass
class Watched:
    """A server, and what its connections were asked since `seen` was emptied, values filled in."""

    backend: Backend
    path: Path
    seen: list[str]

    def statements(self, *verbs: str) -> set[str]:
        """Return the statements that begin so; what triggers do begins with a comment."""
        return {one for one in self.seen if one.split()[0] in verbs}


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    seen: list[str] = []
    plain = db.connect

    def connect(address: str) -> sqlite3.Connection:
        connection = plain(address)
        connection.set_trace_callback(seen.append)
        return connection

    monkeypatch.setattr(db, "connect", connect)
    with running(tmp_path / "store.db") as backend:
        seen.clear()
        yield Watched(backend, tmp_path / "store.db", seen)


def filled(backend: Backend) -> str:
    """Store two traces, the first with a child; return their project."""
    start, end = "20260102T030405000006Z", "2026-01-02T03:04:06.000006+00:00"
    below = {"trace_id": A, "dotted_order": f"{start}{A}.{start}{CHILD}", "parent_run_id": A}
    extra = {"metadata": {"thread_id": "t"}}
    children = post(CHILD, "p", run_type="llm", outputs=USAGE, extra=extra, **below)
    roots = post(A, "p", end_time=None, extra=extra) + post(B, "p", extra=extra)
    score = {"id": run_id(), "run_id": A, "trace_id": A, "key": "k", "score": 1}
    assert backend.multipart(body(roots, children)).status_code == 202
    changed = body(patch(A, end_time=end, outputs={"x": 1}), part(f"feedback.{score['id']}", score))
    assert backend.multipart(changed).status_code == 202
    return str(backend.call("GET", "/sessions?name=p").json()[0]["id"])


def ask(backend: Backend, project: str) -> None:
    """Ask, in every way there is, for runs by their trace."""
    filters = (f'eq(trace_id, "{A}")', f'and(eq(name, "target"), in(trace, ["{A}", "{B}"]))')
    whole: list[dict[str, Any]] = [{"trace": A}, *({"session": [project], "filter": one} for one in filters)]
    whole += [{"session": [project], "trace": A}]
    whole += [{"session": [project], name: 'eq(name, "target")'} for name in ("trace_filter", "tree_filter")]
    for query, count in zip(whole, (2, 2, 3, 2, 3, 3), strict=True):
        assert len(backend.call("POST", "/runs/query", json=query).json()["runs"]) == count, query
        assert backend.call("POST", "/runs/stats", json=query).json()["run_count"] == count, query
    since = {"min_start_time": "2026-01-01T00:00:00Z"}
    v2 = {"project_ids": [project], "trace_id": A, "include_subtree_usage": True, **since}
    assert len(backend.call("POST", "/v2/runs/query", json=v2).json()["items"]) == 2
    assert len(backend.call("GET", f"/v2/traces/{A}/runs?project_id={project}").json()["items"]) == 2
    traces = {"project_id": project, "selects": ["TOTAL_TOKENS"], **since}
    found = backend.call("POST", "/v2/traces/query", json=traces).json()["items"]
    assert sorted(str(one["trace_aggregates"]["total_tokens"]) for one in found) == ["3", "None"]
    token = backend.call("PUT", f"/runs/{A}/share", json={"run_id": A}).json()["share_token"]
    assert len(backend.call("POST", f"/public/{token}/runs/query", json={}).json()["runs"]) == 2
    assert len(backend.call("POST", f"/v2/public/{token}/runs/query", json={}).json()["items"]) == 2


def test_no_query_by_trace_reads_all_runs(watched: Watched) -> None:
    project = filled(watched.backend)
    ask(watched.backend, project)
    with db.connect(str(watched.path)) as reader:
        assert [node.id for node in read_tree(reader, A)[0]] == [A, CHILD]
    reader.close()
    gone = {"session_id": project, "trace_ids": [A]}
    assert watched.backend.call("POST", "/runs/delete", json=gone).status_code == 202
    assert watched.backend.truth("p")["counts"]["runs"] == 1
    plans = {}
    connection = sqlite3.connect(watched.path)
    register(connection)
    for one in watched.statements("SELECT", "DELETE", "UPDATE"):
        if "trace_id" in one:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {one}").fetchall()
            plans[one] = [row[3] for row in plan]
    connection.close()
    assert sum("INDEX runs_by_trace" in " ".join(plan) for plan in plans.values()) > 10
    for one, plan in plans.items():
        assert not any(line.startswith(("SCAN runs", "SCAN part", "SCAN below")) for line in plan), (
            one,
            plan,
        )


def program(connection: sqlite3.Connection, statement: str) -> list[tuple[Any, ...]]:
    """Return the opcodes of a statement and of the triggers that it sets off."""
    return connection.execute(f"EXPLAIN {statement}").fetchall()


def test_no_run_and_no_score_needs_a_journal_of_its_own(watched: Watched) -> None:
    """SQLite keeps one for a statement that may abort in the middle: it copies each page before it changes."""
    filled(watched.backend)
    connection = sqlite3.connect(watched.path)
    Journal(connection)
    found = [one for one in watched.statements("INSERT", "UPDATE") if {"runs", "feedback"} & {*one.split()}]
    assert len(found) == 6, "three creates, an update in two parts, and a score"
    for one in found:
        for _, name, rc, action, *_ in program(connection, one):
            assert name not in ("Function", "PureFunction"), one
            assert name not in ("Halt", "HaltIfNull") or rc == 0 or action != _ABORT, one
    connection.close()


def test_an_update_that_moves_nothing_writes_to_no_index(watched: Watched) -> None:
    filled(watched.backend)
    connection = sqlite3.connect(watched.path)
    names = dict(connection.execute("SELECT rootpage, name FROM sqlite_master WHERE rootpage > 0"))
    (one,) = (one for one in watched.statements("UPDATE") if "patch_n = 1" in one)
    steps = program(connection, one)
    connection.close()
    opened = {step[2]: names[step[3]] for step in steps if step[1] == "OpenWrite" and step[4] == 0}
    written = {opened[step[2]] for step in steps if step[1] in ("IdxInsert", "IdxDelete")}
    assert written <= {"usage_by_trace"}, "that has only runs that tell usage"
