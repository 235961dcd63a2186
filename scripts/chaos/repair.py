"""An outage, traces that are forgotten, scores that are lost: then `evalrunner repair`, and what that cost.

    python scripts/chaos/repair.py [--seeds 3] [--first-seed 1] [--items 400] [--smoke]

Four processes of plain `aevaluate` share an experiment, as a batch job would. For a part of the time the service
answers 503, for longer than the SDK tries; 5 % of all traces are accepted and forgotten; one process is killed;
afterwards 5 % of the scores are gone. Then `evalrunner repair --yes`: everything has to be there, once, and scored;
and the target may have been executed only for items of which neither a request that failed was kept, nor an
evaluator's trace is there. Which those are is told by what the service and the folder of such requests hold, and how
often the target ran by the target.

Exit code 1 if anything is missing, doubled, unscored, or was executed without need.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from evalrunner.transfer.replay.envelopes import read  # noqa: E402 - after the path is set
from tests.support.rig import (  # noqa: E402 - likewise
    Backend,
    Command,
    Finished,
    backend_in,
    read_experiment,
    wait_until,
)

PROCESSES = 4
FORGOTTEN = LOST_SCORES = 0.05
#: The SDK gives a request up after 3 s of 503 (langsmith/client.py:646).
OUTAGE_S = 8.0
_GIVEN = re.compile(rb'"reference_outputs":\s*\{"i":\s*(\d+)')
CODE = """
import asyncio, os, sys
async def target(inputs):
    with open(os.environ["EXECUTED"], "a") as log:
        log.write(f"{inputs['i']}\\n")
    await asyncio.sleep(0.3)
    return {"i": inputs["i"]}
def right(outputs, reference_outputs):
    return outputs["i"] == reference_outputs["i"]
def whole(run, example):
    return {"key": "whole", "score": 1}
if __name__ == "__main__":
    from langsmith import Client, aevaluate
    async def main(name, ids):
        client = Client()
        examples = list(client.list_examples(example_ids=ids))
        results = await aevaluate(
            target, data=examples, experiment=name, client=client, evaluators=[right, whole], max_concurrency=4
        )
        async for _ in results:
            pass
        client.flush()
    asyncio.run(main(sys.argv[1], sys.argv[2].split(",")))
"""


@dataclass
class Result:
    """What one seed came to."""

    seed: int
    lost: int
    kept: int
    needed: int
    executed: int
    again: int
    faults: list[str]


def trial(place: Backend, folder: Path, seed: int, items: int) -> Result:
    """Lose, repair, and look."""
    lots = random.Random(seed)
    (folder / "job.py").write_text(CODE)
    executed, kept = folder / "executed", folder / "kept"
    env = place.environment(EXECUTED=str(executed), LANGSMITH_FAILED_TRACES_DIR=str(kept))
    dataset = place.dataset(items)
    numbers = {
        str((one.outputs or {})["i"]): str(one.id)
        for one in place.client.list_examples(dataset_id=dataset.id)
    }
    examples = list(numbers.values())
    name = place.experiment(dataset)
    _lose(place, folder, name, examples, env, lots)
    _lose_scores(place, name, lots)
    before = read_experiment(place.client, name)
    there = {str(root.reference_example_id) for root in before.roots if root.end_time}
    needed = {one for one in examples if one not in there} - _held(place, name, kept, numbers)
    once = Counter(executed.read_text().split())
    words = [
        "repair",
        name,
        "--yes",
        "--recent",
        "0",
        "--target",
        "job.py:target",
        "--workers",
        "2",
        "--json",
    ]
    evaluators = ["--evaluator", "job.py:right", "--evaluator", "job.py:whole"]
    done = Command([*words, *evaluators], cwd=folder, env=env).finish(600)
    again = Counter(executed.read_text().split()) - once
    faults = list(_faults(place, name, examples, done.code, _said(done)))
    if sum(again.values()) != len(needed):
        faults.append(f"{sum(again.values())} executions, and {len(needed)} were needed")
    files = len(list(kept.glob("done/*"))) if kept.exists() else 0
    return Result(
        seed, items - len(there), files, len(needed), sum(once.values()), sum(again.values()), faults
    )


def _lose(
    place: Backend, folder: Path, name: str, examples: Sequence[str], env: dict[str, str], lots: random.Random
) -> None:
    """Run the job while the service fails, and kill one of its processes."""
    forget = {"match": "POST /runs/multipart", "action": "forget", "fraction": FORGOTTEN}
    outage = {"match": "POST /runs/multipart", "action": "status", "status": 503, "for_s": OUTAGE_S}
    lot = lots.randrange(1 << 30)
    place.faults(forget, seed=lot)
    shards = [examples[number::PROCESSES] for number in range(PROCESSES)]
    command = [sys.executable, str(folder / "job.py"), name]
    with (folder / "job.log").open("wb") as log:
        jobs = [
            subprocess.Popen([*command, ",".join(one)], env=env, cwd=folder, stdout=log, stderr=log)
            for one in shards
        ]
    victim, at = lots.choice(jobs), lots.randrange(len(examples) // 2, len(examples) * 3 // 4)
    executed = Path(env["EXECUTED"])

    def reached(number: int) -> None:
        wait_until(
            lambda: (
                (executed.exists() and len(executed.read_text().split()) >= number)
                or all(job.poll() is not None for job in jobs)
            ),
            timeout=300,
            what="executions",
        )

    reached(len(examples) // 5)
    place.faults(outage, forget, seed=lot)
    reached(at)
    victim.send_signal(signal.SIGKILL)
    for job in jobs:
        job.wait(300)
    place.faults()


def _lose_scores(place: Backend, name: str, lots: random.Random) -> None:
    session = str(place.client.read_project(project_name=name).id)
    offset, scores = 0, []
    while True:
        params = {"session": session, "limit": 100, "offset": offset}
        page = place.client.request_with_retries("GET", "/feedback", params=params).json()
        scores += [one["id"] for one in page]
        offset += len(page)
        if len(page) < 100:
            break
    for one in scores:
        if lots.random() < LOST_SCORES:
            place.client.delete_feedback(one)


def _held(place: Backend, name: str, kept: Path, numbers: Mapping[str, str]) -> set[str]:
    """Return the examples of which a whole root run, or an evaluator's trace, exists somewhere.

    Args:
        numbers: what the example's outputs hold -> its id.
    """
    session = str(place.client.read_project(project_name=name).id)
    begun: dict[str, str] = {}
    ended: set[str] = set()
    found: set[str] = set()
    for root in read_experiment(place.client, name).roots:
        begun[str(root.id)] = str(root.reference_example_id)
    for path in kept.glob("trace_*.json"):
        envelope = read(path)
        for op in envelope.ops:
            part = envelope.body[op.offset : op.offset + op.length]
            named = (
                part.split(b'"reference_example_id":"')[1][:36].decode() if b'"reference_ex' in part else ""
            )
            if b'"target_run_id"' in part:
                # `aevaluate` does not name the example in the metadata; what its evaluators were given does.
                given = _GIVEN.search(part)
                found.add(named or (numbers[given[1].decode()] if given else ""))
            elif op.kind in ("post", "patch") and named:
                begun[op.id] = named
            if op.kind in ("post", "patch") and b'"end_time":"' in part:
                ended.add(op.id)
    found |= {example for run, example in begun.items() if run in ended and example != "None"}
    if place.client.has_project("evaluators"):
        for trace in place.client.list_runs(project_name="evaluators", is_root=True):
            metadata = (trace.extra or {}).get("metadata") or {}
            if metadata.get("experiment") in (name, session) and trace.inputs:
                whole = trace.inputs.get("run") or {}
                number = (trace.inputs.get("reference_outputs") or {}).get("i")
                found.add(str(whole.get("reference_example_id") or numbers[str(number)]))
    return found


def _said(done: Finished) -> str:
    return (
        ", ".join(f"{one['code']} x {len(one['ids'])}" for one in done.receipt.get("symptoms", []))
        or done.err
    )


def _faults(place: Backend, name: str, examples: Sequence[str], code: int, said: str) -> Sequence[str]:
    found = [] if code == 0 else [f"repair ended with {code}: {said}"]
    after = read_experiment(place.client, name)
    runs = Counter(str(root.reference_example_id) for root in after.roots if root.end_time and not root.error)
    missing = [one for one in examples if not runs[one]]
    doubled = [one for one in examples if runs[one] > 1]
    if missing or doubled:
        found.append(f"{len(missing)} items are missing, {len(doubled)} are there twice")
    for root in after.roots:
        keys = set(root.feedback_stats or {})
        if root.end_time and not root.error and keys != {"right", "whole"}:
            found.append(f"run {root.id} has the scores {sorted(keys)}")
    return found


def main() -> int:
    """Do every seed, and say whether anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--smoke", action="store_true", help="one seed of few items")
    asked = parser.parse_args()
    # The reads that the SDK deprecates are those that every version of it has.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    seeds, items = (1, 80) if asked.smoke else (asked.seeds, asked.items)
    print("seed  lost  requests kept and sent  executed  again (needed)")
    bad = 0
    for seed in range(asked.first_seed, asked.first_seed + seeds):
        with tempfile.TemporaryDirectory(prefix="evalrunner-repair-") as folder:
            (Path(folder) / "backend").mkdir()
            with backend_in(Path(folder) / "backend") as place:
                one = trial(place, Path(folder), seed, items)
        bad += bool(one.faults)
        print(
            f"{seed:>4} {one.lost:>5} {one.kept:>23} {one.executed:>9} {one.again:>6} ({one.needed})",
            flush=True,
        )
        for fault in one.faults[:5]:
            print(f"      {fault}", flush=True)
    print(
        f"{seeds - bad} of {seeds} seeds: everything is there, once, scored, and nothing was executed without need"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
