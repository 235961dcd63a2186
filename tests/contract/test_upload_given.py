"""What an upload is given that is broken, cut off, too old or another's: it is said, and nothing else suffers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from evalrunner.errors import ConfigError, DataError, RunBroken, RunFolderError, ServiceError
from evalrunner.exit_codes import ExitCode
from evalrunner.transfer.upload.index import Index, writing
from tests.support.recorded import Recorder, write_array
from tests.support.uploads import Desk, moment

BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "no start": ({"start_time": None}, "start_time"),
    "end before start": ({"end_time": "2020-01-01T00:00:00"}, "end_time"),
    "unknown type": ({"run_type": "agent"}, "run_type"),
    "list": ({"inputs": [1]}, "inputs"),
    "orphan": ({"parent_run_id": "nobody"}, "the parent 'nobody' of run"),
    "attachment": ({"attachments": {"a": {"mime_type": "x/y", "data": "not base64!"}}}, "attachments"),
    "feedback": ({"feedback": [{"score": 1}]}, "feedback"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_trace_is_whole_in_the_file_and_no_other_is_touched(desk: Desk, kind: str) -> None:
    change, said = BROKEN[kind]
    traces = list(Recorder(8).traces(60))
    broken = traces[2]
    broken[-1] |= change
    file = desk.folder / "t.json"
    file.write_text(json.dumps([run for trace in traces for run in trace], ensure_ascii=False))
    with pytest.raises(DataError, match=r"1 of .* traces cannot be uploaded .* nothing was sent"):
        desk.upload(file)
    assert not desk.backend.client.has_project(desk.project)
    done = desk.upload(file, on_error="skip")
    assert done.exit_code == ExitCode.FAILED
    (hole,) = done.broken
    assert said in hole.reason
    assert hole.where["file"] == str(file)
    assert desk.count() == sum(map(len, traces)) - len(broken)
    assert done.failed is not None
    (failed,) = json.loads(Path(done.failed).read_text())
    assert (failed["trace_id"], failed["reason"], failed["runs"]) == (
        broken[0]["trace_id"],
        hole.reason,
        broken,
    )
    again = desk.upload(Path(done.failed), on_error="skip")
    assert [one.reason for one in again.broken] == [hole.reason], "it is valid input"
    assert again.total["traces"] == 0


def test_a_file_that_spans_days_is_refused_before_anything_is_sent(desk: Desk) -> None:
    file = desk.folder / "t.json"
    runs = write_array(file, Recorder(9, span=5 * 86400).traces(80))
    with pytest.raises(DataError, match=r"span \d days.*--shift trace.*--shift none"):
        desk.upload(file)
    assert not desk.backend.client.has_project(desk.project)
    done = desk.upload(file, shift="trace")
    assert (done.exit_code, desk.count()) == (ExitCode.COMPLETE, runs)
    found = desk.runs().values()
    assert min(moment(run["start_time"]) for run in found) > datetime.now(timezone.utc) - timedelta(hours=24)
    with pytest.raises(ConfigError, match="has uploads with --shift trace, and all its traces move alike"):
        desk.upload(file, shift="now")
    assert desk.upload(file).already == done.total["traces"]


def test_a_dry_run_writes_nothing_there(desk: Desk) -> None:
    file = desk.folder / "t.json"
    write_array(file, Recorder(10).traces(40))
    for route in ("POST /runs/multipart", "POST /sessions", "POST /feedback"):
        desk.backend.faults({"match": route, "action": "status", "status": 500})
        done = desk.upload(file, dry_run=True)
        assert sum(one["matched"] for one in desk.backend.fault_report()["rules"]) == 0
    assert (done.exit_code, done.sent, done.project["id"]) == (ExitCode.COMPLETE, {}, None)
    assert not desk.backend.client.has_project(desk.project)
    assert "on the wire" in done.estimate[0]
    assert done.warnings == []


def test_an_experiment_is_no_project_for_recorded_traces(desk: Desk) -> None:
    file = desk.folder / "t.json"
    write_array(file, Recorder(11).traces(10))
    dataset = desk.backend.client.create_dataset(desk.project)
    desk.backend.client.create_project(desk.project, reference_dataset_id=dataset.id)
    with pytest.raises(ServiceError, match="is an experiment; recorded traces go to a tracing project"):
        desk.upload(file)


def test_a_project_that_was_there_keeps_what_it_says(desk: Desk) -> None:
    file = desk.folder / "t.json"
    write_array(file, Recorder(12).traces(10))
    desk.backend.client.create_project(desk.project, metadata={"team": "x"}, description="ours")
    assert desk.upload(file).exit_code == ExitCode.COMPLETE
    project = desk.backend.client.read_project(project_name=desk.project)
    assert (project.metadata["team"], project.description) == ("x", "ours")
    assert project.metadata["evalrunner_upload"]["shift"]["mode"] == "now"


def test_what_is_left_out_is_said(desk: Desk) -> None:
    file = desk.folder / "t.json"
    trace = next(iter(Recorder(14).traces(3)))
    trace[0]["reference_example_id"] = str(UUID(int=7))
    file.write_text(json.dumps(trace))
    done = desk.upload(file)
    assert done.exit_code == ExitCode.COMPLETE
    assert "1 runs name an example of a dataset (reference_example_id), which is left out" in done.warnings[0]
    assert [one["code"] for one in done.to_dict()["findings"]] == ["examples-left-out"]
    assert desk.runs()[trace[0]["name"]]["reference_example_id"] is None


def test_a_file_that_is_cut_off_is_said_to_be(desk: Desk) -> None:
    file = desk.folder / "t.json"
    write_array(file, Recorder(15).traces(40))
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    done = desk.upload(file, on_error="skip")
    assert done.exit_code == ExitCode.FAILED
    assert "the input is cut off: a trace before the cut may lack runs that stood behind it" in done.warnings
    assert any("cut off" in hole.reason for hole in done.broken)


def test_no_file_is_replaced_or_removed_but_one_of_failed_traces(desk: Desk) -> None:
    file, notes, failed = (desk.folder / name for name in ("t.json", "notes.json", "failed.json"))
    traces = list(Recorder(16).traces(30))
    file.write_text(json.dumps(traces[0]))
    notes.write_text('["mine"]')
    for other, said in (
        (file, "is one of the inputs"),
        (notes, "holds no failed traces"),
        (desk.folder, "holds no"),
    ):
        with pytest.raises(ConfigError, match=said):
            desk.upload(file, failed=other)
    assert (notes.read_text(), json.loads(file.read_text())) == ('["mine"]', traces[0])
    broken = desk.folder / "broken.json"
    broken.write_text(json.dumps([{**traces[1][0], "run_type": "agent"}]))
    assert desk.upload(broken, failed=failed, on_error="skip").failed == str(failed)
    assert json.loads(failed.read_text())[0]["trace_id"] == traces[1][0]["trace_id"]
    assert desk.upload(file, failed=failed).failed is None
    assert not failed.exists(), "what it said is not so any more"


def test_files_are_for_nobody_else_and_no_copy_of_the_input_is_kept(desk: Desk) -> None:
    file = desk.folder / "t.json"
    write_array(file, Recorder(13).traces(40))
    desk.upload(file)
    left = [path for path in (desk.folder / ".evalrunner").rglob("*") if path.is_file()]
    assert {path.name for path in left} <= {"lock", "index.sqlite", "index.sqlite-wal", "index.sqlite-shm"}
    assert {path.stat().st_mode & 0o077 for path in left} == {0}
    text = b"".join(path.read_bytes() for path in left)
    assert orjson.loads(file.read_bytes())[0]["inputs"]["messages"].encode()[:40] not in text
    assert desk.backend.token.encode() not in text


def test_a_project_without_a_name_is_not_the_first_that_comes(desk: Desk) -> None:
    file = desk.folder / "t.json"
    write_array(file, Recorder(17).traces(10))
    desk.upload(file)
    before = desk.count()
    for name in ("", "  "):
        with pytest.raises(ConfigError, match="the project has no name"):
            Desk(desk.backend, desk.folder, name).upload(file)
    assert desk.count() == before


def test_an_index_on_a_full_disk_ends_it_in_one_sentence(desk: Desk) -> None:
    index = Index(desk.folder / "index.sqlite")
    (pages,) = index.db.execute("PRAGMA page_count").fetchone()
    index.db.execute(f"PRAGMA max_page_count = {pages}")
    for begun, error in ((False, RunFolderError), (True, RunBroken)):
        with pytest.raises(error, match="cannot be written") as told, writing(index.path, begun=begun):
            index.db.execute("INSERT INTO facts VALUES (?, ?)", (str(begun), "x" * 100_000))
        assert ("the same command goes on" in str(told.value)) is begun
    index.close()
