"""Recorded traces into a project: everything of them, once, whatever happens; asked with nothing but the SDK."""

from __future__ import annotations

import base64
import json
import random
import re
import shutil
import warnings
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from langsmith import Client

from evalrunner.errors import ConfigError, DataError, RunBroken, RunFolderError, ServiceError
from evalrunner.exit_codes import ExitCode
from evalrunner.transfer.files.inputs import Inputs
from evalrunner.transfer.upload import confirm, dispatch
from evalrunner.transfer.upload.confirm import Confirmer
from evalrunner.transfer.upload.dispatch import Dispatch
from evalrunner.transfer.upload.index import Index, State, writing
from evalrunner.transfer.upload.plan import Plan
from evalrunner.transfer.upload.project import find
from evalrunner.transfer.upload.scan import scan
from evalrunner.transfer.upload.session import upload
from evalrunner.transfer.upload.summary import Uploaded, UploadOptions
from evalrunner.transfer.upload.there import Destination
from tests.support.recorded import TYPES, Recorder, write_array, write_lines
from tests.support.rig import Backend, backend_in

RUNS = "POST /runs/multipart"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with backend_in(tmp_path_factory.mktemp("backend")) as found:
        yield found


@pytest.fixture(autouse=True)
def quiet(backend: Backend) -> Iterator[None]:
    yield
    backend.faults()


class Desk:
    """Uploads from one folder into one project."""

    def __init__(self, backend: Backend, folder: Path, project: str) -> None:
        self.backend, self.folder, self.project = backend, folder, project
        self.notes: list[str] = []

    def upload(self, *paths: Path, **options: Any) -> Uploaded:
        told = {"root": self.folder / ".evalrunner" / "upload", "verify": "content", **options}
        return upload(self.backend.endpoint, UploadOptions(paths, self.project, **told), self.notes.append)

    def runs(self) -> dict[str, dict[str, Any]]:
        """Return the runs of the project by their names, whole, as the older generation of reads gives them."""
        client = self.backend.client
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            found = list(client.list_runs(project_name=self.project))
        assert len({run.id for run in found}) == len(found)
        return {run.name: run.model_dump(mode="json") for run in found}

    def count(self) -> int:
        project = self.backend.client.read_project(project_name=self.project)
        truth = self.backend.truth(str(project.id))
        return len(truth["runs"])


@pytest.fixture
def desk(backend: Backend, tmp_path: Path, request: pytest.FixtureRequest) -> Desk:
    return Desk(backend, tmp_path, f"{request.node.name}-{random.randrange(1 << 40):x}")


def moment(text: str) -> datetime:
    found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def corpus() -> list[dict[str, Any]]:
    """One trace that has everything: every type, odd values, zones, files, scores, an open run."""
    root: dict[str, Any] = {
        "id": "root 1", "name": "root", "run_type": "chain", "start_time": "2024-05-01T10:00:00",
        "end_time": "2024-05-01T10:00:09.123456789Z", "inputs": {"q": "ünï\u2028 \U0001f600", "big": 2**63 - 1},
        "outputs": {"a": [1.0, 0.1, -0.0, 1e22], "none": None}, "tags": ["a", "b"], "extra": {
            "metadata": {"tenant": "x", "usage_metadata": {"total_tokens": 7}}, "runtime": {"sdk": "other"}},
        "events": [{"name": "start", "time": "2024-05-01T15:30:00+05:30"}, {"name": "odd", "time": "whenever"}],
        "attachments": {"note.txt": {"mime_type": "text/plain", "data": base64.b64encode(b"\x00hello").decode()}},
        "feedback": [{"id": "f1", "key": "good", "score": 1, "comment": "so"}, {"key": "good", "score": 0.5},
                     {"key": "label", "value": "red"}],
    }  # fmt: skip
    runs = [root]
    for number, kind in enumerate(TYPES):
        start = datetime(2024, 5, 1, 10, 0, number, tzinfo=timezone(timedelta(hours=-8)))
        start = start - timedelta(hours=8)  # the same day, written in another zone
        runs.append(
            {
                "id": number, "name": f"child {kind}", "run_type": kind,
                "parent_run_id": "root 1" if number < 3 else number - 1,
                "start_time": start.isoformat(), "end_time": (start + timedelta(milliseconds=5)).isoformat(),
                "inputs": {"n": number}, "outputs": {"n": -number}, "serialized": {"kind": kind},
            }
        )  # fmt: skip
    runs[2] |= {"error": "ValueError('é')\n  line", "outputs": None}
    runs[3]["end_time"] = None
    return runs


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


def test_again_and_from_elsewhere_and_without_its_folder_nothing_is_added(desk: Desk, tmp_path: Path) -> None:
    file = desk.folder / "t.json"
    runs = write_array(file, Recorder(1).traces(120))
    first = desk.upload(file)
    assert (first.exit_code, first.already, desk.count()) == (ExitCode.COMPLETE, 0, runs)
    again = desk.upload(file)
    other = tmp_path / "elsewhere"
    other.mkdir()
    shutil.copy(file, other / "copy.json")
    elsewhere = Desk(desk.backend, other, desk.project).upload(other / "copy.json")
    for done in (again, elsewhere):
        assert done.exit_code == ExitCode.COMPLETE
        assert (done.sent["runs"], done.already) == (0, first.total["traces"])
    more = desk.folder / "more.jsonl"
    added = write_lines(more, Recorder(2).traces(30))
    both = desk.upload(file, more)
    assert (both.already, both.sent["runs"], desk.count()) == (first.total["traces"], added, runs + added)
    assert both.shift == first.shift


def test_what_was_deleted_there_is_sent_again(desk: Desk) -> None:
    file = desk.folder / "t.json"
    runs = write_array(file, Recorder(3).traces(60))
    desk.upload(file)
    project = desk.backend.client.read_project(project_name=desk.project)
    desk.backend.client.delete_project(project_id=project.id)
    done = desk.upload(file)
    assert (done.exit_code, done.sent["runs"], desk.count()) == (ExitCode.COMPLETE, runs, runs)


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


@pytest.fixture(params=["older", "newer"])
def reads(backend: Backend, request: pytest.FixtureRequest) -> Iterator[None]:
    """The destination answers one generation of reads, then the other."""
    newer = request.param == "newer"
    backend.flags(ch_query_enabled=not newer, sdb_query_enabled=newer)
    yield
    backend.flags(ch_query_enabled=True, sdb_query_enabled=False)


def open_and_ended() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A trace as it was recorded while it ran, and as it is when it has ended; and one that has ended before."""
    ended = corpus()
    late = {"outputs", "error", "events", "feedback", "attachments"}
    running = [
        {**{name: value for name, value in run.items() if name not in late}, "end_time": None}
        if run["name"] in ("root", "child llm")
        else run
        for run in ended
    ]
    other = {
        "id": "other",
        "name": "other",
        "run_type": "chain",
        "start_time": 1714557600,
        "end_time": 1714557601,
    }
    return [*running, other], [*ended, other]


@pytest.mark.usefixtures("reads")
def test_the_end_of_what_was_uploaded_open_follows_once(desk: Desk) -> None:
    running, ended = open_and_ended()
    file = desk.folder / "t.json"
    file.write_text(json.dumps(running))
    done = desk.upload(file)
    assert (done.exit_code, done.warnings) == (
        ExitCode.COMPLETE,
        ["3 run(s) of the input have not ended; upload them again when they have"],
    )
    file.write_text(json.dumps(ended))
    done = desk.upload(file)
    assert done.exit_code == ExitCode.COMPLETE, (done.not_visible, done.different)
    opened = sum(run["end_time"] is None for run in running) - sum(run["end_time"] is None for run in ended)
    assert (done.already, done.sent["traces"], done.sent["runs"], done.sent["feedback"]) == (1, 1, opened, 3)
    assert desk.count() == len(ended)
    again = desk.upload(file)
    assert (again.exit_code, again.already, again.sent["runs"]) == (ExitCode.COMPLETE, 2, 0)


def test_what_is_there_in_part_stays_known_where_the_asking_ends_early(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = list(Recorder(18).traces(120))
    opened = [{**trace[0], "end_time": None, "outputs": None, "error": None} for trace in ended[-3:]]
    file = desk.folder / "t.json"
    file.write_text(json.dumps(opened))
    assert desk.upload(file, verify="ids").exit_code == ExitCode.COMPLETE
    file.write_text(json.dumps([run for trace in ended for run in trace]))
    project = find(desk.backend.client, desk.project)
    assert project.id is not None
    assert project.shift is not None
    monkeypatch.setattr(confirm, "_TOGETHER", 10)
    monkeypatch.setattr(dispatch, "AHEAD_BYTES", 0)
    with Inputs((file,), desk.folder) as inputs:
        scan(inputs, desk.folder / "index.sqlite", 20 << 20, desk.notes.append)
        index = Index(desk.folder / "index.sqlite")
        plan = Plan(inputs, index, project.id, project.name, project.shift)
        confirmer = Confirmer(index, plan, Destination(desk.backend.client, project.id, newer=False))
        for booked in (0, 1):  # the second one goes on where the first was cut off
            index.book((n, State.ACCEPTED, None) for n in range(1, booked + 1))
            Dispatch(index, plan, confirmer, desk.notes.append).look_for_known(known=True)
            partly = [tree.key for tree in index.trees("state = ?", int(State.PARTLY))]
            assert partly == [trace[0]["trace_id"] for trace in ended[-3:]]
        index.close()


def test_an_index_on_a_full_disk_ends_it_in_one_sentence(desk: Desk) -> None:
    index = Index(desk.folder / "index.sqlite")
    (pages,) = index.db.execute("PRAGMA page_count").fetchone()
    index.db.execute(f"PRAGMA max_page_count = {pages}")
    for begun, error in ((False, RunFolderError), (True, RunBroken)):
        with pytest.raises(error, match="cannot be written") as told, writing(index.path, begun=begun):
            index.db.execute("INSERT INTO facts VALUES (?, ?)", (str(begun), "x" * 100_000))
        assert ("the same command goes on" in str(told.value)) is begun
    index.close()
