"""Every knob that an operator has, in one frozen place; what it does stands with the field, for the help too.

How values come together (defaults, file, environment, flags) is the command line's business.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalrunner.exit_codes import ExitCode
from evalrunner.knob import knob

#: Seconds after which unsent traces stay in their spool; seconds for which what was accepted is looked for.
DELIVERY_DEADLINE, VISIBLE_DEADLINE = 900.0, 60.0
START_METHODS = ("forkserver", "spawn")
EVALUATOR_ERRORS = ("fail", "warn")


@dataclass(frozen=True)
class TargetSpec:
    """What a worker loads, once per process.

    Attributes:
        target: `module:name` or `path/file.py:name`, or None when `pickled` is given.
        evaluators: likewise, in order.
        summary_evaluators: likewise.
        factory: the target is called once per worker, without arguments, and returns the real one.
        pickled: bytes of (target, evaluators, summary evaluators), from the Python API only, each of them an
            object or a name; they go through the pipe that starts our own child, never to a disk or a network.
        named: what evaluators and summary evaluators in `pickled` are called.
        folder: put first on the import path, as `python -m` does with the current folder.
    """

    target: str | None = knob(
        None,
        "module:name or file.py:name of anything that LangSmith's aevaluate takes. It is executed at least once per "
        "item, at most --max-attempts times.",
        short="t", metavar="SPEC",
    )  # fmt: skip
    evaluators: tuple[str, ...] = knob(
        (), "An evaluator, likewise; executed as often as the target. Repeatable.",
        name="evaluator", metavar="SPEC",
    )  # fmt: skip
    summary_evaluators: tuple[str, ...] = knob(
        (), "Likewise; runs once, over the whole experiment. Repeatable.",
        name="summary-evaluator", metavar="SPEC",
    )  # fmt: skip
    factory: bool = knob(
        False,
        "The target is called once per worker process, without arguments, and returns the real one (one model per "
        "process).",
    )
    pickled: bytes | None = None
    named: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    folder: Path = field(default_factory=Path.cwd)

    @property
    def evaluator_names(self) -> tuple[str, ...]:
        """What the evaluators are called, here and in every folder: the name behind the colon, each once."""
        return unique(self.named[0] if self.pickled is not None else map(_name, self.evaluators))

    @property
    def summary_names(self) -> tuple[str, ...]:
        """What the summary evaluators are called, likewise."""
        return unique(self.named[1] if self.pickled is not None else map(_name, self.summary_evaluators))


def _name(spec: str) -> str:
    return spec.rpartition(":")[2]


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names so that no two are the same: the second `judge` is `judge 2`."""
    found: list[str] = []
    for name in names:
        numbered = (name if count == 1 else f"{name} {count}" for count in itertools.count(1))
        found.append(next(one for one in numbered if one not in found))
    return tuple(found)


@dataclass(frozen=True)
class Endpoint:
    """Where LangSmith is, as the SDK's client takes it.

    Attributes:
        url: `LANGSMITH_ENDPOINT`.
        key: the API key; it travels in the environment of our own children and nowhere else.
        workspace: `LANGSMITH_WORKSPACE_ID`, or None.
        local: this is the embedded backend (only for what is printed; nothing behaves otherwise).
    """

    url: str
    key: str = field(repr=False)
    workspace: str | None = None
    local: bool = False


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker process needs to know.

    Attributes:
        max_concurrency: items at once; None means 1 for a sync target and 8 for an async one.
        grace: seconds that a drain waits for stragglers after everything else is done.
        delivery_deadline: seconds after which unsent traces are left in the spool, named and resumable.
        live: post runs when they start and patch them when they end, instead of whole traces at item end.
        segment: examples in one `aevaluate` call; a call keeps every row (10.7 KiB each).
        trace_evaluators: trace evaluators to the project `evaluators`, as the SDK does.
    """

    max_concurrency: int | None = knob(
        None, "Items at once in each worker.",
        metavar="N", least=1, shown="1 for a sync target, 8 for an async one",
    )  # fmt: skip
    grace: float = knob(
        2.0, "Seconds that a worker waits at its end for stragglers; less once everything is accepted.",
        metavar="SECONDS", least=0,
    )  # fmt: skip
    delivery_deadline: float = knob(
        DELIVERY_DEADLINE,
        "Seconds after which traces that could not be sent stay on disk, to be sent by the next run.",
        metavar="SECONDS", least=0,
    )  # fmt: skip
    live: bool = knob(
        False,
        "Post runs when they start instead of whole when they end: unfinished runs can be watched. A killed worker's "
        "are then ended with an error, and replaced.",
    )
    segment: int = 500
    trace_evaluators: bool = knob(True, "Trace the evaluators to the project 'evaluators', as the SDK does.")
    item_timeout: float | None = knob(
        None, "Seconds that one item may take before its worker is killed.",
        metavar="SECONDS", shown="no limit", least=0.001,
    )  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What was said on the command line, as the shell takes it, for the commands that are printed (advice.py).

    Attributes:
        flags: all that holds for the experiment whenever it is gone on with.
        creation: what made it: `--dataset` and the facts of a new experiment.
        place: of `flags`, which LangSmith it is.
    """

    flags: tuple[str, ...] = ()
    creation: tuple[str, ...] = ()
    place: tuple[str, ...] = ()

    @property
    def shareable(self) -> tuple[str, ...]:
        """`flags` without the workers' environment: it is nobody else's to see."""
        return tuple(word for word in self.flags if not word.startswith("--env "))


@dataclass(frozen=True)
class RunConfig:
    """One evaluation.

    Attributes:
        experiment: id or name of an existing experiment; with `dataset` also the name of one that is to be made.
        dataset: id or name; a new experiment is created over it.
        prefix, description, metadata: of the new experiment.
        repetitions: runs per example; None takes the experiment's own number, else 1.
        splits, as_of, limit: which examples, as `Client.list_examples` takes them.
        start_method: `forkserver` (SDK preloaded once) or `spawn`.
        evaluator_errors: `fail`, an evaluator that raised is an exit code of its own; or `warn`, it is said only.
        run_dir: folder of the run; None means `.evalrunner/runs/<experiment id>` in `home`.
        home: the project's folder; None means the current one.
        said: what to repeat in commands that are printed; None from Python.
    """

    spec: TargetSpec
    experiment: str | None = knob(
        None,
        "Complete this experiment: run what has no complete run in it yet. With --dataset: make it if there is none.",
        short="e",
        metavar="ID|NAME",
    )
    dataset: str | None = knob(
        None, "Create a new experiment over this dataset, and complete it.", short="d", metavar="ID|NAME"
    )
    prefix: str | None = knob(
        None,
        "Start of the new experiment's name (with --dataset).",
        metavar="TEXT",
        shown="the dataset's name",
    )
    description: str | None = knob(
        None, "Description of the new experiment (with --dataset).", metavar="TEXT"
    )
    metadata: dict[str, Any] = knob(
        {},
        "Metadata of the new experiment (with --dataset); VALUE is JSON if it reads as JSON, else text. Repeatable.",
        metavar="KEY=VALUE",
    )
    repetitions: int | None = knob(
        None, "Runs per example.", metavar="N", least=1, shown="the experiment's own number, else 1"
    )
    splits: tuple[str, ...] = knob(
        (), "Only examples of this split. Repeatable.", name="split", metavar="NAME", shown="all"
    )
    as_of: str | None = knob(
        None, "Version of the dataset: an ISO time or a tag.",
        metavar="VERSION", shown="the experiment's version, else the latest",
    )  # fmt: skip
    limit: int | None = knob(None, "Only the first N examples.", metavar="N", shown="all", least=1)
    workers: int = knob(4, "Worker processes.", short="w", metavar="N", least=1)
    start_method: str = knob(
        START_METHODS[0], f"How worker processes start: {' or '.join(START_METHODS)}.",
        metavar="METHOD", choices=START_METHODS,
    )  # fmt: skip
    gpus_per_worker: int | None = knob(
        None, "GPUs of CUDA_VISIBLE_DEVICES that each worker sees.", metavar="N", shown="all", least=1
    )
    env: dict[str, str] = knob(
        {}, "Further environment of every worker. Repeatable. Workers inherit yours: no need of secrets here.",
        metavar="KEY=VALUE",
    )  # fmt: skip
    setup_timeout: float = knob(
        600.0, "Seconds that a worker may take to load target and evaluators before it is killed.",
        metavar="SECONDS", least=0.001,
    )  # fmt: skip
    drain_timeout: float = knob(
        20.0,
        "Seconds from a stop (Ctrl-C, SIGTERM, a batch system's notice) to the end; what has not ended by then is "
        "executed by the next run.",
        metavar="SECONDS", least=0,
    )  # fmt: skip
    walltime: str = knob(
        "auto",
        "Time that the batch job has, from its begin (1h30m, 1:30:00, or seconds): the run ends in order before. "
        "auto: what Slurm or Torque says; none: no end is known.",
        metavar="TIME",
    )
    wait: bool = knob(
        False, "Wait while another command runs this experiment, until it has ended or is silent for 150 s."
    )
    take_over: bool = knob(
        False, "Go on in place of a command that has run this experiment and is silent for 150 s."
    )
    max_attempts: int = knob(
        2, "How many workers may die with one item before it is failed.", metavar="N", least=1
    )
    retry_errors: bool = knob(False, "Also run again the items whose target raised.")
    evaluator_errors: str = knob(
        EVALUATOR_ERRORS[0],
        f"What an evaluator that raised does to the exit code: fail makes it {ExitCode.EVALUATORS:d}, warn leaves it "
        "alone.",
        metavar="fail|warn", choices=EVALUATOR_ERRORS,
    )  # fmt: skip
    visible_deadline: float = knob(
        VISIBLE_DEADLINE, "Seconds to wait until accepted runs can be read back.", metavar="SECONDS", least=0
    )
    run_dir: Path | None = knob(
        None, "Folder of this run: ledger, spools, logs, receipt.json.",
        metavar="FOLDER", shown=".evalrunner/runs/<experiment id>",
    )  # fmt: skip
    home: Path | None = None
    said: Said | None = None
    worker: WorkerConfig = field(default_factory=WorkerConfig)
