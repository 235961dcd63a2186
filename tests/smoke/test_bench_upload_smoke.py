"""The bench of uploads runs and prints a verdict; how fast anything is, is not tested here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "bench"
SCRIPT = BENCH / "upload.py"


def test_uploads_are_compared_and_all_of_them_arrive(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--runs", "60", "--sizes", "2400", "--reps", "1", "--json", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    *rows, verdict = json.loads(path.read_text())
    assert [row["way"] for row in rows] == ["script", "script, 8 threads", "ours", "posted"]
    assert all(row["received"] > 0 for row in rows)
    assert verdict["holds"] == (done.returncode == 0)


def test_every_stage_of_an_upload_is_told(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH / "upload_stages.py"), "--runs", "60", "--reps", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    heading, *stages = done.stdout.splitlines()
    assert heading.startswith("60 runs")
    assert [line.split()[0] for line in stages] == [
        "reading", "index", "traces", "placing", "building", "joining", "zstd", "socket",
    ]  # fmt: skip
