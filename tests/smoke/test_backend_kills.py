"""What the backend has answered 202 to is there after SIGKILL; the programme for it, with few kills."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "chaos" / "backend_kills.py"


def test_nothing_answered_is_lost_when_the_backend_is_killed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--smoke"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 kills: lost 0 of " in done.stdout
    assert "at the end: lost 0, integrity_check ok" in done.stdout
