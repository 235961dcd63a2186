"""A push that was cut off, or came before all was there: the same command sends the rest, and nothing twice."""

from __future__ import annotations

import contextlib
import resource
import secrets
import shutil
import signal
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.pushes import OLD, PNG, SECOND, assert_equal, filled, order
from tests.support.rig import Backend, wait_until

#: The SDK's older reads serve both sides.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_what_was_added_since_is_sent_and_nothing_else(there: Backend, tmp_path: Path) -> None:
    with filled(tmp_path, repetitions=1, examples=1) as here:
        name = str(here.project.name)
        assert here.push(there).code == 0
        [root] = here.client.list_runs(project_id=here.project.id, is_root=True)
        scored = {"trace_id": root.id, "session_id": here.project.id}
        here.client.create_feedback(root.id, "human", score=1, **scored, source_run_id=uuid4())
        here.client.flush()
        done = here.push(there)
        assert (done.code, done.receipt["sent"]["runs"], done.receipt["sent"]["feedback"]) == (0, 0, 1)
        copied = there.client.read_project(project_name=name)
        [root] = there.client.list_runs(project_id=copied.id, is_root=True)
        assert {one.key for one in there.client.list_feedback(run_ids=[root.id])} == {"right", "human"}


@pytest.mark.parametrize(
    ("match", "action"),
    [
        ("POST *examples", "delay"),
        ("POST /sessions", "stall"),
        ("POST /runs/multipart", "stall"),
        ("POST /feedback", "stall"),
    ],
)
def test_a_push_that_is_killed_goes_on(there: Backend, tmp_path: Path, match: str, action: str) -> None:
    copy = f"killed-{secrets.token_hex(4)}"
    name = ("--experiment-name", copy, "--dataset-name", copy)
    with filled(tmp_path, repetitions=1) as here:
        there.faults({"match": match, "action": action, "seconds": 60, "first_n": 1})
        command = here.start(there, *name)
        wait_until(lambda: there.fault_report()["rules"][0]["fired"], what="the request")
        command.kill()
        there.faults()
        done = here.push(there, *name)
        assert done.code == 0, done.err
        assert_equal(here, there, copy)


def test_an_answer_that_is_lost_with_the_push_makes_no_duplicates(there: Backend, tmp_path: Path) -> None:
    name = ("--experiment-name", "cut", "--dataset-name", "cut")
    there.faults({"match": "POST /runs/multipart", "action": "delay", "seconds": 60, "first_n": 1})
    with filled(tmp_path, repetitions=1) as here:
        command = here.start(there, *name)

        def arrived() -> bool:
            with contextlib.suppress(Exception):
                return bool(there.truth("cut")["runs"])
            return False

        wait_until(arrived, what="the first batch")
        command.kill()
        there.faults()
        done = here.push(there, *name)
        assert done.code == 0, done.err
        assert_equal(here, there, "cut")


def test_ctrl_c_says_how_to_go_on(there: Backend, tmp_path: Path) -> None:
    there.faults({"match": "POST /runs/multipart", "action": "stall", "seconds": 60, "first_n": 1})
    with filled(tmp_path, repetitions=1, examples=1) as here:
        command = here.start(there)
        wait_until(lambda: there.fault_report()["rules"][0]["fired"], what="the request")
        command.signal(signal.SIGINT)
        done = command.finish()
        assert done.code == 4
        assert "the same command goes on" in done.err
        there.faults()
        assert here.push(there).code == 0


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("remembered", [True, False])
def test_the_end_of_a_run_that_was_pushed_without_one_follows(
    there: Backend, tmp_path: Path, newer: bool, remembered: bool
) -> None:
    there.flags(ch_query_enabled=not newer, sdb_query_enabled=newer)
    try:
        with filled(tmp_path, repetitions=1, examples=1) as here:
            late, begun = uuid4(), OLD + timedelta(minutes=5)
            here.client.create_run(
                "late", {"i": 1}, "chain", id=late, trace_id=late, dotted_order=order(begun, late),
                start_time=begun, project_name=here.project.name, attachments={"plot": ("image/png", PNG)},
            )  # fmt: skip
            here.client.flush()
            done = here.push(there)
            assert (done.code, len(done.receipt["warnings"])) == (0, 1), done.err
            assert "1 of 4 runs have not ended here" in done.receipt["warnings"][0]
            assert [one["code"] for one in done.receipt["findings"]] == ["runs-open"]
            here.client.update_run(late, end_time=begun + SECOND, outputs={"o": "late"})
            here.client.flush()
            if not remembered:
                shutil.rmtree(here.folder / ".evalrunner" / "push")
            done = here.push(there)
            assert (done.code, done.receipt["warnings"]) == (0, []), done.err
            there.flags(ch_query_enabled=True, sdb_query_enabled=False)
            copy = assert_equal(here, there, str(here.project.name))
            assert {"o": "late"} in [run.outputs for run in copy.runs.values()]
            assert set(here.push(there).receipt["sent"].values()) == {0}
    finally:
        there.flags(ch_query_enabled=True, sdb_query_enabled=False)


@pytest.mark.parametrize("size", [50_000, 80_000])
def test_a_full_disk_ends_it_before_anything_is_sent(there: Backend, tmp_path: Path, size: int) -> None:
    with filled(tmp_path, examples=20) as here:
        command = here.start(there)
        resource.prlimit(command.pid, resource.RLIMIT_FSIZE, (size, size))
        done = command.finish()
        assert (done.code, done.receipt["exit_code"]) == (2, 2)
        assert "index.sqlite cannot be written: " in done.receipt["error"]
        assert "raise `ulimit -f`" in done.receipt["error"]
        assert not there.client.has_project(str(here.project.name))
        assert here.push(there).code == 0
        assert_equal(here, there, str(here.project.name))
