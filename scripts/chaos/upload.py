"""Upload a large file through a bad service, kill the command again and again, and see what was lost.

    python scripts/chaos/upload.py [--runs 100000] [--size 20000] [--kills 3] [--seed 1] [--smoke]

30 % of all requests are answered 429, 5 % of the connections are cut before or after the answer, and the whole tree
of the command is killed (SIGKILL) whenever a further part of the runs is there. One trace in a hundred is broken. At
the end: every run of every sound trace is there, once, as it was sent (`--verify content`), `failed_traces.json`
holds exactly the broken ones, and no process ever had more than 200 MiB.

Exit code 1 if any of this does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.recorded import Recorder, write_array  # noqa: E402 - after the path is set
from tests.support.rig import Backend, Command, backend_in, wait_until  # noqa: E402

RUNS = "POST /runs/multipart"
FAULTS = (
    {"match": RUNS, "action": "status", "status": 429, "fraction": 0.3},
    {"match": RUNS, "action": "cut_before", "fraction": 0.05},
    {"match": RUNS, "action": "cut_after", "fraction": 0.05},
)
#: MiB that a process may have.
MOST = 200
#: What breaks a trace: a field of its last run.
BREAKS: tuple[dict[str, Any], ...] = (
    {"start_time": None}, {"run_type": "agent"}, {"inputs": []}, {"parent_run_id": "x"}, {"end_time": "1999-01-01"},
)  # fmt: skip
HOURS = 6 * 3600.0


def main() -> int:
    """Do it, and say what came of it."""
    asked = _arguments()
    with tempfile.TemporaryDirectory(prefix="evalrunner-chaos-") as name:
        folder = Path(name)
        broken: list[str] = []
        file = folder / "traces.json"
        began = time.monotonic()
        runs = write_array(file, _some_broken(asked, broken))
        print(f"{runs:,} runs, {file.stat().st_size / 1e6:,.0f} MB, {len(broken)} broken traces", flush=True)
        with backend_in(folder) as backend:
            faults = _Trial(backend, folder, file, asked).carry_out(set(broken), runs)
        print(f"{time.monotonic() - began:.0f} s in all", flush=True)
    for fault in faults:
        print(f"FAILS: {fault}")
    print("HOLDS: nothing lost, nothing twice, nothing changed" if not faults else "FAILS")
    return 1 if faults else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=20_000, help="bytes of a run")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help="600 runs of 30 KB, two kills")
    asked = parser.parse_args()
    if asked.smoke:
        asked.runs, asked.size, asked.kills = 600, 30_000, 2
    return asked


def _some_broken(asked: argparse.Namespace, broken: list[str]) -> Iterator[list[dict[str, Any]]]:
    lot = random.Random(asked.seed)
    for trace in Recorder(asked.seed, size=asked.size, span=HOURS).traces(asked.runs):
        if len(trace) > 1 and lot.random() < 0.01:
            trace[-1] |= lot.choice(BREAKS)
            broken.append(trace[0]["trace_id"])
        yield trace


class _Trial:
    """One upload, killed and killed again."""

    def __init__(self, backend: Backend, folder: Path, file: Path, asked: argparse.Namespace) -> None:
        self._backend, self._asked = backend, asked
        self._project: UUID | None = None
        self._folder, self._failed = folder / "work", folder / "failed.json"
        self._words = ["upload", str(file), "--project", "chaos", "--on-error", "skip", "--json",
                       "--failed", str(self._failed), "--verify"]  # fmt: skip
        self._peak, self._pause = 0.0, 0.02 if asked.smoke else 1.0

    def carry_out(self, broken: set[str], runs: int) -> list[str]:
        """Kill, go on, and return what does not hold."""
        self._backend.faults(*FAULTS, seed=self._asked.seed)
        for kill in range(self._asked.kills):
            self._kill(runs * (kill + 1) // (self._asked.kills + 1), runs)
        command = self._start("content")
        wait_until(lambda: self._watched(command) is None, 7200, "its end")
        done = command.finish()
        report = self._backend.fault_report()["rules"]
        print("faults: " + ", ".join(f"{one['action']} {one['fired']:,}" for one in report), flush=True)
        return list(self._faults(done.code, done.out, broken, runs))

    def _kill(self, wanted: int, runs: int) -> None:
        command = self._start("ids")
        wait_until(lambda: self._enough(command, wanted), 3600, f"run {wanted:,}")
        os.killpg(command.pid, signal.SIGKILL)
        command.finish()
        print(f"killed with {self._there():,} of {runs:,} runs there", flush=True)

    def _faults(self, code: int, out: str, broken: set[str], runs: int) -> Iterator[str]:
        if code != 1:
            yield f"exit code {code}, not 1 (broken traces are left out): {out[:2000]}"
            return
        receipt = json.loads(out)
        failed = json.loads(self._failed.read_text())
        if {one["trace_id"] for one in failed} != broken:
            yield f"{len(failed)} traces in failed_traces.json, not the {len(broken)} broken ones"
        wanted, there = runs - sum(len(one["runs"]) for one in failed), self._there()
        print(
            f"{there:,} of {wanted:,} sound runs there, {receipt['confirmed']:,} of {receipt['total']['traces']:,} "
            f"traces read back and compared, {receipt['already']:,} were there before; peak {self._peak:.0f} MiB",
            flush=True,
        )
        if there != wanted:
            yield f"{there:,} runs are there, not {wanted:,}"
        if receipt["confirmed"] != receipt["total"]["traces"] or receipt["different"]:
            yield f"{receipt['confirmed']:,} traces read back; different: {receipt['different'][:3]}"
        if self._peak > MOST:
            yield f"a process had {self._peak:.0f} MiB"

    def _start(self, verify: str) -> Command:
        return Command([*self._words, verify], cwd=self._folder, env=self._backend.environment())

    def _enough(self, command: Command, wanted: int) -> bool:
        if self._watched(command) is None:
            raise SystemExit(f"the command ended before it was killed: {command.finish().err[-500:]}")
        threading.Event().wait(self._pause)  # the backend has better things to do than to count
        return self._there() >= wanted

    def _watched(self, command: Command) -> float | None:
        """Note how much memory the tree of a command has; None if it has ended."""
        if command.process.poll() is not None:
            return None
        for pid in [command.pid, *command.descendants()]:
            try:
                self._peak = max(self._peak, psutil.Process(pid).memory_info().rss / 2**20)
            except psutil.NoSuchProcess:
                continue
        return self._peak

    def _there(self) -> int:
        client = self._backend.client
        if self._project is None and client.has_project("chaos"):
            self._project = client.read_project(project_name="chaos").id
        if self._project is None:
            return 0
        return int(client.get_run_stats(project_ids=[self._project]).get("run_count") or 0)


if __name__ == "__main__":
    sys.exit(main())
