"""What `evalrunner verify`, `doctor` and `run --plan` cost over large experiments: requests, seconds, peak RSS.

    python scripts/bench/doctor.py [--size 10000] [--json FILE]                                 (make bench-doctor)

    runs      so many runs: roots with three runs below them each, scored, all there
    examples  so many examples, each with a root run that has a score and its evaluator's trace, all there
    missing   as `examples`, and 1 % of the root runs are gone, with their scores: executed and lost
    unscored  as `examples`, and 1 % of the scores are gone

Peaks are the kernel's (VmHWM) of the command's process alone. Goals at 10,000: `runs` <= 150 requests and 10 s, the
others <= 250 requests; 200 MB; `--plan` <= 3 s.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from evalrunner.delivery.capture.traces import Operation
from evalrunner.delivery.sending.transport import HttpTransport
from evalrunner.delivery.spool.record import closing, encode_parts
from scripts.bench.common import BIN, REQUESTS, Backend, backend, push

BOUNDARY = f"evalrunner-{'0' * 32}"
JSON = "application/json"
TOGETHER = 1_000
CHILDREN = 3
#: One in so many is lost.
LOST = 100
GOAL_REQUESTS = {"runs": 150, "examples": 250, "missing": 250, "unscored": 250}
GOAL_S = {"runs": 10.0}
GOAL_PLAN_S, GOAL_MB = 3.0, 200.0
PERIOD_S = 0.02


def fill(there: Backend, case: str, size: int) -> None:
    """Make the experiment of a case."""
    client = there.client()
    roots = size // (1 + CHILDREN) if case == "runs" else size
    push(client, roots, case)
    examples = [str(one.id) for one in client.list_examples(dataset_name=case)]
    dataset = client.read_dataset(dataset_name=case)
    project = client.create_project(case, reference_dataset_id=dataset.id)
    transport = HttpTransport(there.url, there.token)
    waiting: list[Operation] = []
    for number, example in enumerate(examples):
        waiting += _item(str(project.id), case, example, number)
        if len(waiting) >= TOGETHER or number + 1 == len(examples):
            body = encode_parts(BOUNDARY, waiting)[1] + closing(BOUNDARY)
            answer = transport.post_multipart(body, BOUNDARY, compress=True)
            assert answer.status == 202, answer
            waiting = []


def _item(project: str, case: str, example: str, number: int) -> Iterator[Operation]:
    root, trace = str(uuid4()), str(uuid4())
    lost = number % LOST == 0
    if case != "missing" or not lost:
        yield from _trace(project, root, number, {"reference_example_id": example}, case == "runs")
        if case != "unscored" or not lost:
            yield _score(project, root, trace)
    if case != "runs":
        metadata = {"experiment": case, "target_run_id": root, "reference_example_id": example}
        judge = {"session_name": "evaluators", "extra": {"metadata": metadata}}
        yield from _trace(None, trace, number, judge, False)


def _trace(
    project: str | None, root: str, number: int, fields: dict[str, Any], children: bool
) -> Iterator[Operation]:
    begun = datetime.now(timezone.utc) - timedelta(hours=2) + timedelta(milliseconds=number)
    place = ""
    for child in range(1 + CHILDREN if children else 1):
        run_id = str(uuid4()) if child else root
        start = begun + timedelta(milliseconds=child)
        segment = f"{start:%Y%m%dT%H%M%S%fZ}{run_id}"
        place = place or segment
        run: dict[str, Any] = {
            "id": run_id, "trace_id": root, "name": f"run {child}", "run_type": "chain",
            "start_time": start.isoformat(), "end_time": (start + timedelta(milliseconds=9)).isoformat(),
            "dotted_order": f"{place}.{segment}" if child else segment,
            **({"session_id": project} if project else {}), **({"parent_run_id": root} if child else fields),
        }  # fmt: skip
        yield "post", run_id, [
            (f"post.{run_id}", JSON, orjson.dumps(run)),
            (f"post.{run_id}.inputs", JSON, orjson.dumps({"outputs": {"answer": number}})),
            (f"post.{run_id}.outputs", JSON, orjson.dumps({"output": True})),
        ]  # fmt: skip


def _score(project: str, root: str, trace: str) -> Operation:
    one = str(uuid4())
    score = {
        "id": one, "run_id": root, "trace_id": root, "session_id": project, "key": "k", "score": 1,
        "feedback_source": {"type": "model", "metadata": {"__run": {"run_id": trace}}},
    }  # fmt: skip
    return "feedback", one, [(f"feedback.{one}", JSON, orjson.dumps(score))]


def measure(there: Backend, words: Sequence[str]) -> dict[str, Any]:
    """Run a command; return its exit code, its seconds (wall and CPU), its requests and its peak in MB."""
    before, began = _requests(there), time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [str(BIN / "evalrunner"), *words],
            stdout=out,
            stderr=out,
            cwd=there.folder,
            env=there.environment(),
        )
        peak, cpu = 0.0, 0.0
        while process.poll() is None:
            peak, cpu = max(peak, _peak(process.pid)), max(cpu, _cpu(process.pid))
            time.sleep(PERIOD_S)
        seconds = time.monotonic() - began
        out.seek(0)
        said = out.read().decode()
    number = _requests(there) - before - 1
    return {
        "code": process.returncode,
        "s": seconds,
        "cpu": cpu,
        "requests": number,
        "mb": peak,
        "said": said,
    }


def _requests(there: Backend) -> int:
    return int(requests.get(there.url + REQUESTS, timeout=10).text)


def _peak(pid: int) -> float:
    return next((int(line.split()[1]) * 1024 / 1e6 for line in _of(pid, "status") if "VmHWM" in line), 0.0)


def _cpu(pid: int) -> float:
    told = " ".join(_of(pid, "stat")).rpartition(")")[2].split()
    return (int(told[11]) + int(told[12])) / 100 if len(told) > 12 else 0.0


def _of(pid: int, what: str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/{what}").read_text().splitlines()
    except OSError:
        return []


#: Case -> exit code of `verify` and `doctor`, and a word that their verdict has.
EXPECTED = {
    "runs": (0, "WHOLE"),
    "examples": (0, "WHOLE"),
    "missing": (3, "run-missing"),
    "unscored": (5, "score-lost"),
}


def main() -> int:
    """Measure every case, and say whether the goals hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for case in GOAL_REQUESTS:
        with backend() as there:
            fill(there, case, asked.size)
            rows += _rows(there, case)
    print("goals hold" if all(row["holds"] for row in rows) else "goals FAIL")
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1))
    return 0 if all(row["holds"] for row in rows) else 1


def _rows(there: Backend, case: str) -> Iterator[dict[str, Any]]:
    for command in ("verify", "doctor"):
        found = measure(there, [command, case])
        code, word = EXPECTED[case]
        if found["code"] != code or word not in found["said"]:
            raise SystemExit(f"{command} of {case} ended with {found['code']}: {found['said']}")
        holds = found["requests"] <= GOAL_REQUESTS[case] and found["mb"] <= GOAL_MB
        yield _row(case, command, found, holds and found["s"] <= GOAL_S.get(case, float("inf")))
    if case == "examples":
        (there.folder / "t.py").write_text("def target(inputs):\n    return {}\n")
        found = measure(there, ["--experiment", case, "--target", "t.py:target", "--plan"])
        if found["code"] != 0:
            raise SystemExit(f"--plan ended with {found['code']}: {found['said']}")
        yield _row(case, "--plan", found, found["s"] <= GOAL_PLAN_S)


def _row(case: str, command: str, found: dict[str, Any], holds: bool) -> dict[str, Any]:
    print(
        f"{case:<9} {command:<7} {found['requests']:>5} requests {found['s']:6.1f} s {found['cpu']:6.1f} CPU s "
        f"{found['mb']:6.0f} MB  {'ok' if holds else 'MISSED'}",
        flush=True,
    )
    return {
        "case": case,
        "command": command,
        **{k: found[k] for k in ("requests", "s", "cpu", "mb")},
        "holds": holds,
    }


if __name__ == "__main__":
    sys.exit(main())
