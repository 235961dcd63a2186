"""The bench of the backend runs and prints what it promises; how fast anything is, is not tested here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "backend.py"


def test_the_backend_is_measured_at_two_sizes_and_every_run_found(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--n", "200", "--json", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80, done.stdout
    assert done.stdout.count("HOLD") == 3
    small, large = json.loads(path.read_text())["sizes"]
    assert (small["runs"], large["runs"]) == (small["counted"], large["counted"]) == (200, 2000)
    assert small["integrity"] == large["integrity"] == "ok"
    assert all(large[name] > 0 for name in ("rate", "last_rate", "page_ms", "middle_ms", "rss_mib"))
