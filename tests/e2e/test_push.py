"""`evalrunner push` from one backend to another over real sockets, read on both sides with the SDK."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from evalrunner.connect.embedded import Embedded
from tests.support.cli import in_process
from tests.support.pushes import EXAMPLES, OLD, REPETITIONS, Here, assert_equal, filled, order, trace
from tests.support.rig import Backend, clean_environment

#: The SDK's older reads serve both sides.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """The source, which no push changes."""
    with filled(tmp_path_factory.mktemp("here")) as one:
        yield one


def test_the_copy_says_what_the_original_says(here: Here, there: Backend) -> None:
    done = here.push(there, "--experiment-name", "first", "--dataset-name", "first")
    assert done.code == 0, done.err
    copy = assert_equal(here, there, "first")
    traces = EXAMPLES * REPETITIONS
    assert done.receipt["total"] == {
        "traces": 2 * traces, "runs": 3 * traces, "feedback": traces + 1, "examples": EXAMPLES
    }  # fmt: skip
    assert done.receipt["sent"] == done.receipt["total"]
    facts = (copy.project.metadata or {})["evalrunner_push"]
    assert OLD + timedelta(seconds=facts["time_shift_seconds"]) == copy.first
    assert facts["time_shift_seconds"] == done.receipt["shift"]
    assert timedelta() < datetime.now(timezone.utc) - copy.first < timedelta(hours=1)
    assert (copy.project.metadata or {})["mine"] == 1
    judges = [there.client.read_run(run) for run in copy.judges()]
    assert {run.name for run in judges} == {"judge"}
    assert {there.client.read_project(project_id=run.session_id).name for run in judges} == {"evaluators"}


def test_again_sends_nothing_with_and_without_its_folder(here: Here, there: Backend, tmp_path: Path) -> None:
    name = ("--experiment-name", "again", "--dataset-name", "again")
    assert here.push(there, *name).code == 0
    done = here.push(there, *name)
    assert (done.code, set(done.receipt["sent"].values())) == (0, {0})
    elsewhere = Here(here.client, here.project, tmp_path)
    store = here.folder / ".evalrunner" / "store.sqlite"
    done = elsewhere.push(there, *name, "--store", str(store))
    assert (done.code, set(done.receipt["sent"].values())) == (0, {0})
    assert_equal(here, there, "again")


def test_a_window_of_503_is_waited_for(here: Here, there: Backend) -> None:
    rule = {"match": "POST /runs/multipart", "action": "status", "status": 503, "first_n": 3}
    there.faults(rule)
    done = here.push(there, "--experiment-name", "window", "--dataset-name", "window")
    assert done.code == 0, done.err
    assert there.fault_report()["rules"][0]["fired"] == 3
    assert_equal(here, there, "window")


def test_a_destination_without_the_older_reads_is_read_back_too(here: Here, there: Backend) -> None:
    there.flags(ch_query_enabled=False, sdb_query_enabled=True)
    try:
        done = here.push(there, "--experiment-name", "newer", "--dataset-name", "newer")
    finally:
        there.flags(ch_query_enabled=True, sdb_query_enabled=False)
    assert (done.code, done.receipt["not_visible"]) == (0, []), done.err
    assert_equal(here, there, "newer")


def test_an_ingest_window_is_met_by_moving_the_times_or_said_by_name(here: Here, there: Backend) -> None:
    name = ("--experiment-name", "old", "--dataset-name", "old")
    there.faults(ingest_window_hours=24)
    done = here.push(there, *name, "--no-time-shift")
    assert (done.code, done.receipt["shift"], done.receipt["sent"]["runs"]) == (3, 0, 0)
    holes = done.receipt["not_delivered"]
    assert sum(hole["kind"] == "run" for hole in holes) == done.receipt["total"]["runs"]
    assert all("outside of the window" in hole["reason"] for hole in holes if hole["kind"] == "run")
    assert any("begin more than 24 h ago" in warning for warning in done.receipt["warnings"])
    done = here.push(there, "--experiment-name", "moved", "--dataset-name", "moved")
    assert (done.code, done.receipt["warnings"]) == (0, []), done.err
    assert_equal(here, there, "moved")


def test_of_an_experiment_longer_than_the_window_the_late_half_arrives(
    there: Backend, tmp_path: Path
) -> None:
    there.faults(ingest_window_hours=24)
    with filled(tmp_path, examples=2, hours=30) as here:
        done = here.push(there)
        assert (done.code, done.receipt["sent"]["traces"], done.receipt["total"]["traces"]) == (3, 4, 8)
        early = {
            str(run.id) for run in here.client.list_runs(project_id=here.project.id)
            if run.start_time.replace(tzinfo=timezone.utc) < OLD + timedelta(hours=1)
        }  # fmt: skip
        named = {hole["source_id"] for hole in done.receipt["not_delivered"] if hole["kind"] == "run"}
        assert early
        assert early <= named
        there.faults()
        done = here.push(there)
        assert done.code == 0
        assert [one["code"] for one in done.receipt["findings"]] == ["runs-early"]
        assert here.push(there).receipt["findings"] == []  # they are there, and nobody refuses them any more


def test_what_belongs_elsewhere_is_said_and_left_out(there: Backend, tmp_path: Path) -> None:
    with filled(tmp_path, repetitions=1, examples=1) as here:
        [root] = here.client.list_runs(project_id=here.project.id, is_root=True)
        guest = uuid4()
        here.client.create_run(
            "guest", {}, "chain", id=guest, trace_id=root.id, parent_run_id=root.id, start_time=OLD,
            dotted_order=order(OLD, guest, str(root.dotted_order)), end_time=OLD, project_name="elsewhere",
        )  # fmt: skip
        trace(here.client, here.project, gone := uuid4(), OLD, 0, lambda _: [])
        here.client.flush()
        done = here.push(there)
        assert (done.code, done.receipt["sent"]["runs"]) == (0, done.receipt["total"]["runs"]), done.err
        examples, runs = done.receipt["warnings"]
        assert str(gone) in examples
        assert runs.startswith("1 run(s) of these traces are left out")
        codes = [one["code"] for one in done.receipt["findings"]]
        assert codes == ["examples-absent", "runs-left-out"]
        assert [one["text"] for one in done.receipt["findings"]] == done.receipt["warnings"]
        copied = there.client.list_runs(project_name=str(here.project.name))
        assert "guest" not in {run.name for run in copied}


@pytest.mark.parametrize("match", ["POST /datasets", "POST *examples", "POST /sessions", "POST /feedback"])
def test_an_answer_that_is_lost_is_no_conflict(here: Here, there: Backend, match: str) -> None:
    name = f"lost-{secrets.token_hex(4)}"
    there.faults({"match": match, "action": "cut_after", "first_n": 1})
    done = here.push(there, "--experiment-name", name, "--dataset-name", name)
    assert done.code == 0, done.err
    assert there.fault_report()["rules"][0]["fired"] == 1
    assert_equal(here, there, name)


def test_what_is_accepted_and_forgotten_is_named_and_sent_again(here: Here, there: Backend) -> None:
    name = ("--experiment-name", "forgot", "--dataset-name", "forgot")
    there.faults({"match": "POST /runs/multipart", "action": "forget", "first_n": 1})
    done = here.push(there, *name, "--visible-deadline", "5")
    forgotten = there.fault_report()["forgotten"]
    assert done.code == 3, done.err
    assert len(forgotten) == 1
    missing = [hole["id"] for hole in done.receipt["not_visible"] if hole["kind"] == "run"]
    assert forgotten[0] in missing
    there.faults()
    done = here.push(there, *name)
    assert (done.code, done.receipt["sent"]["traces"]) == (0, 1)
    assert_equal(here, there, "forgot")


def test_what_the_destination_answers_is_told(here: Here, there: Backend) -> None:
    there.faults({"match": "POST /datasets", "action": "status", "status": 403})
    done = here.push(there, "--experiment-name", "forbidden", "--dataset-name", "forbidden")
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert 'answers 403 to POST /datasets: {"detail":"a fault of the plan"}' in done.err


def test_bad_input_is_one_sentence(here: Here, there: Backend) -> None:
    assert here.push(there).code == 0
    with Embedded(here.folder / ".evalrunner" / "store.sqlite") as itself:
        local = {"--to": itself.url}
        env = clean_environment(K=itself.key, WRONG="x" * 12, ODD="se\ncret", HOME=str(here.folder))
        named = str(here.project.name)
        cases = [
            (
                [f"{named}x", "--to", there.url, "--key-env", "WRONG"],
                "refuses the API key (401); check WRONG",
            ),
            ([named, "--to", local["--to"], "--key-env", "K"], "must name another LangSmith"),
            (
                [named, "--to", "http://127.0.0.1:9", "--key-env", "K"],
                "cannot be reached: connection refused",
            ),
            *(
                ([named, "--to", url, "--key-env", "K"], "--to takes an http(s) address")
                for url in ("ftp://x", "http://[::1", "http://x:99999", f"{there.url}?x=1")
            ),
            ([named, "--to", there.url, "--key-env", "ODD"], "the API key in ODD must be printable"),
            ([named, "--to", there.url, "--key-env", "NO_KEY"], "set NO_KEY"),
        ]
        for words, sentence in cases:
            done = in_process("push", *words, cwd=here.folder, env=env)
            assert (done.code, done.err.count("\n")) == (2, 1), done.err
            assert sentence in done.err
            assert "cret" not in done.err
    near = here.push(there, experiment=f"{named}x")
    assert near.code == 2
    assert f"did you mean '{named}'" in near.err
    there.client.create_project("taken")
    taken = here.push(there, "--experiment-name", "taken")
    assert taken.code == 2
    assert "give another with --experiment-name" in taken.err
