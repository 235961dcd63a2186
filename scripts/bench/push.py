"""Whether the memory of `evalrunner push` grows with the number of runs: the command's peak RSS at several sizes.

    python scripts/bench/push.py [--sizes 10000,100000] [--json FILE]                          (make bench-push)

Small runs in traces of five, each with a score, put straight into a local backend; pushed to another one, and then
pushed again from the same folder and from a new one, which sends nothing. Peaks are the kernel's (VmHWM) of the
command's process alone. Goal: at the largest size no more than 1.25 times, and 24 MiB more, than at the smallest.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from evalrunner.delivery.capture.traces import Operation
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.delivery.spool.record import closing, encode_parts
from tests.support.rig import Backend, Command, backend_in, clean_environment

BOUNDARY = f"evalrunner-{'0' * 32}"
JSON = "application/json"
#: Runs of a trace, and traces of a request.
RUNS, TOGETHER = 5, 400
EXPERIMENT = "bench"
FACTOR, SLACK_MIB = 1.25, 24
PERIOD_S = 0.05


def fill(backend: Backend, runs: int) -> int:
    """Make an experiment of so many small runs; return how many there are."""
    client = backend.client
    dataset = client.create_dataset(EXPERIMENT)
    rows = [{"inputs": {"i": number}} for number in range(10)]
    examples = [
        str(one) for one in client.create_examples(dataset_id=dataset.id, examples=rows)["example_ids"]
    ]
    project = client.create_project(EXPERIMENT, reference_dataset_id=dataset.id)
    transport = HttpTransport(backend.url, backend.token)
    operations: list[Operation] = []
    traces = max(1, runs // RUNS)
    for number in range(traces):
        operations += _trace(project.id, examples[number % len(examples)], number)
        if (number + 1) % TOGETHER == 0 or number + 1 == traces:
            body = encode_parts(BOUNDARY, operations)[1] + closing(BOUNDARY)
            answer = transport.post_multipart(body, BOUNDARY, compress=True)
            assert answer.status == 202, answer
            operations = []
    return traces * RUNS


def _trace(project: UUID, example: str, number: int) -> Iterator[Operation]:
    begun = datetime.now(timezone.utc) - timedelta(hours=2) + timedelta(milliseconds=number)
    root, place = str(uuid4()), ""
    for child in range(RUNS):
        run_id = root if child == 0 else str(uuid4())
        start = begun + timedelta(milliseconds=child)
        segment = f"{start:%Y%m%dT%H%M%S%fZ}{run_id}"
        place = segment if child == 0 else place
        run: dict[str, Any] = {
            "id": run_id, "trace_id": root, "name": f"run {child}", "run_type": "chain", "session_id": str(project),
            "start_time": start.isoformat(), "end_time": (start + timedelta(seconds=1)).isoformat(),
            "dotted_order": segment if child == 0 else f"{place}.{segment}",
        }  # fmt: skip
        run |= {"parent_run_id": root} if child else {"reference_example_id": example}
        said = orjson.dumps({"n": number})
        yield "post", run_id, [
            (f"post.{run_id}", JSON, orjson.dumps(run)),
            (f"post.{run_id}.inputs", JSON, said),
            (f"post.{run_id}.outputs", JSON, said),
        ]  # fmt: skip
    score = {
        "id": str(uuid4()),
        "run_id": root,
        "trace_id": root,
        "session_id": str(project),
        "key": "k",
        "score": 1,
    }
    one = str(score["id"])
    yield "feedback", one, [(f"feedback.{one}", JSON, orjson.dumps(score))]


def push(store: Path, there: Backend, folder: Path) -> dict[str, Any]:
    """Push it; return the receipt, the peak in MiB and the seconds that it took."""
    words = ["push", EXPERIMENT, "--to", there.url, "--key-env", "THERE_KEY", "--store", str(store), "--json"]
    env = clean_environment(THERE_KEY=there.token, HOME=str(folder))
    began = time.monotonic()
    command = Command(words, cwd=folder, env=env)
    peak = 0
    while command.process.poll() is None:
        peak = max(peak, _peak(command.pid))
        time.sleep(PERIOD_S)
    done = command.finish()
    if done.code != 0:
        raise SystemExit(f"push ended with {done.code}: {done.out}{done.err}")
    return {"receipt": done.receipt, "mib": peak / 1024, "seconds": time.monotonic() - began}


def _peak(pid: int) -> int:
    """Return the highest RSS that a process has had, in KiB; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def measure(size: int, folder: Path) -> list[dict[str, Any]]:
    """Push, push again, and push from a folder that knows nothing of it."""
    source, target = folder / "here", folder / "there"
    source.mkdir(parents=True)
    target.mkdir()
    with backend_in(source) as here:
        runs = fill(here, size)
    rows = []
    with backend_in(target) as there:
        for name, place in (("first", "one"), ("again", "one"), ("elsewhere", "two")):
            found = push(source / "store.sqlite", there, folder / place)
            sent = found["receipt"]["sent"]["runs"]
            if sent != (runs if name == "first" else 0):
                raise SystemExit(f"{sent:,} of {runs:,} runs were sent by the push {name!r}")
            rows.append(
                {"runs": runs, "push": name, "mib": round(found["mib"], 1), "s": round(found["seconds"], 1)}
            )
            print(
                f"{runs:>9,} runs  {name:<10} {found['mib']:8.1f} MiB {found['seconds']:8.1f} s", flush=True
            )
    return rows


def main() -> int:
    """Measure every size, and say whether memory grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="10000,100000")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for size in sorted(int(one) for one in asked.sizes.split(",")):
        folder = Path(tempfile.mkdtemp(prefix="evalrunner-push-"))
        try:
            rows += measure(size, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    least = max(row["mib"] for row in rows if row["runs"] == rows[0]["runs"])
    most = max(row["mib"] for row in rows if row["runs"] == rows[-1]["runs"])
    holds = most <= FACTOR * least + SLACK_MIB
    print(
        f"{'HOLDS' if holds else 'FAILS'}: {least:.0f} MiB at {rows[0]['runs']:,}, {most:.0f} at {rows[-1]['runs']:,}"
    )
    if asked.json:
        asked.json.write_text(json.dumps([*rows, {"holds": holds}], indent=1))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
