"""A Ctrl-C while a worker is being started, wherever: whoever is interrupted can end, and the worker is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from evalrunner.config import Endpoint, TargetSpec, WorkerConfig
from evalrunner.engines.local import LocalEngine
from evalrunner.protocol.worker import WorkerOrder

method, folder, step = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
at = Endpoint("http://127.0.0.1:9", "key")
order = WorkerOrder(
    1, 0, TargetSpec("hangs.py:f", folder=folder), WorkerConfig(), at, folder / "log"
)
engine = LocalEngine(method)
engine.warm_up()
launched, calls, last = False, 0, step


def interrupt(frame: FrameType, event: str, _: Any) -> None:
    # Before there is a child, an interrupt leaves the standard library's locks held: another start would fail.
    global launched, calls
    launched |= event == "return" and frame.f_code.co_name == "_launch"
    calls += launched and event in ("call", "c_call")
    if calls >= last:
        sys.setprofile(None)
        raise KeyboardInterrupt


done = False
while not done:
    launched, calls = False, 0
    sys.setprofile(interrupt)
    try:
        engine.start(order)
        sys.setprofile(None)
        done = True
    except KeyboardInterrupt:
        last += step
sys.setprofile(None)
print(last // step, "starts", flush=True)
engine.close()
"""


@pytest.mark.parametrize(("method", "step"), [("forkserver", 5), ("spawn", 13)])
def test_whoever_is_interrupted_while_a_worker_starts_can_end(method: str, step: int, tmp_path: Path) -> None:
    (tmp_path / "hangs.py").write_text("import threading\nthreading.Event().wait()\n")
    command = [sys.executable, "-c", SCRIPT, method, str(tmp_path), str(step)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 5
