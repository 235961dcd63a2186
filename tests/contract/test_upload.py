"""Recorded traces into a project: everything of them, once, whatever happens; asked with nothing but the SDK."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from langsmith import Client

from evalrunner.exit_codes import ExitCode
from tests.support.recorded import Recorder, write_array
from tests.support.uploads import Desk, corpus, moment

RUNS = "POST /runs/multipart"


def test_everything_of_a_trace_is_there_and_nothing_else_has_changed(desk: Desk) -> None:
    source = {run["name"]: run for run in corpus()}
    (desk.folder / "t.json").write_text(json.dumps(list(source.values())[::-1], ensure_ascii=False))
    done = desk.upload(desk.folder / "t.json")
    assert done.exit_code == ExitCode.COMPLETE, done
    assert done.sent == {"traces": 1, "runs": 8, "feedback": 3, "bytes": done.sent["bytes"]}
    found = desk.runs()
    assert found.keys() == source.keys()
    shifts = {moment(found[name]["start_time"]) - moment(run["start_time"]) for name, run in source.items()}
    assert len(shifts) == 1, "all times move alike"
    (shift,) = shifts
    for name, run in source.items():
        there = found[name]
        for field in ("run_type", "inputs", "outputs", "error"):
            assert there[field] == run.get(field), (name, field)
        assert there["tags"] == run.get("tags")
        assert (there["extra"] or {}).get("metadata", {}) == (run.get("extra") or {}).get("metadata", {})
        ended = there["end_time"] and moment(there["end_time"]) - shift
        assert ended == (run["end_time"] and moment(re.sub(r"(\.\d{6})\d+", r"\1", run["end_time"]))), name
        parent = next((one["name"] for one in source.values() if one["id"] == run.get("parent_run_id")), None)
        assert there["parent_run_id"] == (parent and found[parent]["id"])
        assert there["trace_id"] == found["root"]["id"]
        assert UUID(there["id"]).version == 7
    assert found["root"]["events"][0] == {
        "name": "start", "time": (moment("2024-05-01T10:00:00") + shift).isoformat(timespec="microseconds")
    }  # fmt: skip
    assert found["root"]["events"][1] == {"name": "odd", "time": "whenever"}
    scores = list(desk.backend.client.list_feedback(run_ids=[found["root"]["id"]]))
    assert sorted((one.key, one.score, one.value, one.comment) for one in scores if one.key == "good") == [
        ("good", 0.5, None, None), ("good", 1, None, "so"),
    ]  # fmt: skip
    assert [one.value for one in scores if one.key == "label"] == ["red"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        run = desk.backend.client.read_run(found["root"]["id"])
    assert {name: one["reader"].read() for name, one in run.attachments.items()} == {"note.txt": b"\x00hello"}


def test_numbers_travel_as_they_are_written(desk: Desk) -> None:
    text = '{"one": 1.0, "ten": 1e1, "long": 0.1000000000000000055511151231257827, "key order": {"b": 1, "a": 2}}'
    run = '{"id": "r", "name": "r", "run_type": "llm", "start_time": 1714557600, "inputs": %s, "outputs": %s}'
    (desk.folder / "t.jsonl").write_text(run % (text, text) + "\n")
    assert desk.upload(desk.folder / "t.jsonl").exit_code == ExitCode.COMPLETE
    (found,) = desk.runs().values()
    client = desk.backend.client
    answer = client.request_with_retries("GET", f"/runs/{found['id']}")
    assert text.replace(" ", "").encode() in answer.content.replace(b" ", b"")


@pytest.mark.parametrize(
    "fault",
    [
        {"match": RUNS, "action": "status", "status": 429, "retry_after": 0.1, "first_n": 3},
        {"match": RUNS, "action": "cut_after", "first_n": 2},
        {"match": RUNS, "action": "status", "status": 503, "first_n": 4},
        {"match": RUNS, "action": "status", "status": 413, "first_n": 3},
        {"match": RUNS, "action": "late", "seconds": 2},
    ],
    ids=lambda fault: "-".join(map(str, list(fault.values())[1:])),
)
def test_whatever_the_service_does_every_run_is_there_once(desk: Desk, fault: dict[str, Any]) -> None:
    file = desk.folder / "t.json"
    runs = write_array(file, Recorder(4, size=6000).traces(600))
    desk.backend.faults(fault, seed=5)
    done = desk.upload(file)
    report = desk.backend.fault_report()
    desk.backend.faults()
    assert sum(one["fired"] for one in report["rules"]), report
    assert done.exit_code == ExitCode.COMPLETE, (done.not_delivered, done.not_visible, done.different)
    assert desk.count() == runs


def test_what_was_accepted_and_is_not_there_is_named(desk: Desk) -> None:
    file = desk.folder / "t.json"
    write_array(file, Recorder(5).traces(100))
    desk.backend.faults({"match": RUNS, "action": "forget", "fraction": 0.3}, seed=5)
    done = desk.upload(file, visible_deadline=1)
    assert done.exit_code == ExitCode.INCOMPLETE
    assert done.not_visible
    assert "runs do not come back" in done.not_visible[0].reason
    assert done.confirmed + len(done.not_visible) == done.total["traces"]
    desk.backend.faults()
    assert desk.upload(file).exit_code == ExitCode.COMPLETE


def test_what_the_service_refuses_is_named_with_its_words_and_can_be_uploaded_again(desk: Desk) -> None:
    file = desk.folder / "t.json"
    write_array(file, Recorder(6).traces(40))
    marked = json.loads(file.read_text())
    marked[0]["inputs"]["mark"] = "poisonous-7"
    file.write_text(json.dumps(marked))
    desk.backend.faults({"match": RUNS, "action": "status", "status": 422, "carries": "poisonous-7"})
    done = desk.upload(file)
    assert done.exit_code == ExitCode.INCOMPLETE
    (hole,) = done.not_delivered
    assert hole.trace_id == marked[0]["trace_id"]
    assert "422" in hole.reason
    assert done.failed is not None
    (failed,) = json.loads(Path(done.failed).read_text())
    assert failed["runs"] == [run for run in marked if run["trace_id"] == hole.trace_id]


def doubled_tokens(client: Client, run: dict[str, Any]) -> None:
    client.update_run(run["id"], outputs={**run["outputs"], "usage": {"total_tokens": 14}})


def inherited_metadata(client: Client, run: dict[str, Any]) -> None:
    metadata = {**run["extra"]["metadata"], "of its parent": 1}
    client.update_run(run["id"], extra={**run["extra"], "metadata": metadata})


def another_score(client: Client, run: dict[str, Any]) -> None:
    (score,) = (one for one in client.list_feedback(run_ids=[run["id"]]) if one.comment == "so")
    client.update_feedback(score.id, score=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (doubled_tokens, "outputs: sent "),
        (inherited_metadata, "extra: sent "),
        (another_score, "feedback 'good', score: sent 1, came back 0"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_later_change_is_seen_by_content_and_not_by_ids(desk: Desk, change: Any, said: str) -> None:
    file = desk.folder / "t.json"
    runs = corpus()
    file.write_text(json.dumps(runs))
    assert desk.upload(file).exit_code == ExitCode.COMPLETE
    change(desk.backend.client, desk.runs()["root"])
    assert desk.upload(file, verify="ids").exit_code == ExitCode.COMPLETE
    done = desk.upload(file)
    assert done.exit_code == ExitCode.INCOMPLETE
    assert [hole.trace_id for hole in done.different] == ["root 1"]
    assert f"run root 1, {said}" in done.different[0].reason
