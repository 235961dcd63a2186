"""Recorded traces uploaded once more: nothing is added but what was not there, had not ended, or was deleted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalrunner.exit_codes import ExitCode
from evalrunner.transfer.files.inputs import Inputs
from evalrunner.transfer.upload import confirm, dispatch
from evalrunner.transfer.upload.confirm import Confirmer
from evalrunner.transfer.upload.dispatch import Dispatch
from evalrunner.transfer.upload.index import Index, State
from evalrunner.transfer.upload.plan import Plan
from evalrunner.transfer.upload.project import find
from evalrunner.transfer.upload.scan import scan
from evalrunner.transfer.upload.there import Destination
from tests.support.recorded import Recorder, write_array, write_lines
from tests.support.rig import Backend
from tests.support.uploads import Desk, corpus


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
