"""The bench of doctor runs, and its commands say what it expects; how much anything takes is not tested here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "doctor.py"


def test_the_commands_over_a_small_experiment_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--size", "100", "--json", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    rows = json.loads(path.read_text())
    assert [row["case"] for row in rows] == [
        "runs", "runs", "examples", "examples", "examples", "missing", "missing", "unscored", "unscored",
    ]  # fmt: skip
    assert all(0 < row["requests"] < 40 for row in rows)
    assert all(row["mb"] > 10 for row in rows)
    assert all(row["holds"] for row in rows) == (done.returncode == 0)
