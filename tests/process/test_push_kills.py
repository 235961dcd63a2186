"""The push killed in the middle: the next one asks what is there, sends the rest, and nothing twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from scripts.bench.push import EXPERIMENT, fill
from tests.support.rig import Backend, Command, backend_in, clean_environment, evalrunner, wait_until

UNANSWERED = 600.0  # seconds, longer than any wait of this test
RUNS, KILLS = 3000, 2


def there(backend: Backend) -> int:
    if not backend.client.has_project(EXPERIMENT):
        return 0
    return len(backend.truth(str(backend.client.read_project(project_name=EXPERIMENT).id))["runs"])


def more_than(before: int, backend: Backend) -> None:
    """Wait until something new is there."""
    wait_until(lambda: there(backend) > before, 120, "something new")


def test_what_was_cut_off_goes_on_and_nothing_is_there_twice(tmp_path: Path) -> None:
    source, target, work = (tmp_path / name for name in ("here", "there", "work"))
    source.mkdir()
    target.mkdir()
    with backend_in(source) as here:
        runs = fill(here, RUNS)
    with backend_in(target) as backend:
        store = str(source / "store.sqlite")
        words = ["push", EXPERIMENT, "--to", backend.url, "--key-env", "K", "--store", store, "--json"]
        env = clean_environment(K=backend.token, HOME=str(work))
        for _ in range(KILLS):
            before = there(backend)
            # What is sent is kept, and no answer comes before the kill.
            backend.faults({"match": "POST /runs/multipart", "action": "delay", "seconds": UNANSWERED})
            command = Command(words, cwd=work, env=env)
            more_than(before, backend)
            os.killpg(command.pid, signal.SIGKILL)
            command.finish()
        before = there(backend)
        assert 0 < before < runs
        backend.faults()
        done = evalrunner(*words, cwd=work, env=env)
        assert (done.code, there(backend)) == (0, runs), done.err
        assert 0 < done.receipt["sent"]["runs"] <= runs - before
        assert done.receipt["total"]["runs"] == runs
        elsewhere = evalrunner(*words, cwd=tmp_path / "elsewhere", env=env)
        assert (elsewhere.code, set(elsewhere.receipt["sent"].values())) == (0, {0}), elsewhere.err
        # The index is a working file: nothing of it is left, and nobody else may read what is.
        left = [path for path in (work / ".evalrunner" / "push").rglob("*") if path.is_file()]
        assert [path.name for path in left] == ["lock"]
