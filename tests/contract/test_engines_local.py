"""Worker processes on this machine, with the real worker in them; test_engines.py has what every engine promises."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from multiprocess.connection import wait

from evalrunner.delivery.spool import writer as spool
from evalrunner.pickling.carry import pickle_objects
from evalrunner.protocol.orders import Drain
from evalrunner.protocol.reports import Ack, Ready, SettingUp, StartFailed
from evalrunner.protocol.worker import COULD_NOT_START, exit_reason
from tests.support.workers import TARGET, Room, ended, eventually, hear, is_gone


def test_a_worker_loads_works_acknowledges_and_leaves(room: Room) -> None:
    worker = room.start()
    assert (worker.worker_id, worker.slot) == (7, 2)
    ready = hear(worker)
    assert ready == Ready(worker.pid, 1, {"exact": ["exact"]})
    assert worker.pid != os.getpid()
    assert worker.exitcode() is None
    assert worker.receive() == []
    assert wait([worker.sentinel], timeout=0) == []
    worker.send(room.begin())
    worker.send(Drain())
    ack = hear(worker)
    assert isinstance(ack, Ack)
    assert ack == Ack(outside=0, undelivered=0)
    assert ended(worker) == 0
    assert exit_reason(worker.exitcode()) == "exited with status 0"
    assert hear(worker) is None
    assert spool.read(room.folder / "spool").info["pid"] == worker.pid
    assert room.log.read_text().startswith("loaded by 2\n")
    worker.send(Drain())  # a worker that is gone loses an order without an error
    assert worker.receive() == []


def test_its_output_and_its_input_are_not_ours(room: Room, capfd: pytest.CaptureFixture[str]) -> None:
    code = f"import sys\nprint('out'); print('err', file=sys.stderr)\nassert sys.stdin.read() == ''\n{TARGET}"
    assert isinstance(hear(room.start(code)), Ready)
    assert {"out", "err"} <= set(room.log.read_text().splitlines())
    assert room.log.stat().st_mode & 0o777 == 0o600
    assert capfd.readouterr() == ("", "")


def test_a_killed_worker_is_known_dead_and_so_is_what_its_target_has_started(room: Room) -> None:
    code = (
        "import subprocess, os\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        f"open(os.environ['CODE_RUNS_IN'] + '/child', 'w').write(str(child.pid))\n{TARGET}"
    )
    worker = room.start(code)
    assert isinstance(hear(worker), Ready)
    child = int((room.folder / "child").read_text())
    assert not is_gone(child)
    worker.kill()
    assert worker.join(10)
    assert worker.exitcode() == -signal.SIGKILL
    assert exit_reason(worker.exitcode()) == "was killed by SIGKILL"
    assert wait([worker.sentinel], timeout=60) == [worker.sentinel]
    assert is_gone(worker.pid)
    assert eventually(lambda: is_gone(child), 60)
    assert hear(worker) is None
    worker.kill()  # once more does no harm


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("os._exit(7)", "exited with status 7"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
        # The supervisor says when a worker ends, not whoever ends the whole job.
        ("os.kill(os.getpid(), signal.SIGTERM); os._exit(9)", "exited with status 9"),
    ],
)
def test_how_a_worker_ended_is_known_by_name(room: Room, code: str, how: str) -> None:
    worker = room.start(f"import os, signal\n{code}\n")
    ended(worker)
    assert exit_reason(worker.exitcode()) == how
    assert hear(worker) is None


@pytest.mark.parametrize(
    ("code", "name", "said"),
    [
        (TARGET, "mine.py:tarjet", "has no 'tarjet'; did you mean target"),
        (TARGET, "no_such:target", "there is no module 'no_such'"),
        ("raise RuntimeError('no GPU')", "mine.py:target", "RuntimeError: no GPU (the traceback is in "),
        ("import sys; sys.exit('bye')", "mine.py:target", "SystemExit: bye"),
    ],
)
def test_a_worker_that_cannot_load_says_why_and_leaves_with_its_own_status(
    room: Room, code: str, name: str, said: str
) -> None:
    worker = room.start(code, name)
    failed = hear(worker)
    assert isinstance(failed, StartFailed)
    assert said in failed.error
    assert "Traceback" in failed.traceback
    assert ended(worker) == COULD_NOT_START


def test_a_lambda_is_carried_by_value(room: Room) -> None:
    note = str(room.folder / "note")

    def make() -> Callable[[Any], Any]:
        with open(note, "w") as file:
            file.write(str(os.getpid()))
        return lambda inputs: inputs

    worker = room.start(
        target=None, evaluators=(), factory=True, pickled=pickle_objects(make, [lambda run: 1], [])
    )
    assert hear(worker) == SettingUp()
    ready = hear(worker)
    assert isinstance(ready, Ready)
    assert list(ready.evaluators) == ["<lambda>"]
    assert Path(note).read_text() == str(worker.pid)


def test_a_worker_that_is_stuck_writes_its_stacks(room: Room) -> None:
    worker = room.start("import threading\nprint('stuck', flush=True)\nthreading.Event().wait()\n")
    assert eventually(lambda: room.log.exists() and "stuck" in room.log.read_text(), 30)

    def dumped() -> bool:
        worker.dump_stack()  # the first one may find it on its way out of print()
        return 'mine.py", line 3 in <module>' in room.log.read_text()

    assert eventually(dumped, 60)
    assert worker.exitcode() is None


def test_a_default_timeout_of_the_users_script_is_not_ours(room: Room) -> None:
    socket.setdefaulttimeout(0.01)
    try:
        worker = room.start()
        assert isinstance(hear(worker), Ready)
        worker.send(room.begin())
        worker.send(Drain())
        assert isinstance(hear(worker), Ack)
    finally:
        socket.setdefaulttimeout(None)
