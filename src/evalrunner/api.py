"""Evaluations from Python, and what the command line calls.

from evalrunner import run
receipt = run(lambda inputs: {"answer": inputs["x"] + 1}, dataset="sums", evaluators=[exact], workers=8)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalrunner.config import Endpoint, RunConfig, TargetSpec, WorkerConfig
from evalrunner.connect.embedded import Embedded
from evalrunner.connect.endpoint import configured, resolve
from evalrunner.importing import refuse
from evalrunner.pickling import pickle_objects
from evalrunner.protocol.evaluated import object_name
from evalrunner.report.account import account
from evalrunner.report.receipt import Receipt
from evalrunner.supervisor.observe import Observer, Silent
from evalrunner.supervisor.session import run_session


def execute(config: RunConfig, endpoint: Endpoint, observer: Observer, *, plan_only: bool = False) -> Receipt:
    """Make the experiment complete and account for it; the receipt also lies in the run's folder.

    Args:
        plan_only: execute nothing; the receipt's items say what would run (state `not run`).

    Raises:
        UsageError: something that was asked for cannot be done; nothing has been executed.
    """
    with run_session(config, endpoint, observer, plan_only=plan_only) as outcome:
        receipt = account(outcome, plan_only=plan_only)
        if not plan_only:
            outcome.folder.write_receipt(receipt.to_json())
        return receipt


def run(
    target: Callable[..., Any],
    *,
    dataset: str | None = None,
    experiment: str | None = None,
    evaluators: Sequence[Any] = (),
    summary_evaluators: Sequence[Any] = (),
    workers: int = 4,
    max_concurrency: int | None = None,
    factory: bool = False,
    endpoint: Endpoint | None = None,
    observer: Observer | None = None,
    worker: WorkerConfig | None = None,
    **options: Any,
) -> Receipt:
    """Evaluate `target` in `workers` processes, into one experiment.

    Args:
        target: whatever `aevaluate` takes: a function (sync or async, a lambda or a closure too), a LangChain
            Runnable, a `@traceable` function of a module; or a class or factory, built once per worker.
        dataset: id or name; a new experiment is made over it. Exclusive with `experiment`.
        experiment: id or name of an experiment to complete.
        max_concurrency: items at once per worker; 1 for a sync target and 8 for an async one unless given.
        endpoint: LangSmith; None takes the environment as the SDK does, else the embedded backend.
        worker: further knobs of the workers; `max_concurrency` here wins over the one in it.
        options: further fields of `RunConfig` (repetitions, splits, prefix, metadata, ...).

    Returns:
        The receipt; `receipt.exit_code` is 0 only if every planned item is visible and none failed.

    Raises:
        UsageError: something that was asked for cannot be done; nothing has been executed.
    """
    refuse("evalrunner.run")
    knobs = worker or WorkerConfig()
    if max_concurrency is not None:
        knobs = replace(knobs, max_concurrency=max_concurrency)
    config = RunConfig(
        spec=TargetSpec(
            factory=factory,
            pickled=pickle_objects(target, list(evaluators), list(summary_evaluators)),
            named=(tuple(map(object_name, evaluators)), tuple(map(object_name, summary_evaluators))),
            folder=Path.cwd(),
        ),
        dataset=dataset,
        experiment=experiment,
        workers=workers,
        worker=knobs,
        **options,
    )
    if endpoint is not None:
        return execute(config, endpoint, observer or Silent())
    with _found() as found:
        return execute(config, found, observer or Silent())


@contextlib.contextmanager
def _found() -> Iterator[Endpoint]:
    source = configured()
    if source:
        yield resolve(source)
        return
    with Embedded(Path(".evalrunner") / "store.sqlite") as endpoint:
        yield endpoint
