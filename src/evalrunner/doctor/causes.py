"""Why something of an experiment is missing, pending, hidden, or not scored: the causes that are told apart. Pure.

From outside, with nothing but what the service holds, a dozen causes look alike. They are classes here: a finding
names a cause for certain, or those of a class that the evidence leaves, and never one that cannot be known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Cause(str, Enum):
    """The causes, by code."""

    NEVER_STARTED = "never-started"
    NOT_CONSUMED = "not-consumed"
    EXIT_EARLY = "exit-early"
    FORKED = "forked"
    TRACING_OFF = "tracing-off"
    KILLED = "killed"
    OUTAGE = "outage"
    RATE_LIMITED = "rate-limited"
    REFUSED = "refused"
    TOO_LARGE = "too-large"
    QUEUE_FULL = "queue-full"
    OUTSIDE_WINDOW = "outside-window"
    FORGOTTEN = "forgotten"
    SAMPLED = "sampled"
    OTEL_ONLY = "otel-only"
    ELSEWHERE = "elsewhere"
    FEWER_REPETITIONS = "fewer-repetitions"
    STILL_RUNNING = "still-running"
    PYTEST_UNSYNCED = "pytest-unsynced"
    ERROR_IGNORED = "error-ignored"
    CONTEXT_LOST = "context-lost"
    RUN_TWICE = "run-twice"
    LAST_WRITER = "last-writer"
    DATASET_CHANGED = "dataset-changed"
    FEEDBACK_LOST = "feedback-lost"
    EVALUATOR_RAISED = "evaluator-raised"
    RAISED_SILENTLY = "raised-silently"
    INPUTS_HIDDEN = "inputs-hidden"
    NO_DATASET = "no-dataset"
    READ_LAG = "read-lag"


@dataclass(frozen=True)
class About:
    """What a cause means, and how it is kept from happening again; both as `--explain` prints them."""

    meaning: str
    next_time: str


_PROCESS = (
    "wait for every process, and in each read the results to the end and call `client.flush()` before it ends"
)
_PATIENCE = (
    "give the client a patient `retry_config`, or let `evalrunner` run it, which keeps what it could not send"
)

ABOUT: dict[Cause, About] = {
    Cause.NEVER_STARTED: About(
        "no process ever began these items: a job that did not start, or stopped before", _PROCESS
    ),
    Cause.NOT_CONSUMED: About(
        "`aevaluate(..., blocking=False)` was called and its results were not read to the end: what nobody asks for "
        "is not executed",
        "read the results to the end: `async for row in results: ...`",
    ),
    Cause.EXIT_EARLY: About(
        "a process ended before it had sent what waited in it: `os._exit`, a pool that was ended and not joined, "
        "SIGTERM, a daemon thread",
        _PROCESS,
    ),
    Cause.FORKED: About(
        "processes were forked after the client was made or used: a copy has no thread that sends, and loses all "
        "that it traces",
        "make the client in the process that uses it, or start processes with `spawn` or `forkserver`",
    ),
    Cause.TRACING_OFF: About("tracing was switched off in the process", "unset what switches it off"),
    Cause.KILLED: About(
        "a process was killed: out of memory, a time limit, preemption",
        "look into the batch system's and the kernel's log; `evalrunner` starts the rest again by itself",
    ),
    Cause.OUTAGE: About(
        "the service did not answer, or with 5xx, for longer than the SDK tries (3 to 9 s)", _PATIENCE
    ),
    Cause.RATE_LIMITED: About("the service answered 429 for longer than the SDK tries (3 s)", _PATIENCE),
    Cause.REFUSED: About(
        "the service refused requests (4xx): the SDK drops them at once", "mend the key, or the content"
    ),
    Cause.TOO_LARGE: About(
        "requests were larger than the service takes (413): the SDK drops them, with all that shared them",
        "trace less of large values (`process_inputs`, `process_outputs`)",
    ),
    Cause.QUEUE_FULL: About(
        "the SDK's queue or buffer was full, and it dropped what came", "more processes, or a faster link"
    ),
    Cause.OUTSIDE_WINDOW: About(
        "runs began outside the time that the service takes runs of (the last 24 hours)",
        "set the machine's clock; `evalrunner upload --shift now` for recorded runs",
    ),
    Cause.FORGOTTEN: About(
        "the service accepted the requests (202) and does not hold what was in them", _PATIENCE
    ),
    Cause.SAMPLED: About(
        "the client sampled: only a part of the traces was sent (`LANGSMITH_TRACING_SAMPLING_RATE`)",
        "unset `LANGSMITH_TRACING_SAMPLING_RATE` for evaluations",
    ),
    Cause.OTEL_ONLY: About(
        "traces were sent by OpenTelemetry only (`LANGSMITH_OTEL_ONLY`), and not into the experiment",
        "unset `LANGSMITH_OTEL_ONLY` for evaluations",
    ),
    Cause.ELSEWHERE: About(
        "the runs are in another project: `LANGSMITH_PROJECT` beside a tracer of one's own, or an experiment for "
        "each process (a prefix where an experiment's id was meant)",
        "hand `experiment=<id>` to every process",
    ),
    Cause.FEWER_REPETITIONS: About(
        "the experiment was made for more repetitions than its last writer asked for",
        "hand the same `num_repetitions` to every process",
    ),
    Cause.STILL_RUNNING: About("they began a short while ago, and may still be under way", "look again"),
    Cause.PYTEST_UNSYNCED: About(
        "pytest's plugin was ended before it had synchronised: runs without an end, or without an example",
        _PROCESS,
    ),
    Cause.ERROR_IGNORED: About(
        "`error_handling='ignore'`: a run that ended in an error is not linked to its example",
        "leave it at 'log'",
    ),
    Cause.CONTEXT_LOST: About(
        "code ran in threads of the target's own without its context, so that its traces are roots of their own",
        "use `langsmith.utils.ContextThreadPoolExecutor`, or `contextvars.copy_context().run`",
    ),
    Cause.RUN_TWICE: About(
        "the same examples were evaluated more than once into this experiment: two processes, or a second start",
        "give each process examples of its own, or let `evalrunner` divide them",
    ),
    Cause.LAST_WRITER: About(
        "each process wrote the experiment's metadata over what the others had written (`dataset_version`, "
        "`dataset_splits`); the last one's part is what the view shows",
        "let `evalrunner` run it, which writes them once, over all",
    ),
    Cause.DATASET_CHANGED: About("the dataset was changed since", "say which version is meant (`--as-of`)"),
    Cause.FEEDBACK_LOST: About(
        "evaluators gave a score (their traces say so), and it did not arrive", _PATIENCE
    ),
    Cause.EVALUATOR_RAISED: About("evaluators raised", "mend them"),
    Cause.RAISED_SILENTLY: About(
        "evaluators raised, and only their traces say so: where the SDK cannot read an evaluator's source it does "
        "not know its key, and writes no feedback",
        "mend them, and define them in a file",
    ),
    Cause.INPUTS_HIDDEN: About(
        "inputs were hidden (`LANGSMITH_HIDE_INPUTS`)", "unset it, or read the examples"
    ),
    Cause.NO_DATASET: About(
        "the project has no reference dataset although its runs name examples: it was made by a trace, not by an "
        "evaluation",
        "create the experiment with `client.create_project(..., reference_dataset_id=...)`",
    ),
    Cause.READ_LAG: About("the service had it, and did not show it yet", "look again"),
}

#: What leaves no trace of an item at all.
UNSEEN = (
    Cause.NEVER_STARTED,
    Cause.NOT_CONSUMED,
    Cause.EXIT_EARLY,
    Cause.FORKED,
    Cause.TRACING_OFF,
    Cause.KILLED,
    Cause.OUTAGE,
    Cause.RATE_LIMITED,
    Cause.REFUSED,
    Cause.TOO_LARGE,
    Cause.QUEUE_FULL,
    Cause.OUTSIDE_WINDOW,
    Cause.FORGOTTEN,
)
#: What leaves the scores of an item, or its evaluators' traces, and not its root run.
LOST = (
    Cause.EXIT_EARLY,
    Cause.KILLED,
    Cause.OUTAGE,
    Cause.RATE_LIMITED,
    Cause.REFUSED,
    Cause.TOO_LARGE,
    Cause.QUEUE_FULL,
    Cause.OUTSIDE_WINDOW,
    Cause.FORGOTTEN,
)
#: What leaves a run without its end, or an end without its beginning.
CUT = (
    Cause.EXIT_EARLY,
    Cause.NOT_CONSUMED,
    Cause.KILLED,
    Cause.OUTAGE,
    Cause.RATE_LIMITED,
    Cause.REFUSED,
    Cause.TOO_LARGE,
    Cause.QUEUE_FULL,
    Cause.FORGOTTEN,
)
#: These stay silent even where they happened: no log, no dump, no exit code tells them apart.
SILENT = frozenset({Cause.NOT_CONSUMED, Cause.EXIT_EARLY, Cause.FORKED, Cause.NEVER_STARTED, Cause.FORGOTTEN})
