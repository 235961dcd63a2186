"""Whether memory grows with the number of examples: RSS of the supervisor and of each worker.

    python scripts/bench/memory.py [--n 10000] [--mark 2000] [--workers 4] [--json FILE]   (make bench-memory)

No-op examples over a service of its own; goal: at the end within 15 % of what it was at the 2,000th.
Sampled from outside with psutil, every 20 ms, beside the number of items executed by then (the targets write
them down). `at 2,000` is, for the supervisor, the median of the samples while items 2,000 to 2,250 were executed;
for a worker, of those around its own 500th of four workers, its share of 2,000: all workers do not start at the
same moment. `end` is the median while the last 3 % were executed. `after` is the highest sample from then on:
the supervisor reads the experiment back and writes the receipt.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts.bench import common

PERIOD_S = 0.02
#: Samples between two searches for new workers.
SEARCH = 10
GOAL = 0.15
MIB = 2**20


@dataclass
class Curve:
    """RSS of one process: (items executed by then, bytes); its own items, or for the supervisor everybody's."""

    name: str
    share: float
    samples: list[tuple[int, int]] = field(default_factory=list)

    def between(self, low: float, high: float) -> float | None:
        """Return the median of the samples in [low, high], else the first one from `low` on, in MiB."""
        found = [rss for done, rss in self.samples if low <= done <= high]
        found = found or [rss for done, rss in self.samples if done >= low][:1]
        return median(found) / MIB if found else None

    @property
    def most(self) -> int:
        """How many items it came to."""
        return max((done for done, _ in self.samples), default=0)


class Counter:
    """How many items have been executed: counts the new lines of the targets' files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._of: dict[int, int] = {}

    @property
    def total(self) -> int:
        """Items of all workers."""
        return sum(self._of.values())

    def of(self, pid: int) -> int:
        """Return the items of one worker."""
        return self._of.get(pid, 0)

    def update(self) -> None:
        """Read what has been added."""
        for path in self._folder.glob("*.log"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                added = file.read()
            self._read[path] = self._read.get(path, 0) + len(added)
            pid = int(path.stem)
            self._of[pid] = self._of.get(pid, 0) + added.count(b"\n")


def run(n: int, workers: int) -> tuple[int, list[Curve], float]:
    """Evaluate; return the exit code, what every process needed, and the seconds."""
    with common.backend() as server:
        common.push(server.client(), n)
        command = common.evalrunner(
            "run", "--dataset", common.DATASET, "--workers", str(workers), "--quiet", target="noop"
        )
        with (server.folder / "out").open("w") as out:
            began = time.monotonic()
            with subprocess.Popen(
                command, env=server.environment(), cwd=server.folder, stdout=out, stderr=out
            ) as process:
                curves = follow(psutil.Process(process.pid), Counter(server.log_folder()), process, workers)
        seconds = time.monotonic() - began
        if process.returncode:
            print((server.folder / "out").read_text()[-3000:])
        return process.returncode, curves, seconds


def follow(
    supervisor: psutil.Process, counter: Counter, process: subprocess.Popen[bytes], workers: int
) -> list[Curve]:
    """Sample until the command ends."""
    curves = {supervisor.pid: (supervisor, Curve("supervisor", 1.0))}
    turn = 0
    while process.poll() is None:
        if turn % SEARCH == 0:
            for one, role in common.family(supervisor):
                if role == "worker" and one.pid not in curves:
                    curves[one.pid] = (one, Curve(f"worker {len(curves)}", 1 / workers))
        counter.update()
        for pid, (one, curve) in curves.items():
            done = counter.total if one is supervisor else counter.of(pid)
            try:
                curve.samples.append((done, one.memory_info().rss))
            except psutil.Error:
                continue
        turn += 1
        time.sleep(PERIOD_S)
    return [curve for _, curve in curves.values()]


def figures(curve: Curve, mark: int) -> dict[str, Any]:
    """Return what is printed of one process."""
    low, most = mark * curve.share, curve.most
    early, late = curve.between(low, low * 1.125), curve.between(most * 0.97, most - 1)
    return {
        "process": curve.name,
        "items": most,
        "at_mark": early,
        "end": late,
        "ratio": late / early if early and late else None,
        "after": max((rss / MIB for done, rss in curve.samples if done == most), default=None),
        "samples": len(curve.samples),
    }


def show(rows: list[dict[str, Any]], mark: int) -> None:
    """Print the table."""
    print(f"{'process':<12} {f'at {mark:,}':>11} {'end':>11} {'ratio':>7} {'after':>11} {'items':>7}")
    for row in rows:
        cells = [f"{row[name]:7.1f} MiB" if row[name] else "-" for name in ("at_mark", "end", "after")]
        ratio = f"{row['ratio']:.3f}" if row["ratio"] else "-"
        print(
            f"{row['process']:<12} {cells[0]:>11} {cells[1]:>11} {ratio:>7} {cells[2]:>11} {row['items']:>7}"
        )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000, help="examples")
    parser.add_argument("--mark", type=int, default=2_000, help="examples after which it is compared")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--json", type=Path, help="write the figures and every sample to this file")
    options = parser.parse_args()
    common.print_machine()
    print(f"N = {options.n:,} no-op examples, {options.workers} workers", flush=True)
    code, curves, seconds = run(options.n, options.workers)
    rows = [figures(curve, options.mark) for curve in curves]
    print(f"exit code {code}, {seconds:.1f} s\n")
    show(rows, options.mark)
    measured = [row for row in rows if row["ratio"] is not None]
    worst = max((row["ratio"] for row in measured), default=0.0)
    holds = bool(measured) and len(measured) == len(rows) and worst <= 1 + GOAL
    print(f"\n{'HOLDS' if holds else 'DOES NOT HOLD'}: largest ratio {worst:.3f}, goal 1.15")
    common.write_json(
        options.json,
        {
            "machine": common.machine(),
            "rows": rows,
            "curves": {curve.name: curve.samples for curve in curves},
        },
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
