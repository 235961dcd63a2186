"""`evalrunner.run` from a script: functions of `__main__`, lambdas and closures reach the workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.chaos.rig import Backend, assert_whole

SCRIPT = Path(__file__).resolve().parent / "targets" / "script.py"


def script(backend: Backend, folder: Path, kind: str, dataset: str) -> tuple[int, Any, str]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), kind, dataset],
        cwd=folder,
        env=backend.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "this script runs once", done.stderr
    assert len(lines) == 2, done.stdout + done.stderr
    return done.returncode, json.loads(lines[1]), done.stderr


@pytest.mark.parametrize("kind", ["lambda", "closure", "class", "traced"])
def test_what_dill_carries(backend: Backend, tmp_path: Path, kind: str) -> None:
    dataset = backend.dataset(6)
    code, (exit_code, name, summary), said = script(backend, tmp_path, kind, str(dataset.name))
    assert (code, exit_code) == (0, 0), said
    seen = assert_whole(backend.client, name, keys=["right", "whole"])
    assert sorted((root.outputs or {})["sum"] for root in seen.roots) == [1, 2, 3, 4, 5, 6]
    assert summary == {"mean": 3.5}


def test_what_it_cannot_carry_is_named(backend: Backend, tmp_path: Path) -> None:
    dataset = backend.dataset(2)
    code, told, said = script(backend, tmp_path, "closure over a generator", str(dataset.name))
    assert (code, told["kind"]) == (2, "TargetError"), said
    assert "it uses 'thing' (a generator)" in told["error"]
    assert "\n" not in told["error"]
    assert "module:name" in told["error"], "and says what to do"
    assert list(backend.client.list_projects(reference_dataset_id=dataset.id)) == []
    assert list(tmp_path.iterdir()) == [], "nothing was begun"
