"""The causes, and how each is provoked, alone or beside others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from evalrunner.doctor.causes import Cause
from scripts.chaos import cause_ways as ways
from scripts.chaos import cause_whole as whole
from scripts.chaos.cause_stage import Stage


@dataclass(frozen=True)
class Case:
    """How a cause is provoked.

    Attributes:
        symptoms: at least one of these is there.
        provoke: does it over a part of the examples.
        within: what the list of causes may hold, if not what the class of the cause does.
        paired: it leaves the other examples of the experiment alone.
        beside: what is done well is done at the same time.
        recent: it is over within minutes, and is looked at before that.
        prepare: makes dataset and experiment, where that is a part of it.
    """

    cause: Cause
    symptoms: tuple[str, ...]
    provoke: ways.Provoke
    within: frozenset[Cause] = frozenset()
    paired: bool = True
    prepare: Callable[[Stage, int], None] | None = None
    beside: bool = False
    recent: bool = False


_ROOTS = ("run-missing",)
_CUT = ("run-missing", "run-pending")

CASES: tuple[Case, ...] = (
    Case(Cause.NEVER_STARTED, _ROOTS, ways.never),
    Case(Cause.NOT_CONSUMED, _ROOTS, ways.unread),
    Case(Cause.EXIT_EARLY, _CUT, ways.exit),
    Case(Cause.FORKED, _ROOTS, ways.forked),
    Case(Cause.TRACING_OFF, _ROOTS, ways.tracing_off),
    Case(Cause.KILLED, _CUT, ways.killed),
    Case(Cause.OUTAGE, _CUT, ways.refused_connection),
    Case(Cause.RATE_LIMITED, _CUT, ways.status(429)),
    Case(Cause.REFUSED, _CUT, ways.status(400, 401, 403, 422)),
    Case(Cause.TOO_LARGE, _CUT, ways.too_large),
    Case(Cause.QUEUE_FULL, _CUT, ways.queue_full),
    Case(Cause.OUTSIDE_WINDOW, _ROOTS, ways.outside),
    Case(Cause.FORGOTTEN, _ROOTS, ways.forgotten),
    Case(Cause.SAMPLED, _ROOTS, ways.sampled),
    Case(Cause.OTEL_ONLY, _ROOTS, ways.otel_only),
    Case(Cause.ELSEWHERE, _ROOTS, ways.elsewhere, beside=True),
    Case(Cause.ELSEWHERE, ("view-split",), whole.split_up, paired=False),
    Case(Cause.FEWER_REPETITIONS, _ROOTS, whole.fewer, paired=False, prepare=whole.make_repeated),
    Case(
        Cause.STILL_RUNNING, ("run-under-way", "run-missing"), ways.still_running, paired=False, recent=True
    ),
    Case(Cause.PYTEST_UNSYNCED, _CUT, whole.pytest, paired=False),
    Case(Cause.ERROR_IGNORED, ("run-unlinked",), ways.error_ignored),
    Case(Cause.CONTEXT_LOST, ("run-unlinked",), ways.context_lost),
    Case(Cause.RUN_TWICE, ("run-duplicate",), ways.run_twice),
    Case(Cause.LAST_WRITER, ("view-hidden",), whole.last_writer, paired=False, prepare=whole.make_parted),
    Case(Cause.DATASET_CHANGED, _ROOTS, whole.changed, paired=False, prepare=whole.make_untold),
    Case(Cause.FEEDBACK_LOST, ("score-lost",), ways.feedback_lost),
    Case(Cause.EVALUATOR_RAISED, ("score-failed",), ways.raised),
    Case(Cause.RAISED_SILENTLY, ("score-silent",), ways.raised_silently),
    Case(Cause.INPUTS_HIDDEN, ("view-inputs-hidden",), ways.inputs_hidden),
    Case(Cause.NO_DATASET, ("view-no-dataset",), whole.no_dataset, paired=False),
    Case(Cause.READ_LAG, _ROOTS, ways.read_lag, paired=False, recent=True),
)


def play(stage: Stage, cases: Sequence[Case]) -> None:
    """Do the cases, each over its part of the examples, and the rest well."""
    rng = stage.rng
    count = rng.randint(max(6, 3 * len(cases)), 30)
    stage.judges = rng.choice((["right"], ["right", "length"], ["right", "several"]))
    if not any(case.prepare for case in cases):
        stage.repetitions = rng.choice((1, 1, 1, 2))
    (cases[0].prepare or _make)(stage, count)
    parts = _parts(stage, cases)
    for case, part in zip(cases, parts[1:], strict=True):
        stage.blame(part, case.cause)
    stage.well = parts[0]
    if rng.random() < 0.5 and not any(case.beside for case in cases):
        _rest(stage)
    for case, part in zip(cases, parts[1:], strict=True):
        case.provoke(stage, part)
    _rest(stage)


def _rest(stage: Stage) -> None:
    if numbers := stage.take_well():
        stage.work(numbers)


def _make(stage: Stage, count: int) -> None:
    stage.make(count)


def _parts(stage: Stage, cases: Sequence[Case]) -> list[list[int]]:
    """Divide the examples: what is done well, and a part for each case."""
    rng, numbers = stage.rng, list(stage.ids)
    if len(cases) == 1 and (not cases[0].paired or rng.random() < 0.4):
        return [[], numbers]
    rng.shuffle(numbers)
    least = len(numbers) // (len(cases) + 1)
    cuts = [0 if rng.random() < 0.3 and len(cases) > 1 else rng.randint(1, least)]
    for left in range(len(cases), 1, -1):
        cuts.append(cuts[-1] + max(2, (len(numbers) - cuts[-1]) // left))
    edges = [0, *cuts, len(numbers)]
    return [sorted(numbers[a:b]) for a, b in pairwise(edges)]


def by_name(names: Sequence[str]) -> list[Case]:
    """Return the cases of these causes; all if none is named."""
    return [case for case in CASES if not names or case.cause.value in names]


def can(case: Case) -> bool:
    """Tell whether what it needs is installed."""
    return case.cause is not Cause.OTEL_ONLY or ways.otel_there()
