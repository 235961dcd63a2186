"""What is lost: the article's recipe, plain `aevaluate` per shard, and evalrunner, under the same faults.

    python scripts/bench/loss.py [--n 100] [--workers 4] [--seed 1] [--json FILE]            (make bench-loss)

For each condition and tool: a fresh backend, the same dataset, the same fault plan, armed when a quarter of the
items has begun. The truth is read from the backend (what arrived) and with the SDK (the scores).

missing   items without a complete root run     pending   of these: a root run without an end
scores    items whose score did not arrive      lost      items acknowledged by the tool, and not whole
said      how the tool told: its exit code, and for evalrunner whether its receipt names exactly the
          items that are not whole

Target: 0.5 s and one child run; one evaluator, itself not traced (so that every trace is an item's).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts.bench import common

TOOLS = ("article", "shard", "evalrunner")
EXPERIMENT = "bench-loss"
TARGET_S = 0.5
LIMIT_S = 240.0
#: evalrunner waits this long for what was accepted to become readable (its own default is 60 s).
VISIBLE_S = 15


@dataclass(frozen=True)
class Condition:
    """A fault: a plan for the backend, or the death of a worker."""

    name: str
    rules: tuple[dict[str, Any], ...] = ()
    kill: bool = False


@dataclass
class Cell:
    """What became of one run."""

    condition: str
    tool: str
    missing: int
    pending: int
    scores: int
    lost: int
    said: str
    seconds: float
    fired: int
    lost_examples: list[str]


@dataclass(frozen=True)
class Truth:
    """What a backend holds of an experiment, by example id."""

    complete: set[str]
    pending: set[str]
    scored: set[str]

    @property
    def whole(self) -> set[str]:
        """Items of which everything is there."""
        return self.complete & self.scored


def conditions(n: int) -> list[Condition]:
    """Return the conditions; an outage hits everything, or only the way in of traces, as a rate limit does."""
    runs = "POST /runs/multipart"
    down = {"action": "status", "status": 503, "for_s": 8.0}
    limited = {"action": "status", "status": 429, "retry_after": 1, "for_s": 20.0}
    # One trace in a hundred: by lot among the first, so that few examples have their one too.
    forget = {"action": "forget", "fraction": min(1.0, 10 / n), "first_n": math.ceil(n / 100)}
    return [
        Condition("healthy"),
        Condition("503 everywhere 8 s", ({"match": "*", **down},)),
        Condition("503 for traces 8 s", ({"match": runs, **down},)),
        Condition("429 for traces 20 s", ({"match": runs, **limited},)),
        Condition("SIGKILL of a worker", kill=True),
        Condition("forgets 1 %", ({"match": runs, **forget},)),
    ]


def measure(condition: Condition, tool: str, n: int, workers: int, seed: int) -> Cell:
    """Run one tool under one condition and look at what is left."""
    with common.backend() as server:
        client = server.client()
        common.push(client, n)
        dataset = client.read_dataset(dataset_name=common.DATASET)
        client.create_project(EXPERIMENT, reference_dataset_id=dataset.id)
        began = time.monotonic()
        code, out = run(condition, tool, server, n, workers, seed)
        seconds = time.monotonic() - began
        fired = sum(rule["fired"] for rule in server.fault_report()["rules"])
        server.arm({})  # a tool that gave up early must not blind us too
        truth = read_truth(server)
        expected = numbers_of(client.list_examples(dataset_id=dataset.id))
        broken = expected.keys() - truth.whole
        lost = acknowledged(tool, server, expected) & broken
        return Cell(
            condition.name,
            tool,
            missing=len(expected.keys() - truth.complete),
            pending=len((expected.keys() - truth.complete) & truth.pending),
            scores=len(expected.keys() - truth.scored),
            lost=len(lost),
            said=what_it_said(tool, code, out, server, broken),
            seconds=seconds,
            fired=fired,
            lost_examples=sorted(lost),
        )


def numbers_of(examples: Iterable[Any]) -> dict[str, int]:
    """Return the number of each example, by id."""
    return {str(example.id): int(example.inputs["x"]) for example in examples}


def run(
    condition: Condition, tool: str, server: common.Backend, n: int, workers: int, seed: int
) -> tuple[int | None, str]:
    """Start the tool, have the fault happen, wait for its end; no code means that it hung."""
    env = server.environment(BENCH_SLEEP_S=str(TARGET_S), PYTHONWARNINGS="ignore")
    with (server.folder / "out").open("w+") as out:
        with subprocess.Popen(
            command(tool, workers), env=env, cwd=server.folder, stdout=out, stderr=out, start_new_session=True
        ) as process:
            try:
                wait_for(server.log_folder(), n // 4, process)
                if condition.rules:
                    server.arm({"seed": seed, "fault": list(condition.rules)})
                if condition.kill:
                    kill_one(tool, process.pid, server.folder / "out")
                code = process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                code = None
                os.killpg(process.pid, signal.SIGKILL)
        out.seek(0)
        return code, out.read()


def command(tool: str, workers: int) -> list[str]:
    """Return the command of a tool."""
    if tool != "evalrunner":
        return common.script("recipes.py", tool, EXPERIMENT, common.DATASET, str(workers))
    options = ["--max-concurrency", "1", "--no-trace-evaluators", "--visible-deadline", str(VISIBLE_S)]
    return common.evalrunner(
        "--experiment", EXPERIMENT, "--workers", str(workers), *options, target="nested", evaluator="exact"
    )


def wait_for(folder: Path, begun: int, process: subprocess.Popen[bytes]) -> None:
    """Return when so many items have begun."""
    while process.poll() is None and len(common.read_marks(folder).starts) < max(1, begun):
        time.sleep(0.02)


def kill_one(tool: str, pid: int, out: Path) -> None:
    """Kill the second of the workers."""
    if tool == "evalrunner":
        workers = [one.pid for one, role in common.family(psutil.Process(pid)) if role == "worker"]
    else:
        line = next(line for line in out.read_text().splitlines() if line.startswith("WORKERS "))
        workers = json.loads(line[len("WORKERS ") :])
    os.kill(sorted(workers)[min(1, len(workers) - 1)], signal.SIGKILL)


def read_truth(server: common.Backend) -> Truth:
    """Ask the backend what arrived, and the SDK which scores."""
    runs = server.truth(EXPERIMENT)["runs"]
    roots = {run_id: run for run_id, run in runs.items() if run["is_root"] and run["reference_example_id"]}
    complete = {run["reference_example_id"] for run in roots.values() if run["complete"]}
    pending = {run["reference_example_id"] for run in roots.values() if not run["complete"]}
    scored = set()
    ids = list(roots)
    for first in range(0, len(ids), 50):
        for score in server.client().list_feedback(run_ids=ids[first : first + 50]):
            scored.add(roots[str(score.run_id)]["reference_example_id"])
    return Truth(complete, pending, scored)


def acknowledged(tool: str, server: common.Backend, expected: dict[str, int]) -> set[str]:
    """Return the items that the tool has called done."""
    if tool == "evalrunner":
        items = receipt(server)["items"]
        return {item["example_id"] for item in items if item["state"] in ("visible", "already complete")}
    numbers: set[int] = set()
    for path in server.log_folder().glob("*.acknowledged"):
        numbers.update(map(int, path.read_text().split()))
    return {example for example, number in expected.items() if number in numbers}


def receipt(server: common.Backend) -> dict[str, Any]:
    """Read evalrunner's receipt."""
    path = next((server.folder / ".evalrunner" / "runs").glob("*/receipt.json"))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def what_it_said(tool: str, code: int | None, out: str, server: common.Backend, broken: set[str]) -> str:
    """Return how the tool itself told of losses."""
    told = "hung" if code is None else f"exit {code}"
    if tool != "evalrunner":
        return f"{told}, names none" if broken else told
    named = {item["example_id"] for item in receipt(server)["items"] if item["state"] != "visible"}
    if named == broken:
        return f"{told}, names all" if broken else told
    return f"{told}, names {len(named & broken)}+{len(named - broken)} wrong"


def show(cells: list[Cell]) -> None:
    """Print the table."""
    print(f"{'condition':<20}{'tool':<11}{'missing':>8}{'pending':>8}{'scores':>7}{'lost':>5}  said")
    previous = ""
    for cell in cells:
        name = cell.condition if cell.condition != previous else ""
        previous = cell.condition
        counts = f"{cell.missing:>8}{cell.pending:>8}{cell.scores:>7}{cell.lost:>5}"
        print(f"{name:<20}{cell.tool:<11}{counts}  {cell.said}")


def main() -> int:
    """Measure every cell and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=100, help="examples")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1, help="of the faults' lots")
    parser.add_argument("--lanes", type=int, default=6, help="cells measured side by side, each by itself")
    parser.add_argument("--only", default="", help="conditions that contain this word")
    parser.add_argument("--json", type=Path, help="write the cells to this file")
    options = parser.parse_args()
    wanted = [one for one in conditions(options.n) if options.only in one.name]
    common.print_machine()
    print(
        f"N = {options.n} examples, {options.workers} workers, seed {options.seed}, one run per cell\n",
        flush=True,
    )
    # The slow recipe first: it sleeps most of the time.
    jobs = [(condition, tool) for tool in TOOLS for condition in wanted]
    with ThreadPoolExecutor(options.lanes) as pool:
        futures = [
            pool.submit(measure, condition, tool, options.n, options.workers, options.seed)
            for condition, tool in jobs
        ]
        made = [future.result() for future in futures]
    order = [one.name for one in wanted]
    cells = sorted(made, key=lambda cell: (order.index(cell.condition), TOOLS.index(cell.tool)))
    show(cells)
    common.write_json(options.json, {"machine": common.machine(), "cells": [asdict(cell) for cell in cells]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
