"""How cost grows with the number of items: wall, CPU by role, requests and memory at several sizes.

    python scripts/bench/growth.py [--sizes 1000,10000] [--workers 2] [--json FILE]           (make bench-growth)

No-op examples with one evaluator over a service of its own, then `--plan` over the complete experiment from a folder
that knows nothing of it. CPU seconds and peaks of RSS are sampled from outside, every 0.2 s; requests are counted by
the service. *ready* is when the last target ended: what comes after it is delivery that lagged behind, read-back and
receipt. An exponent is the slope of a least-squares line through log(cost) over log(items): 1 is proportional.
Fixed costs (start-up) push it below 1, so the last column is the exponent between the two largest sizes.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts.bench import common

PERIOD_S = 0.2
GOAL = 1.05
#: The measures whose growth is judged.
JUDGED = ("wall", "cpu command", "cpu worker", "cpu backend", "requests")
MIB = 2**20


class Costs:
    """CPU seconds and peak RSS of a command and its descendants, by role."""

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._seen: dict[int, tuple[psutil.Process, str]] = {root.pid: (root, "command")}
        self._cpu: dict[int, float] = {}
        self._rss: dict[int, int] = {}

    def look(self) -> None:
        """Sample everybody once."""
        for process, role in common.family(self._root):
            self._seen.setdefault(process.pid, (process, role))
        for pid, (process, _) in self._seen.items():
            try:
                times = process.cpu_times()
                self._cpu[pid] = times.user + times.system
                self._rss[pid] = max(self._rss.get(pid, 0), process.memory_info().rss)
            except psutil.Error:
                continue

    def cpu(self) -> dict[str, float]:
        """Return CPU seconds by role."""
        told: dict[str, float] = {}
        for pid, (_, role) in self._seen.items():
            told[role] = told.get(role, 0.0) + self._cpu.get(pid, 0.0)
        return told

    def rss(self, role: str) -> float:
        """Return the largest process of a role, in MiB."""
        return (
            max((self._rss.get(pid, 0) for pid, (_, one) in self._seen.items() if one == role), default=0)
            / MIB
        )


def follow(command: list[str], env: dict[str, str], cwd: Path) -> tuple[Costs, float, str]:
    """Run a command to its end; return its costs, its wall seconds and what it said. RuntimeError if it failed."""
    with (cwd / "out").open("w+") as out:
        began = time.monotonic()
        with subprocess.Popen(command, env=env, cwd=cwd, stdout=out, stderr=out) as process:
            costs = Costs(psutil.Process(process.pid))
            while process.poll() is None:
                costs.look()
                time.sleep(PERIOD_S)
        wall = time.monotonic() - began
        out.seek(0)
        said = out.read()
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}:\n{said[-3000:]}")
    return costs, wall, said


def counted(server: common.Backend) -> int:
    """Return how many requests the service has answered so far, this one left out."""
    return int(requests.get(f"{server.url}{common.REQUESTS}", timeout=60).text)


def run(n: int, workers: int) -> dict[str, float]:
    """Evaluate `n` examples, then plan over what is there; return the figures."""
    with common.backend() as server:
        common.push(server.client(), n)
        before, cpu, began = counted(server), server.cpu(), time.time()
        command = common.evalrunner(
            "run", "--dataset", common.DATASET, "--workers", str(workers), "--run-dir", str(server.folder / "run"),
            "--quiet", target="noop", evaluator="exact",
        )  # fmt: skip
        costs, wall, _ = follow(command, server.environment(), server.folder)
        receipt = json.loads((server.folder / "run" / "receipt.json").read_text())
        ready = max(common.read_marks(server.log_folder()).ends) - began
        row = {
            "n": n, "wall": wall, "ready": ready, "planning": receipt["seconds"]["planning"],
            **{f"cpu {role}": costs.cpu().get(role, 0.0) for role in ("command", "worker")},
            "cpu backend": server.cpu() - cpu, "requests": counted(server) - before,
            "rss command": costs.rss("command"), "rss worker": costs.rss("worker"),
        }  # fmt: skip
        return row | plan(server, receipt["experiment"]["id"])


def plan(server: common.Backend, experiment: str) -> dict[str, float]:
    """Plan over a complete experiment from an empty folder."""
    elsewhere = server.folder / "elsewhere"
    elsewhere.mkdir()
    before = counted(server)
    command = common.evalrunner(
        "run", "--experiment", experiment, "--plan", "--json", target="noop", evaluator="exact"
    )
    costs, wall, said = follow(command, server.environment(), elsewhere)
    told = json.loads(said[said.index("{") :])
    assert told["plan"]["to_run"] == 0, told["plan"]
    return {
        "plan wall": wall, "plan cpu": costs.cpu()["command"], "plan requests": counted(server) - before,
        "plan rss": costs.rss("command"),
    }  # fmt: skip


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float | None:
    """Return the slope of the least-squares line through (log size, log cost); None if there is none."""
    points = [(math.log(size), math.log(cost)) for size, cost in zip(sizes, costs, strict=True) if cost > 0]
    if len({x for x, _ in points}) < 2:
        return None
    mid_x, mid_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    slope: float = sum((x - mid_x) * (y - mid_y) for x, y in points) / sum(
        (x - mid_x) ** 2 for x, _ in points
    )
    return slope


def exponents(rows: list[dict[str, float]]) -> dict[str, dict[str, float | None]]:
    """Return (over all sizes, over the two largest) for every measure."""
    sizes = [row["n"] for row in rows]
    return {
        name: {
            "all": exponent(sizes, [row[name] for row in rows]),
            "last": exponent(sizes[-2:], [row[name] for row in rows[-2:]]),
        }
        for name in rows[0]
        if name != "n"
    }


def show(rows: list[dict[str, float]], grown: dict[str, dict[str, float | None]]) -> None:
    """Print the table."""
    print(f"{'':<14}" + "".join(f"{int(row['n']):>12,}" for row in rows) + f"{'exponent':>12}{'last':>8}")
    for name, slopes in grown.items():
        cells = "".join(f"{row[name]:>12,.1f}" for row in rows)
        tail = "".join(
            f"{'-' if slope is None else f'{slope:.2f}':>{width}}"
            for slope, width in ((slopes["all"], 12), (slopes["last"], 8))
        )
        print(f"{name:<14}{cells}{tail}")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default="1000,10000", help="numbers of examples")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    common.print_machine()
    rows = []
    for n in sorted(int(size) for size in options.sizes.split(",")):
        rows.append(run(n, options.workers))
        common.write_json(
            options.json, {"machine": common.machine(), "rows": rows, "exponents": exponents(rows)}
        )
    print("seconds, requests and MiB; no-op examples with one evaluator\n")
    grown = exponents(rows)
    show(rows, grown)
    judged = [slope for name in JUDGED if (slope := grown[name]["all"]) is not None]
    worst = max(judged, default=math.inf)
    common.say(f"{'HOLDS' if worst <= GOAL else 'DOES NOT HOLD'}: largest exponent {worst:.2f}, goal {GOAL}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
