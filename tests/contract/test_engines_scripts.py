"""Workers of a user's script: they do not run it again, and end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.workers import eventually, is_gone

_SCRIPT = """
import sys
from pathlib import Path
from multiprocess.connection import wait
from evalrunner.config import Endpoint, TargetSpec, WorkerConfig
from evalrunner.protocol.worker import WorkerOrder
from evalrunner.engines.local import LocalEngine
from evalrunner.pickling.carry import pickle_objects

print("main runs", flush=True)
factor = 3

def make():
    {body}
    return lambda inputs: factor * inputs["x"]

data = pickle_objects(make, [], [])
spec = TargetSpec(None, factory=True, pickled=data, folder=Path(sys.argv[2]))
plan = WorkerOrder(1, 0, spec, WorkerConfig(), Endpoint("http://127.0.0.1:9", "key"), Path(sys.argv[2]) / "log")
worker = LocalEngine(sys.argv[1]).start(plan)
print(worker.pid, flush=True)
{after}
"""
#: Prints what it says until it is ready: that it sets up comes before, alone or with it.
_HEAR = """
said = []
while not said or type(said[-1]).__name__ != "Ready":
    wait([worker.channel], 30)
    said += worker.receive()
print(said, flush=True)
"""


def script(method: str, folder: Path, body: str, after: str) -> subprocess.Popen[str]:
    path = folder / "script.py"
    path.write_text(_SCRIPT.format(body=body, after=after))
    command = [sys.executable, str(path), method, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_script_without_a_guard_is_not_run_again_by_its_workers(method: str, tmp_path: Path) -> None:
    after = f"{_HEAR}\nworker.kill(); worker.close()"
    with script(method, tmp_path, "print('made')", after) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.count("main runs") == 1
    assert "Ready(" in out
    log = (tmp_path / "log").read_text()
    assert "made" in log
    assert "main runs" not in log


@pytest.mark.parametrize(
    "body",
    ["pass", "import re; print('busy', flush=True); re.match('(a+)+$', 'a' * 99 + 'b')"],
    ids=["waiting", "stuck in C with the GIL"],
)
def test_a_worker_dies_with_its_supervisor(method: str, tmp_path: Path, body: str) -> None:
    wanted = "busy" if "busy" in body else "Ready"
    after = _HEAR if wanted == "Ready" else ""
    with script(method, tmp_path, body, f"{after}\nsys.stdin.read()") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "main runs\n"
        pid = int(process.stdout.readline())
        if wanted == "Ready":
            assert "Ready(" in process.stdout.readline()
        else:
            log = tmp_path / "log"
            assert eventually(lambda: log.exists() and "busy" in log.read_text(), 30)
        assert not is_gone(pid)
        process.kill()
        process.wait(60)
        gone = eventually(lambda: is_gone(pid), 30)
        if not gone:
            os.kill(pid, signal.SIGKILL)
        assert gone
