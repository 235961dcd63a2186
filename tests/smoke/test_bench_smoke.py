"""The benches run and print what they promise; how fast anything is, is not tested here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts" / "bench"


def bench(name: str, folder: Path, *arguments: str, limit: float = 280) -> tuple[str, dict[str, Any]]:
    """Run a bench; return what it printed and the document it wrote."""
    path = folder / "figures.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / name), *arguments, "--json", str(path)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=limit,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80, done.stdout
    document: dict[str, Any] = json.loads(path.read_text())
    assert document["machine"]["cores"] >= 1
    return done.stdout, document


def test_overhead_compares_both_and_prints_a_verdict(tmp_path: Path) -> None:
    out, document = bench(
        "overhead.py",
        tmp_path,
        "--only",
        "a,d",
        "--reps",
        "1",
        "--tries",
        "1",
        "--cpu-n",
        "8",
        "--start-n",
        "8",
    )
    assert out.count("HOLD") == 2
    assert len(document["a"]["baseline"]) == len(document["a"]["evalrunner"]) == 1
    assert document["a"]["ratio"] > 0
    # Workers that live for 0.1 s may be missed from outside.
    assert {"supervisor", "backend"} <= document["a"]["evalrunner"][0]["cpu"].keys()
    assert [len(document["d"][name]) for name in ("service", "embedded")] == [1, 1]


def test_memory_follows_every_process(tmp_path: Path) -> None:
    out, document = bench("memory.py", tmp_path, "--n", "200", "--mark", "50", "--workers", "2")
    assert "exit code 0" in out
    names = [row["process"] for row in document["rows"]]
    assert names[0] == "supervisor"
    assert all(row["samples"] > 0 for row in document["rows"])


def test_loss_has_a_row_for_every_tool(tmp_path: Path) -> None:
    out, document = bench("loss.py", tmp_path, "--n", "2", "--workers", "2", "--only", "healthy")
    cells = {cell["tool"]: cell for cell in document["cells"]}
    assert cells.keys() == {"article", "shard", "evalrunner"}
    assert all(tool in out for tool in cells)
    assert cells["evalrunner"]["missing"] == cells["evalrunner"]["scores"] == 0
    assert cells["evalrunner"]["said"] == "exit 0"


@pytest.mark.timeout(320)  # six processes start one after the other
def test_growth_has_a_row_for_every_measure_and_a_slope_over_every_size(tmp_path: Path) -> None:
    out, document = bench("growth.py", tmp_path, "--sizes", "20,60", "--workers", "1", limit=300)
    assert "exponent" in out
    small, large = document["rows"]
    assert (small["n"], large["n"]) == (20, 60)
    for name in ("wall", "ready", "cpu command", "requests", "rss command", "plan wall", "plan requests"):
        assert small[name] > 0, name
        assert document["exponents"][name]["all"] is not None, name
