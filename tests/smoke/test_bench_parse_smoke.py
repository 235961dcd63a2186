"""The bench of the readers runs and prints what it promises; how fast anything is, is not tested here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "parse.py"


def test_every_way_reads_every_file_and_finds_every_run(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--mb", "0.2", "--tries", "1", "--files", "2", "--json", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80, done.stdout
    files = json.loads(path.read_text())["files"]
    assert list(files) == ["array 24 KB", "lines 24 KB"]
    for name, found in files.items():
        assert [row["way"] for row in found["rows"]] == [
            "json.load", "orjson", "msgspec Raw", "ijson", "ours", "ours, told", "ours, runs",
        ]  # fmt: skip
        assert all(row["rate"] > 0 and row["rss"] > 0 for row in found["rows"]), name
        assert done.stdout.count(name) == 1
