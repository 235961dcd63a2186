"""The bench of pushes runs and prints a verdict; how much memory anything takes is not tested here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "push.py"


def test_pushes_of_two_sizes_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--sizes", "20,40", "--json", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    *rows, verdict = json.loads(path.read_text())
    assert [(row["runs"], row["push"]) for row in rows] == [
        (runs, name) for runs in (20, 40) for name in ("first", "again", "elsewhere")
    ]
    assert all(row["mib"] > 10 for row in rows)
    assert verdict["holds"] == (done.returncode == 0)
