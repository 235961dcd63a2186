"""Steps that bring back what is held elsewhere, without executing anything: kept requests, evaluators' traces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from evalrunner.doctor.asking import of_evaluators
from evalrunner.doctor.codes import Code
from evalrunner.doctor.evidence import Verdict, results
from evalrunner.doctor.examine import Examined
from evalrunner.doctor.further import lost
from evalrunner.doctor.repair import writing
from evalrunner.doctor.repair.step import Kind, Step, Wishes, ids
from evalrunner.doctor.repair.traces import rebuilt
from evalrunner.doctor.symptoms import complete
from evalrunner.service.errors import told
from evalrunner.transfer.replay import replay
from evalrunner.transfer.replay.envelopes import UnreadError, read

#: What the end of a run has.
_END = ("end_time", "outputs", "error")


def failed_traces(now: Examined, wishes: Wishes) -> Step | None:
    """Send on what the SDK has kept of this experiment."""
    folder = wishes.failed_traces
    if folder is None:
        return None
    mine = [path.name for path in sorted(folder.glob("trace_*.json")) if _holds(path, now)]
    if not mine:
        return None

    def do() -> str:
        done = replay(wishes.endpoint, folder, only=mine, note=wishes.note)
        left = "".join(f"; {one['file']} was not taken: {one['reason']}" for one in done.kept[:3])
        return f"{done.done:,} of {len(mine):,} requests were taken{left}"

    return Step(Kind.FAILED_TRACES, f"send {len(mine):,} requests again that failed, from {folder}", do)


def _holds(path: Path, now: Examined) -> bool:
    """Whether a request that was kept has runs of the experiment in it, or of evaluators over these."""
    try:
        body = read(path).body
    except (UnreadError, OSError):
        return False
    return any(f'"{one}"'.encode() in body for one in (now.place.id, now.place.name))


def rebuild(now: Examined, wishes: Wishes) -> Step | None:
    """Write root runs again, or their ends, that evaluators' traces hold."""
    found = dict(_rebuilt(now))
    if not found:
        return None
    pending = {one["run"] for one in ids(now, Code.RUN_PENDING)}

    def do() -> str:
        with told(now.place.client):
            for run, fields in found.items():
                if run in pending:
                    end = {field: fields[field] for field in _END if field in fields}
                    writing.end_run(now.place.client, run, end)
                else:
                    writing.create_run(now.place.client, fields)
        return f"{len(found):,} root runs were sent"

    text = (
        f"write {len(found):,} root runs again that were executed and are not there, or not their ends, with the "
        "outputs that evaluators' traces hold (times may be near only, what ran below them is lost)"
    )
    return Step(Kind.REBUILD, text, do)


def _rebuilt(now: Examined) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield root runs that are not there, or not whole, of examples that lack one, as an evaluator's trace has them.

    One without an end that may still be under way is left alone.
    """
    there = {root.id for root in now.seen.roots} - {one["run"] for one in ids(now, Code.RUN_PENDING)}
    counts = complete(now.seen)
    lacking = {one: now.seen.repetitions - len(runs) for one, runs in counts.items()}
    absent = [
        one for one in now.evidence.verdicts if one.run not in there and lacking.get(one.example or "", 0) > 0
    ]
    name = next(iter(Counter(root.name for root in now.seen.roots if root.example)), "target")
    done: set[str] = set()
    # The fullest first: a trace of an evaluator that asked for `run` has all of it.
    for verdict, row in sorted(
        _rows(now, absent), key=lambda pair: "run" not in (pair[1].get("inputs") or {})
    ):
        example = str(verdict.example)
        fields = rebuilt(row, name) if verdict.run not in done and lacking[example] > 0 else None
        if fields is None:
            continue
        done.add(verdict.run)
        lacking[example] -= 1
        fields.setdefault("dotted_order", writing.order(fields["start_time"], verdict.run))
        yield verdict.run, {**fields, "session_id": now.place.id, "reference_example_id": example}


def _rows(now: Examined, verdicts: Iterable[Verdict]) -> list[tuple[Verdict, dict[str, Any]]]:
    known = {one.id: one for one in verdicts}
    with told(now.place.client):
        rows = list(of_evaluators(now.place, list(known)))
    return [(known[str(row["id"])], row) for row in rows]


def scores(now: Examined, wishes: Wishes) -> Step | None:
    """Write scores again that evaluators' traces hold."""
    verdicts = lost(now.seen, now.evidence)
    if not verdicts:
        return None

    def do() -> str:
        number = 0
        place = now.place
        for verdict, row in _rows(now, verdicts):
            with told(place.client):
                given = results(verdict.name, row.get("outputs"))
                number += writing.restore(place.client, place.id, verdict.run, verdict.id, given)
        return f"{number:,} scores were sent"

    text = (
        f"write the scores again that {len(verdicts):,} evaluators' traces hold and the experiment does not"
    )
    return Step(Kind.SCORES, text, do)
