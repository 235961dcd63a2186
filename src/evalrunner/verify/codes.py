"""What a receipt warns of, of a run or of a transfer: each kind of finding with its code, meaning and remedy.

The codes are stable: scripts may ask for them. The table in the README is this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Code(str, Enum):
    """The codes."""

    EXPERIMENT_RENAMED = "experiment-renamed"
    EXPERIMENT_DELETED = "experiment-deleted"
    TAKEN_OVER = "taken-over"
    DATASET_DELETED = "dataset-deleted"
    STRAY_RUNS = "stray-runs"
    EXAMPLES_NOT_MEANT = "examples-not-meant"
    EXAMPLES_UNSURE = "examples-unsure"
    WORKER_REPLACED = "worker-replaced"
    WORKER_TROUBLE = "worker-trouble"
    FOREIGN_CLIENTS = "foreign-clients"
    PROCESSES_LEFT = "processes-left"
    SUMMARY_WAITS = "summary-waits"
    SUMMARY_FAILED = "summary-failed"
    SUMMARY_NOT_VISIBLE = "summary-not-visible"
    METADATA_UNWRITTEN = "metadata-unwritten"
    UNCLAIMED = "unclaimed"
    ERROR_RECORDS_LEFT = "error-records-left"
    EXPERIMENT_UNREAD = "experiment-unread"
    SCORES_UNREAD = "scores-unread"
    EVALUATOR_SILENT = "evaluator-silent"
    ITEM_ODD = "item-odd"
    RUNS_OPEN = "runs-open"
    RUNS_EARLY = "runs-early"
    RUNS_LEFT_OUT = "runs-left-out"
    EXAMPLES_ABSENT = "examples-absent"
    EXAMPLES_FURTHER = "examples-further"
    EXAMPLES_LEFT_OUT = "examples-left-out"
    INPUT_CUT_OFF = "input-cut-off"
    PROJECT_EMPTY = "project-empty"
    PROJECT_CHANGED = "project-changed"
    PROJECT_UNREAD = "project-unread"
    SCORES_LEFT_OUT = "scores-left-out"


@dataclass(frozen=True)
class Kind:
    """What a code means, and what to do; both as the README has them."""

    meaning: str
    remedy: str


#: Remedies that several kinds share.
_NOTHING, _AGAIN = "nothing", "run the same command again"

KINDS: dict[Code, Kind] = {
    Code.EXPERIMENT_RENAMED: Kind("the experiment was renamed while the run went on", _NOTHING),
    Code.EXPERIMENT_DELETED: Kind(
        "the experiment was deleted while the run went on, alone or with its dataset",
        "evaluate into a new one; the receipt has the command",
    ),
    Code.TAKEN_OVER: Kind(
        "another command has gone on in place of this one, which it took for dead", _NOTHING
    ),
    Code.DATASET_DELETED: Kind(
        "the dataset was deleted while the run went on", "push it again, or use another"
    ),
    Code.STRAY_RUNS: Kind(
        "runs may lie in a project that has the experiment's old name",
        "delete that project once you have looked, and run the same command again",
    ),
    Code.EXAMPLES_NOT_MEANT: Kind(
        "something else had filled the experiment, from a part of its dataset: the rest was left alone",
        "`--as-of latest` takes the whole dataset, `--split` and `--limit` a part",
    ),
    Code.EXAMPLES_UNSURE: Kind(
        "something else had filled the experiment, and which examples it was meant to hold is not known",
        "`--split` and `--limit` say which",
    ),
    Code.WORKER_REPLACED: Kind(
        "items failed in a worker and not in a fresh one: it was replaced, and they were executed again",
        "look for what the target or a library keeps in its process",
    ),
    Code.WORKER_TROUBLE: Kind("a worker ended, and something of it was not in order", "see its log"),
    Code.FOREIGN_CLIENTS: Kind(
        "the target used LangSmith clients of its own, and what they sent is outside the books",
        "let it trace with the SDK's default client",
    ),
    Code.PROCESSES_LEFT: Kind(
        "a target left processes behind, outside its process group; they were killed",
        "end them in the target",
    ),
    Code.SUMMARY_WAITS: Kind("the summary evaluators wait until the experiment is complete", _AGAIN),
    Code.SUMMARY_FAILED: Kind("the summary evaluators could not be run", _AGAIN),
    Code.SUMMARY_NOT_VISIBLE: Kind("a summary score does not come back", _AGAIN),
    Code.METADATA_UNWRITTEN: Kind("the experiment's metadata could not be written", _AGAIN),
    Code.UNCLAIMED: Kind(
        "the service did not take who runs the experiment: nothing kept a second command apart",
        "start no other command over it at the same time",
    ),
    Code.ERROR_RECORDS_LEFT: Kind("records of evaluators' earlier errors could not be removed", _AGAIN),
    Code.EXPERIMENT_UNREAD: Kind("the experiment could not be read once more at the end", _AGAIN),
    Code.SCORES_UNREAD: Kind("scores could not be read; in the table they count as missing", _AGAIN),
    Code.EVALUATOR_SILENT: Kind("an evaluator gave no score on any item", "see what it returns"),
    Code.ITEM_ODD: Kind(
        "something of an item's trace was not as it should be: a child that outlived it, say",
        "see the text, and the worker's log",
    ),
    Code.RUNS_OPEN: Kind(
        "runs that were pushed, uploaded or downloaded have not ended", "do it again when they have"
    ),
    Code.RUNS_EARLY: Kind(
        "runs begin, as they are sent, more than 24 hours ago, and a service may refuse them",
        "let times move: `upload --shift trace` into a new project; `push` without `--no-time-shift`, of what "
        "spans less than a day",
    ),
    Code.RUNS_LEFT_OUT: Kind(
        "runs of a pushed trace are in another project, or have begun since the push did",
        "push again if they are new",
    ),
    Code.EXAMPLES_ABSENT: Kind(
        "pushed runs are of examples that the experiment's version of the dataset does not have", _NOTHING
    ),
    Code.EXAMPLES_FURTHER: Kind(
        "the dataset there has examples of which the pushed experiment has no runs",
        "nothing, or give the copy a dataset of its own with `--dataset-name`",
    ),
    Code.EXAMPLES_LEFT_OUT: Kind(
        "uploaded runs name examples of a dataset, and are uploaded without", _NOTHING
    ),
    Code.INPUT_CUT_OFF: Kind(
        "an uploaded file is cut off: traces before the cut may lack runs that stood behind it",
        "get the whole file, and upload it",
    ),
    Code.PROJECT_EMPTY: Kind(
        "nothing was downloaded, because there is nothing", "look at the name, or at `--filter`"
    ),
    Code.PROJECT_CHANGED: Kind(
        "runs came, changed or went while they were downloaded", "download again when nothing writes there"
    ),
    Code.PROJECT_UNREAD: Kind("whether runs changed while they were downloaded could not be seen", _AGAIN),
    Code.SCORES_LEFT_OUT: Kind(
        "scores of a downloaded project itself belong to no run, and are not in the file", _NOTHING
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding.

    Attributes:
        code: of the table.
        text: the sentence that people read.
    """

    code: Code
    text: str
