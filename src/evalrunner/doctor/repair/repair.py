"""A repair: its plan, and its steps one after the other, each over what the one before has left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from evalrunner.doctor.codes import Code
from evalrunner.doctor.examine import Examined, examine
from evalrunner.doctor.place import Place
from evalrunner.doctor.repair import changing, restoring
from evalrunner.doctor.repair.step import Kind, Step, Wishes, ids


def run(now: Examined, wishes: Wishes) -> Step | None:
    """Execute what is truly missing, and score what evaluators failed on: a run of ours, into the experiment.

    Not while another seems to go on: what that has begun would be executed twice.
    """
    missing = sum(int(one["lacks"]) for one in ids(now, Code.RUN_MISSING))
    unscored = len({one["run"] for code in (Code.SCORE_FAILED, Code.SCORE_SILENT) for one in ids(now, code)})
    if wishes.run is None or not (missing or unscored) or ids(now, Code.RUN_UNDER_WAY):
        return None
    parts = [
        f"execute the target for {missing:,} items" if missing else "",
        f"run the evaluators that failed over {unscored:,} runs" if unscored else "",
    ]
    return Step(Kind.RUN, " and ".join(part for part in parts if part), wishes.run, missing)


STEPS: Mapping[Kind, Callable[[Examined, Wishes], Step | None]] = {
    Kind.METADATA: changing.metadata,
    Kind.FAILED_TRACES: restoring.failed_traces,
    Kind.REBUILD: restoring.rebuild,
    Kind.SCORES: restoring.scores,
    Kind.RELINK: changing.relink,
    Kind.RUN: run,
    Kind.CLOSE: changing.close,
    Kind.DUPLICATES: changing.duplicates,
}


def plan(now: Examined, wishes: Wishes) -> list[Step]:
    """Return what a repair would do, as far as that can be told before it has begun."""
    return [step for make in STEPS.values() if (step := make(now, wishes)) is not None]


@dataclass(frozen=True)
class Done:
    """A step that was done, and what it came to."""

    step: Step
    came_to: str


def repair(
    place: Place,
    wishes: Wishes,
    utcnow: Callable[[], datetime],
    recent: timedelta,
    tell: Callable[[Done], None],
) -> tuple[Examined, list[Done]]:
    """Do what can be done, and examine the experiment again.

    Dying anywhere in it costs nothing: each step is made from what is there, and the next repair finds what is left.

    Args:
        recent: what has no end and began within this time may still be under way, and is left alone.
        tell: takes each step when it is done.

    Returns:
        The experiment afterwards, and what was done.

    Raises:
        ServiceError: the experiment cannot be read or written any more.
    """
    done: list[Done] = []
    now = examine(place, utcnow(), recent)
    for make in STEPS.values():
        step = make(now, wishes)
        if step is None:
            continue
        done.append(Done(step, step.do()))
        tell(done[-1])
        now = examine(place.again(), utcnow(), recent)
    return now, done
