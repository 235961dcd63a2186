"""What `evalrunner upload` takes, beside the usual script and beside the bytes alone.

    python scripts/bench/upload.py [--runs N] [--sizes 2400,24000] [--reps 3] [--serve] [--json FILE]

Traces of about ten runs, of every type, to depth 8, 5 % failed, with events and offsets (tests/support/recorded.py).

sink    a service that only counts (sink.py, on loopback, a process of its own): `script` is upload_script.py, plain
        and with 8 threads; `ours` is the command with --verify none, which is what the script does; `posted` is the
        same bytes, encoded and packed before the clock starts: if that is much faster than all others, then it is
        not the sink that is measured.          goals: 4 x the script's speed at 24 KB a run, 6 x at 2.4 KB
serve   the local backend, fresh for each: ours against `posted`.                     goal: 1.2 x its wall

Each way in a process of its own; they alternate, and medians are compared. CPU is of that process, RSS its peak.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts.bench.common import backend, neutral_environment
from tests.support.recorded import Recorder, write_array

HERE = Path(__file__).resolve().parent
KEY = "bench"


@dataclass(frozen=True)
class Sample:
    """One upload: seconds, CPU seconds, MiB, and bytes that the service received."""

    wall: float
    cpu: float
    rss: float
    received: int


def main() -> int:
    """Measure, print, and say whether the goals are met."""
    asked = _arguments()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="evalrunner-bench-") as name:
        for size in map(int, asked.sizes.split(",")):
            file = Path(name) / f"traces-{size}.json"
            runs = write_array(file, Recorder(7, size=size).traces(asked.runs))
            rows += _measured(file, runs, size, asked)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=2))
    return 0 if all(row["holds"] for row in rows if "holds" in row) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--sizes", default="2400,24000", help="bytes of a run")
    parser.add_argument("--reps", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help="the local backend too")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _measured(file: Path, runs: int, size: int, asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    script = [sys.executable, str(HERE / "upload_script.py"), str(file), "bench"]
    ways: dict[str, list[str]] = {
        "script": script,
        "script, 8 threads": [*script, "--threads", "8"],
        "ours": _ours(file),
        "posted": [sys.executable, str(HERE / "upload_posted.py"), str(file)],
    }
    goal = 6.0 if size < 10_000 else 4.0
    yield from _table("sink", ways, file, runs, asked.reps, goal)
    if asked.serve:
        yield from _table(
            "serve", {name: ways[name] for name in ("ours", "posted")}, file, runs, asked.reps, 1.2
        )


def _ours(file: Path) -> list[str]:
    return [sys.executable, "-m", "evalrunner", "upload", str(file), "--project", "bench", "--verify", "none",
            "--on-error", "skip", "--quiet"]  # fmt: skip


def _table(
    where: str, ways: dict[str, list[str]], file: Path, runs: int, reps: int, goal: float
) -> Iterator[dict[str, Any]]:
    taken: dict[str, list[Sample]] = {name: [] for name in ways}
    for _ in range(reps):
        for name, command in ways.items():
            taken[name].append(_once(where, command))
    megabytes = file.stat().st_size / 1e6
    print(f"{where}: {runs:,} runs, {megabytes:,.1f} MB, {reps} each", flush=True)
    print(f"  {'':18} {'wall s':>7} {'MB/s':>6} {'CPU s':>6} {'ms/MB':>6} {'RSS MiB':>8} {'wire MB':>8}")
    best = {name: _median(samples) for name, samples in taken.items()}
    for name, one in best.items():
        speed, cost = megabytes / one.wall, 1000 * one.cpu / megabytes
        print(
            f"  {name:18} {one.wall:7.2f} {speed:6.1f} {one.cpu:6.2f} {cost:6.1f} {one.rss:8.0f} "
            f"{one.received / 1e6:8.1f}",
            flush=True,
        )
        yield {"where": where, "way": name, "runs": runs, "megabytes": megabytes, **asdict(one)}
    yield _verdict(where, best, goal)


def _verdict(where: str, best: dict[str, Sample], goal: float) -> dict[str, Any]:
    if where == "sink":
        ratio, holds = (
            best["script"].wall / best["ours"].wall,
            best["script"].wall / best["ours"].wall >= goal,
        )
        said = f"ours is {ratio:.1f} x as fast as the script, goal {goal:g}"
    else:
        ratio = best["ours"].wall / best["posted"].wall
        holds = ratio <= goal
        said = f"ours takes {ratio:.2f} x the wall of the bytes alone, goal {goal:g}"
    print(f"  {'HOLDS' if holds else 'FAILS'}: {said}", flush=True)
    return {"where": where, "ratio": ratio, "goal": goal, "holds": holds}


def _median(samples: list[Sample]) -> Sample:
    return Sample(
        *(median(getattr(one, name) for one in samples) for name in ("wall", "cpu", "rss", "received"))
    )


def _once(where: str, command: list[str]) -> Sample:
    with _service(where) as (url, key), tempfile.TemporaryDirectory(prefix="evalrunner-bench-") as folder:
        before = _received(url) if where == "sink" else 0
        wall, usage = _run(
            command, folder, neutral_environment(LANGSMITH_ENDPOINT=url, LANGSMITH_API_KEY=key)
        )
        received = _received(url) - before if where == "sink" else 0
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, received)


def _run(
    command: list[str], folder: str, environment: dict[str, str]
) -> tuple[float, resource.struct_rusage]:
    """Run a command to its end; return its wall and what it has used, by its own parent."""
    relay = (
        "import json, resource, subprocess, sys, time\n"
        "began = time.perf_counter()\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)\n"
        "wall = time.perf_counter() - began\n"
        "usage = list(resource.getrusage(resource.RUSAGE_CHILDREN))\n"
        "print(json.dumps([done.returncode, wall, usage, done.stdout]))\n"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", relay, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    code, wall, usage, said = json.loads(done.stdout)
    if code:
        raise SystemExit(
            f"{' '.join(command[:4])} ended with {code} after {time.perf_counter() - began:.1f} s:\n{said}"
        )
    if found := re.search(r"posted in ([0-9.]+)", said):
        wall = float(found[1])  # the bytes alone
    return wall, resource.struct_rusage(usage)


@contextmanager
def _service(where: str) -> Iterator[tuple[str, str]]:
    if where == "serve":
        with backend() as there:
            yield there.url, there.token
        return
    with subprocess.Popen(
        [sys.executable, str(HERE / "sink.py")], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), KEY
        finally:
            process.kill()


def _received(url: str) -> int:
    return int(requests.get(f"{url}/counts", timeout=10).json()["bytes"])


if __name__ == "__main__":
    sys.exit(main())
