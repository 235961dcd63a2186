"""`evalrunner download` over real sockets, in both generations of reads, compared byte by byte with what was sent."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.cli import in_process
from tests.support.corpus import APART, OLD, RUN_TYPES, Sent, rated, run, send, whole
from tests.support.downloads import FIELDS, download, ids, lines, new_project
from tests.support.rig import Backend

#: What an upload makes anew, or moves.
CHANGED = ("id", "trace_id", "parent_run_id", "start_time", "end_time", "feedback", "events")


@pytest.fixture(params=["older", "newer"])
def backend(request: pytest.FixtureRequest, there: Backend) -> Iterator[Backend]:
    """It, healthy, with one generation of reads or the other."""
    newer = request.param == "newer"
    there.faults()
    there.flags(ch_query_enabled=not newer, sdb_query_enabled=newer)
    yield there
    there.faults()
    there.flags(ch_query_enabled=True, sdb_query_enabled=False)


def full_time(told: str | None) -> str | None:
    if told is None:
        return None
    return datetime.fromisoformat(told).astimezone(timezone.utc).isoformat(timespec="microseconds")


def assert_as_sent(got: dict[str, bytes], sent: Sent, *, but: str = "") -> None:
    """Every field `but` one is what was sent: the values by their bytes."""
    for name in ("id", "trace_id", "parent_run_id", "name", "run_type", "tags", "reference_example_id"):
        assert orjson.loads(got[name]) == sent.main.get(name), name
    for name in ("start_time", "end_time"):
        assert orjson.loads(got[name]) == full_time(sent.main.get(name)), name
    for name in (one for one in APART if one != but):
        assert got[name] == sent.apart.get(name, b"null").replace(b"\n", b" "), name
    files = orjson.loads(got["attachments"]) or {}
    assert {
        name: (one["mime_type"], base64.b64decode(one["data"])) for name, one in files.items()
    } == sent.files
    assert_rated(orjson.loads(got["feedback"]) or [], sent.feedback)


def assert_rated(got: list[dict[str, Any]], sent: list[dict[str, Any]]) -> None:
    assert {row["id"] for row in got} == {row["id"] for row in sent}
    by_id = {row["id"]: row for row in got}
    for row in sent:
        found = by_id[row["id"]]
        for name in ("key", "score", "value", "comment", "correction", "extra"):
            assert found[name] == row.get(name), name
        if row.get("feedback_source"):
            assert row["feedback_source"].items() <= found["feedback_source"].items()
        assert found["created_at"].endswith("+00:00")
        if row.get("created_at"):
            assert found["created_at"] == full_time(row["created_at"])


def assert_ordered(found: list[dict[str, Any]]) -> None:
    """Traces stand together, oldest first; parents before children."""
    traces: dict[str, list[str]] = {}
    for one in found:
        if one["trace_id"] not in traces:
            traces[one["trace_id"]] = []
        else:
            assert one["trace_id"] == list(traces)[-1], "a trace in two pieces"
        members = traces[one["trace_id"]]
        known = {other["id"] for other in found if other["trace_id"] == one["trace_id"]}
        assert (
            one["parent_run_id"] is None
            or one["parent_run_id"] in members
            or one["parent_run_id"] not in known
        )
        members.append(one["id"])
    starts = [min(one["start_time"] for one in found if one["trace_id"] == trace) for trace in traces]
    assert starts == sorted(starts)


def test_the_file_has_every_run_as_it_was_sent(backend: Backend, tmp_path: Path) -> None:
    project = new_project()
    sent = whole(project)
    assert {one.main["run_type"] for one in sent} == set(RUN_TYPES)
    send(backend, sent)
    done = download(backend, tmp_path, "--project", project, "runs.jsonl", "--json")
    assert done.code == 0, done.err
    file = tmp_path / "runs.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    data = file.read_bytes()
    found = lines(data)
    by_id = {orjson.loads(one["id"]): one for one in found}
    assert sorted(by_id) == sorted(one.id for one in sent)
    for one in sent:
        assert_as_sent(by_id[one.id], one)
    assert_ordered([orjson.loads(line) for line in data.split(b"\n")[:-1]])
    told = done.receipt
    counts = {
        name: told[name] for name in ("runs", "traces", "feedback", "attachments", "open_runs", "bytes")
    }
    assert counts == {
        "runs": len(sent), "traces": 3, "feedback": 3, "attachments": 2, "open_runs": 1, "bytes": len(data),
    }  # fmt: skip
    assert (told["complete"], told["missing"], told["appeared"], told["changed"]) == (True, [], 0, 0)


def test_a_large_project_is_read_in_pages_and_portions(backend: Backend, tmp_path: Path) -> None:
    project, sent = new_project(), []
    for number in range(12):
        root = run(project, OLD + timedelta(minutes=number % 5))
        rated(root, "n", score=number)
        sent += [root]
        # Children that begin together, before their parent, or in any order.
        for child in range(30):
            sent.append(
                run(project, OLD + timedelta(seconds=child % 3 - 1), sent[-1 - (child and child % 2)])
            )
    big = run(project, OLD + timedelta(days=1))
    sent += [big, *(run(project, OLD + timedelta(days=1), big) for _ in range(240))]
    sent[5].apart["inputs"] = b'{"x":"' + b"a" * 6_000_000 + b'"}'
    send(backend, sent)
    done = download(backend, tmp_path, "--project", project, "runs.jsonl", "--json")
    assert done.code == 0, done.err
    data = (tmp_path / "runs.jsonl").read_bytes()
    assert sorted(ids(data)) == sorted(one.id for one in sent)
    assert_ordered([orjson.loads(line) for line in data.split(b"\n")[:-1]])
    assert done.receipt["feedback"] == 12


def test_a_filter_takes_whole_traces_of_the_roots_that_fit(backend: Backend, tmp_path: Path) -> None:
    project, sent = new_project(), []
    for number in range(4):
        root = run(project, OLD + timedelta(minutes=number), name="wanted" if number % 2 else "other")
        child = run(project, OLD + timedelta(minutes=number), root, name="other" if number % 2 else "wanted")
        rated(child, "c", score=number)
        sent += [root, child]
    send(backend, sent)
    what = ("--project", project, "--filter", 'eq(name, "wanted")')
    done = download(backend, tmp_path, *what, "runs.jsonl", "--json")
    assert done.code == 0, done.err
    data = (tmp_path / "runs.jsonl").read_bytes()
    assert ids(data) == [one.id for one in (*sent[2:4], *sent[6:8])]
    assert [len(orjson.loads(one["feedback"]) or []) for one in lines(data)] == [0, 1, 0, 1]
    assert (done.receipt["traces"], done.receipt["runs"], done.receipt["feedback"]) == (2, 4, 2)
    none = download(backend, tmp_path, "--project", project, "--filter", 'eq(name, "x")', "none.jsonl")
    assert none.code == 0
    assert "no trace matches" in none.err
    assert (tmp_path / "none.jsonl").read_bytes() == b""


def test_a_filter_that_is_none_is_the_users_mistake(backend: Backend, tmp_path: Path) -> None:
    project = new_project()
    send(backend, [run(project, OLD)])
    done = download(backend, tmp_path, "--project", project, "--filter", "eq(name", "runs.jsonl")
    assert done.code == 2
    assert "LangSmith does not answer for the filter 'eq(name'" in done.err
    assert os.listdir(tmp_path) == []


def test_an_experiment_with_its_scores(backend: Backend, tmp_path: Path) -> None:
    dataset = backend.dataset(2)
    name = backend.experiment(dataset)
    project = backend.client.read_project(project_name=name)
    examples = [str(one.id) for one in backend.client.list_examples(dataset_id=dataset.id)]
    sent, judges = [], []
    for example in examples:
        root, judge = run(name, OLD, reference_example_id=example), run("evaluators", OLD)
        told = {"type": "model", "metadata": {"__run": {"run_id": judge.id}}}
        for key in ("right", "short"):
            rated(root, key, score=1.0, feedback_source=told, session_id=str(project.id))
        sent += [root, run(name, OLD, root)]
        judges.append(judge)
    send(backend, sent + judges)
    backend.client.create_feedback(None, "mean", project_id=project.id, score=0.5)
    done = download(backend, tmp_path, "--experiment", name, "x.jsonl", "--json")
    assert done.code == 0, done.err
    data = (tmp_path / "x.jsonl").read_bytes()
    # The evaluators' own traces are in a project of theirs.
    assert sorted(ids(data)) == sorted(one.id for one in sent)
    by_id = {orjson.loads(one["id"]): one for one in lines(data)}
    for one in sent:
        assert_as_sent(by_id[one.id], one, but="extra")  # where the service puts the example's metadata
    assert (done.receipt["feedback"], done.receipt["left_out"]) == (4, 1)
    assert "1 score(s) of the project itself" in done.err
    tracing = new_project()
    send(backend, [run(tracing, OLD)])
    refused = download(backend, tmp_path, "--experiment", tracing, "y.jsonl")
    assert (refused.code, "is a tracing project, no experiment" in refused.err) == (2, True)
    near = download(backend, tmp_path, "--experiment", name.upper(), "y.jsonl")
    assert (near.code, f"did you mean '{name}'" in near.err) == (2, True), near.err


def test_a_service_that_stumbles_is_asked_again(backend: Backend, tmp_path: Path) -> None:
    project = new_project()
    sent = whole(project)
    send(backend, sent)
    backend.faults(
        {"match": "* /runs/query", "action": "status", "status": 429, "retry_after": 0, "first_n": 2},
        {"match": "* /v2/runs/query", "action": "status", "status": 429, "retry_after": 0, "first_n": 2},
        {"match": "GET /feedback*", "action": "cut_before", "first_n": 1},
        {"match": "GET /attachments/*", "action": "status", "status": 503, "first_n": 2},
        seed=1,
    )
    done = download(backend, tmp_path, "--project", project, "runs.jsonl", "--json")
    assert done.code == 0, done.err
    assert "asking again in" in done.err
    assert sorted(ids((tmp_path / "runs.jsonl").read_bytes())) == sorted(one.id for one in sent)
    assert done.receipt["attachments"] == 2


def test_a_service_that_fails_in_the_middle_leaves_no_file_under_its_name(
    backend: Backend, tmp_path: Path
) -> None:
    project = new_project()
    send(backend, whole(project))
    backend.faults({"match": "GET /attachments/*", "action": "status", "status": 500})
    words = ("--project", project, "runs.jsonl", "--read-deadline", "0.3")
    done = download(backend, tmp_path, *words)
    assert done.code == 3, done.err
    assert "has not answered for 0.3 s" in done.err
    assert "runs.jsonl was not written" in done.err
    assert "signature" not in done.err
    assert os.listdir(tmp_path) == []
    backend.faults()
    assert download(backend, tmp_path, *words).code == 0
    assert os.listdir(tmp_path) == ["runs.jsonl"]


def test_an_attachment_that_is_not_given_is_named(backend: Backend, tmp_path: Path) -> None:
    project = new_project()
    sent = whole(project)
    send(backend, sent)
    backend.faults({"match": "GET /attachments/*", "action": "status", "status": 404, "first_n": 1})
    done = download(backend, tmp_path, "--project", project, "runs.jsonl", "--json")
    assert done.code == 3, done.err
    (hole,) = done.receipt["missing"]
    assert (hole["kind"], hole["run"]) == ("attachment", sent[0].id)
    assert "404" in hole["reason"]
    assert done.receipt["attachments"] == 1
    assert len(ids((tmp_path / "runs.jsonl").read_bytes())) == len(sent)


def test_a_round_trip_changes_ids_and_times_and_nothing_else(backend: Backend, tmp_path: Path) -> None:
    first, second = new_project(), new_project()
    send(backend, [one for one in whole(first) if one.main["name"] != "orphan"])
    assert download(backend, tmp_path, "--project", first, "one.jsonl", "--quiet").code == 0
    env = backend.environment(HOME=str(tmp_path))
    words = ("upload", "one.jsonl", "--project", second, "--shift", "36h", "--json")
    sent = in_process(*words, cwd=tmp_path, env=env)
    assert sent.code == 0, sent.err
    assert download(backend, tmp_path, "--project", second, "two.jsonl", "--quiet").code == 0
    one, two = (lines((tmp_path / name).read_bytes()) for name in ("one.jsonl", "two.jsonl"))
    assert len(one) == len(two)
    same = [name for name in FIELDS if name not in CHANGED]
    for before, after in zip(one, two, strict=True):
        assert {name: before[name] for name in same} == {name: after[name] for name in same}
        assert ratings(before) == ratings(after)
        for name in ("start_time", "end_time"):
            assert later(before[name], timedelta(hours=36)) == later(after[name])
    places = [{orjson.loads(run["id"]): number for number, run in enumerate(runs)} for runs in (one, two)]
    for name in ("parent_run_id", "trace_id"):
        assert [places[0].get(orjson.loads(run[name])) for run in one] == [
            places[1].get(orjson.loads(run[name])) for run in two
        ]


def ratings(run: dict[str, bytes]) -> list[tuple[Any, ...]]:
    rows = orjson.loads(run["feedback"]) or []
    kept = ("key", "score", "value", "comment", "correction")
    return sorted((tuple(row[name] for name in kept) for row in rows), key=str)


def later(told: bytes, by: timedelta = timedelta()) -> datetime | None:
    text = orjson.loads(told)
    return None if text is None else datetime.fromisoformat(text) + by
