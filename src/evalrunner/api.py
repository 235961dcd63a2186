"""Evaluations from Python, and what the command line calls.

from evalrunner import run
receipt = run(lambda inputs: {"answer": inputs["x"] + 1}, dataset="sums", evaluators=[exact], workers=8)
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from evalrunner.arguments import config_of, endpoint_of
from evalrunner.config import DELIVERY_DEADLINE, VISIBLE_DEADLINE, Endpoint, RunConfig, WorkerConfig
from evalrunner.connect.embedded import Embedded
from evalrunner.connect.endpoint import configured, resolve
from evalrunner.errors import ConfigError, RunBroken, UsageError
from evalrunner.importing import refuse
from evalrunner.report.account import account
from evalrunner.report.receipt import Receipt
from evalrunner.supervisor.conclude import conclude
from evalrunner.supervisor.session import run_session
from evalrunner.supervisor.shell.progress import Observer, Silent
from evalrunner.transfer.download.summary import READ_DEADLINE, Downloaded, DownloadOptions
from evalrunner.transfer.upload.summary import OnError, Uploaded, UploadOptions, Verify


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
        dataset: id or name, or a `Dataset`; a new experiment is made over it. With `experiment`, a name: only if
            there is no such experiment yet.
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
        UsageError: something that was asked for cannot be done, because another command runs the experiment
            (`ExperimentBusy`), say; nothing has been executed.
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


def download(
    file: str | Path,
    *,
    project: str | None = None,
    experiment: str | None = None,
    filter: str | None = None,
    force: bool = False,
    endpoint: Endpoint | None = None,
    client: Any = None,
    read_deadline: float = READ_DEADLINE,
    note: Callable[[str], None] = lambda text: None,
) -> Downloaded:
    """Write a project's or an experiment's runs, with feedback and attachments, into a file that `upload` reads.

    Args:
        file: where to write; one that ends with `.zst` or `.gz` is packed. It has its name only when it is whole.
        project: id or name of a project; exclusive with `experiment`, id or name of one.
        filter: only traces whose root it fits, in LangSmith's language (`eq(status, "error")`).
        force: replace the file if it is there.
        endpoint, client: as for `run`.
        read_deadline: seconds without any answer of the service after which it ends.
        note: takes how far it is and what holds things up, for people.

    Returns:
        The receipt; `receipt.complete` is False if the service did not give all that it says it has.

    Raises:
        UsageError: something that was asked for cannot be done; nothing has been written.
        RunBroken: the service or the disk failed in the middle; there is no file.
    """
    try:
        if bool(project) == bool(experiment):
            raise ConfigError("say what to download: either project or experiment")
        options = DownloadOptions(Path(file), project, experiment, filter, force, read_deadline)
        from evalrunner.transfer.download.session import download as download_into  # noqa: PLC0415 - as below

        with _endpoint(endpoint, client) as found:
            return download_into(found, options, note)
    except (UsageError, RunBroken) as error:
        raise error.with_traceback(None) from None


def upload(
    files: str | Path | Iterable[str | Path],
    project: str,
    *,
    shift: str | None = None,
    on_error: OnError = "fail",
    verify: Verify = "ids",
    dry_run: bool = False,
    failed: str | Path | None = None,
    endpoint: Endpoint | None = None,
    client: Any = None,
    delivery_deadline: float = DELIVERY_DEADLINE,
    visible_deadline: float = VISIBLE_DEADLINE,
    folder: str | Path = ".evalrunner/upload",
    note: Callable[[str], None] = lambda text: None,
) -> Uploaded:
    """Upload files of recorded runs into a project: fresh ids and times, nothing else changed, each exactly once.

    Args:
        files: files and folders of runs, in any form that the command takes.
        project: name of a tracing project; it is made if there is none.
        shift: how times move: "now", "trace", "none" or how far ("36h"); None is the project's own way, or "now".
        on_error: what a broken trace does: "fail" keeps everything back, "skip" only itself.
        verify: what is read back: "ids", all that runs say ("content"), or "none".
        dry_run: write nothing there, and say what would happen.
        failed: where the traces are written that are not there in the end; None is a file in `folder`.
        endpoint, client: as for `run`.
        delivery_deadline: seconds without any success after which the rest is not sent.
        visible_deadline: seconds to wait for what was accepted to be readable.
        folder: where the index of the input is kept, by which a later call goes on.
        note: takes how far it is and what holds things up, for people; called on several threads.

    Returns:
        The receipt; `receipt.exit_code` is 0 only if every trace of the input is there as it was sent.

    Raises:
        UsageError: something that was asked for cannot be done; nothing has been sent.
        RunBroken: it had to end in the middle; the same call goes on.
    """
    paths = [files] if isinstance(files, (str, Path)) else list(files)
    options = UploadOptions(
        tuple(Path(one) for one in paths),
        project,
        shift,
        verify,
        on_error,
        dry_run,
        delivery_deadline,
        visible_deadline,
        Path(failed) if failed else None,
        root=Path(folder),
    )
    try:
        # Eighty modules that no evaluation needs.
        from evalrunner.transfer.upload.session import upload as upload_files  # noqa: PLC0415

        with _endpoint(endpoint, client) as found:
            return upload_files(found, options, note)
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
