"""The bench of the pages runs and prints what it promises; how fast anything is, is not tested here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench" / "pages.py"


def test_every_page_is_measured_cold_after_writes_and_again(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--n", "30", "--rounds", "2", "--json", str(path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80, done.stdout
    assert "after a write, goal" in done.stdout
    pages = json.loads(path.read_text())["pages"]
    assert [page["page"] for page in pages] == ["experiment", "low scores", "compare", "dataset"]
    assert all(page[name] > 0 for page in pages for name in ("cold", "written", "written_least", "again"))
