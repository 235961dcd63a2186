"""What can be wrong with an experiment, by code: the codes are stable, and the table in the README is this one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from enum import Enum


class Code(str, Enum):
    """The codes."""

    NOTHING_MEANT = "nothing-meant"
    RUN_MISSING = "run-missing"
    RUN_PENDING = "run-pending"
    RUN_UNDER_WAY = "run-under-way"
    RUN_UNLINKED = "run-unlinked"
    RUN_DUPLICATE = "run-duplicate"
    VIEW_HIDDEN = "view-hidden"
    TRACE_HEADLESS = "trace-headless"
    CHILD_ORPHAN = "child-orphan"
    CHILD_PENDING = "child-pending"
    SCORE_FAILED = "score-failed"
    SCORE_LOST = "score-lost"
    SCORE_SILENT = "score-silent"
    VIEW_SPLIT = "view-split"
    VIEW_NO_DATASET = "view-no-dataset"
    VIEW_INPUTS_HIDDEN = "view-inputs-hidden"


@dataclass(frozen=True)
class Kind:
    """What a code means, and what to do; both as the README has them."""

    meaning: str
    remedy: str


_MISSING = (
    "`evalrunner repair NAME` brings back what is held elsewhere, and with `--target ...` executes the rest, and "
    "nothing else"
)
_LOST = "`evalrunner repair NAME` writes what evaluators' traces hold"
_SCORE = "`evalrunner repair NAME --target ... --evaluator ...` scores these runs, and executes none of them"

KINDS: dict[Code, Kind] = {
    Code.NOTHING_MEANT: Kind(
        "the experiment's dataset has no examples, or none any more: nothing can be said of what is missing",
        "`evalrunner dataset list`",
    ),
    Code.RUN_MISSING: Kind("examples have fewer complete root runs than were meant", _MISSING),
    Code.RUN_PENDING: Kind(
        "root runs have no end: what made them died, or their end was lost",
        "none of them counts; `evalrunner repair NAME` ends those whose item is complete without them",
    ),
    Code.RUN_UNDER_WAY: Kind("root runs that began within the last 10 minutes have no end yet", "look again"),
    Code.RUN_UNLINKED: Kind(
        "root runs name no example, so that no view of the experiment shows them (an error that `error_handling="
        "'ignore'` let pass, or a trace beside the items)",
        "none of them counts; `evalrunner repair NAME --relink` writes linked copies of ignored errors",
    ),
    Code.RUN_DUPLICATE: Kind(
        "examples have more complete root runs than were meant, and means count them twice",
        "`evalrunner repair NAME --delete-duplicates` deletes the later ones",
    ),
    Code.VIEW_HIDDEN: Kind(
        "runs are there whose examples the experiment's metadata leaves out (`dataset_version`, `dataset_splits`: of "
        "several processes, the last has written them), so that LangSmith's view does not show them",
        "`evalrunner repair NAME` corrects them, and executes nothing",
    ),
    Code.TRACE_HEADLESS: Kind(
        "traces have runs and no root run: its post was lost",
        f"none of them counts; {_MISSING}",
    ),
    Code.CHILD_ORPHAN: Kind("runs hang below a run that is not there: its post was lost", "nothing"),
    Code.CHILD_PENDING: Kind(
        "runs have no end below a root run that has one", "`evalrunner repair NAME` ends them"
    ),
    Code.SCORE_FAILED: Kind(
        "evaluators raised on runs",
        _SCORE,
    ),
    Code.SCORE_LOST: Kind("evaluators scored runs (their traces say so), and the score is not there", _LOST),
    Code.SCORE_SILENT: Kind("evaluators raised on runs, and only their traces say so", _SCORE),
    Code.VIEW_SPLIT: Kind(
        "other experiments look like parts of this one: the same prefix, the same time, and other examples",
        "next time make the experiment once, and hand its id to every process (`experiment=<id>`)",
    ),
    Code.VIEW_NO_DATASET: Kind(
        "the project names no dataset although its runs name examples, so that it is shown as a tracing project",
        "make an experiment: `evalrunner --dataset NAME --target ...`",
    ),
    Code.VIEW_INPUTS_HIDDEN: Kind(
        "the runs have no inputs, and the examples have (`LANGSMITH_HIDE_INPUTS`)",
        "nothing is missing: the examples hold the inputs",
    ),
}
#: What takes nothing away from the experiment: an item that lacks its run for it is said to be missing, besides.
#: A lost attempt leaves the second and third behind for ever, when another has taken its place.
NOTES = frozenset(
    {Code.RUN_UNLINKED, Code.RUN_PENDING, Code.TRACE_HEADLESS, Code.VIEW_SPLIT, Code.VIEW_INPUTS_HIDDEN}
)
#: What is the evaluators' affair: the runs themselves are whole.
SCORES = frozenset({Code.SCORE_FAILED, Code.SCORE_LOST, Code.SCORE_SILENT})


def remedy(code: Code, experiment: str) -> str:
    """Return what to do about a symptom of an experiment."""
    return KINDS[code].remedy.replace(" NAME", f" {shlex.quote(experiment)}")
