"""What `pip install` brings is whole: built, installed away from the repository, and run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "package.py"


def test_the_wheel_holds_every_file_and_runs_the_quickstart_by_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(tmp_path / "dist")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    built = {path.suffix for path in (tmp_path / "dist").iterdir()}
    assert built == {".whl", ".gz"}
