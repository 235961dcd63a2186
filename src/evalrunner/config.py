"""Every knob that an operator has, in one frozen place.

How values come together (defaults, file, environment, flags) is the command line's business.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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

    target: str | None = None
    evaluators: tuple[str, ...] = ()
    summary_evaluators: tuple[str, ...] = ()
    factory: bool = False
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
        item_timeout: seconds that one item may take before its worker is killed, or None.
    """

    max_concurrency: int | None = None
    grace: float = 2.0
    delivery_deadline: float = 900.0
    live: bool = False
    segment: int = 500
    trace_evaluators: bool = True
    item_timeout: float | None = None


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
        experiment: id or name of an existing experiment; exclusive with `dataset`.
        dataset: id or name; a new experiment is created over it.
        prefix, description, metadata: of the new experiment.
        repetitions: runs per example; None takes the experiment's own number, else 1.
        splits, as_of, limit: which examples, as `Client.list_examples` takes them.
        workers: processes.
        start_method: `forkserver` (SDK preloaded once) or `spawn`.
        gpus_per_worker: GPUs of CUDA_VISIBLE_DEVICES that each worker sees, or None to leave it alone.
        env: further environment of every worker.
        setup_timeout: seconds that a worker may take to load target and evaluators before it is killed.
        max_attempts: how many workers may die with one item before it is failed.
        retry_errors: take up items whose run ended in an error.
        evaluator_errors: `fail`, an evaluator that raised is an exit code of its own; or `warn`, it is said only.
        visible_deadline: seconds to wait for accepted runs to become readable.
        run_dir: folder of the run; None means `.evalrunner/runs/<experiment id>` in `home`.
        home: the project's folder; None means the current one.
        said: what to repeat in commands that are printed; None from Python.
    """

    spec: TargetSpec
    experiment: str | None = None
    dataset: str | None = None
    prefix: str | None = None
    description: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    repetitions: int | None = None
    splits: tuple[str, ...] = ()
    as_of: str | None = None
    limit: int | None = None
    workers: int = 4
    start_method: str = "forkserver"
    gpus_per_worker: int | None = None
    env: dict[str, str] = field(default_factory=dict)
    setup_timeout: float = 600.0
    max_attempts: int = 2
    retry_errors: bool = False
    evaluator_errors: str = "fail"
    visible_deadline: float = 60.0
    run_dir: Path | None = None
    home: Path | None = None
    said: Said | None = None
    worker: WorkerConfig = field(default_factory=WorkerConfig)
