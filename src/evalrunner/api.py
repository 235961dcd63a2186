"""Evaluations from Python, and what the command line calls.

from evalrunner import run
receipt = run(lambda inputs: {"answer": inputs["x"] + 1}, dataset="sums", evaluators=[exact], workers=8)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from evalrunner.arguments import config_of, endpoint_of
from evalrunner.config import Endpoint, RunConfig, WorkerConfig
from evalrunner.connect.embedded import Embedded
from evalrunner.connect.endpoint import configured, resolve
from evalrunner.errors import RunBroken, UsageError
from evalrunner.importing import refuse
from evalrunner.report.account import account
from evalrunner.report.receipt import Receipt
from evalrunner.supervisor.conclude import conclude
from evalrunner.supervisor.session import run_session
from evalrunner.supervisor.shell.progress import Observer, Silent


def execute(config: RunConfig, endpoint: Endpoint, observer: Observer, *, plan_only: bool = False) -> Receipt:
    """Make the experiment complete and account for it; the receipt also lies in the run's folder.

    Args:
        plan_only: execute nothing; the receipt's items say what would run (state `not run`).

    Raises:
        UsageError: something that was asked for cannot be done; nothing has been executed.
    """
    refuse("evalrunner.execute")
    with run_session(config, endpoint, observer, plan_only=plan_only) as outcome:
        receipt = account(conclude(outcome, plan_only=plan_only))
        if not plan_only:
            outcome.folder.write_receipt(receipt.to_json())
        return receipt


def run(
    target: Any,
    dataset: Any = None,
    *,
    evaluators: Iterable[Any] | None = None,
    summary_evaluators: Iterable[Any] | None = None,
    factory: bool = False,
    endpoint: Endpoint | None = None,
    client: Any = None,
    observer: Observer | None = None,
    worker: WorkerConfig | None = None,
    **options: Any,
) -> Receipt:
    """Evaluate `target` in worker processes, into one experiment.

    Args:
        target: whatever `aevaluate` takes: a function (sync or async, a lambda or a closure too), a `@traceable`
            function, a LangChain Runnable; or a class or factory, built once per worker; or where to find it, as
            `"module:name"` or `"path/file.py:name"`.
        dataset: id or name, or a `Dataset`; a new experiment is made over it. Exclusive with `experiment`.
        evaluators, summary_evaluators: likewise what the SDK takes, or where to find it.
        factory: `target` is called once per worker, without arguments, and returns the real one.
        endpoint: LangSmith; None takes the environment as the SDK does, else the embedded backend.
        client: a `langsmith.Client` that leads there, in place of `endpoint`.
        worker: further knobs of the workers; one that is given by name wins over it.
        options: fields of `RunConfig` (`experiment`, `workers`, `repetitions`, `splits`, `prefix`, `metadata`, ...)
            and of `WorkerConfig` (`max_concurrency`, `item_timeout`, ...), under the names of `aevaluate` too
            (`data`, `num_repetitions`, `experiment_prefix`, `split`).

    Returns:
        The receipt; `receipt.exit_code` is 0 only if every planned item is visible and none failed.

    Raises:
        UsageError: something that was asked for cannot be done; nothing has been executed.
        TypeError: there is no argument of that name.
    """
    # What the user did wrong is in his code and in the message: the traceback leaves out how we came to notice.
    try:
        refuse("evalrunner.run")
        config = config_of(
            target,
            evaluators,
            summary_evaluators,
            factory=factory,
            worker=worker,
            options={"dataset": dataset, **options},
        )
    except (UsageError, TypeError) as error:
        raise error.with_traceback(None) from None
    try:
        with _endpoint(endpoint, client) as found:
            return execute(config, found, observer or Silent())
    except (UsageError, RunBroken) as error:
        raise error.with_traceback(None) from None


@contextlib.contextmanager
def _endpoint(given: Endpoint | None, client: Any) -> Iterator[Endpoint]:
    source = configured()
    if given is not None:
        yield given
    elif client is not None:
        yield endpoint_of(client)
    elif source:
        yield resolve(source)
    else:
        with Embedded(Path(".evalrunner") / "store.sqlite") as endpoint:
            yield endpoint
