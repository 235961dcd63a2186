"""Every private name of the LangSmith SDK that we cannot do without, each with its reason.

`tests/contract/test_sdk_names.py` fails when one of them moves; the version range in pyproject.toml is
as narrow as that makes necessary. Lines are of langsmith 0.14.17.

- `langsmith._internal._serde.dumps_json`: the bytes of a payload must be those the SDK would have sent.
- `Client._create_run`, `Client._update_run` (client.py:2711, 3820): where a run arrives after sampling,
  hiding, anonymising and the runtime environment have been applied by the public `create_run` and
  `update_run`. Overriding the public ones instead would mean to write those rules again.
- `Client._log_evaluation_feedback` (client.py:7766): `aevaluate` hands its scores to a thread pool of its
  own that nobody ever waits for (evaluation/_arunner.py:793), so that they are lost when a worker ends.
  Without the pool the same method records them before the evaluator's turn is over.
- `evaluation._runner._get_target_args` (_runner.py:2100): which arguments a target may take.
- `evaluation.evaluator._normalize_summary_evaluator`, `Client._select_eval_results` (evaluator.py:885,
  client.py:7659): which arguments a summary evaluator may take and what it may return are the SDK's rules.
- `_v2_migration_utils._v2_run_to_schema`, `_V2_RUN_SELECTS`, `get_query_backend` and
  `Client._get_langsmith_api_sync` (client.py:1575): a summary evaluator gets runs as the SDK gives them, also
  where only the newer generation of reads is served; `Client.list_runs` does not read that, and the SDK's own
  `_load_traces_v2` leaves out runs that began before the experiment was made.
- `__langsmith_traceable__` (run_helpers.py, `is_traceable_function`): tells `aevaluate` that our target
  makes the root run itself, under the id that we give it, instead of wrapping it once more.
- `run_helpers._setup_run`, `_container_end`, `_handle_container_end` (1639, 1494, 1824) and
  `evaluation._runner._default_process_inputs`: what a run records of arguments, answers, tokens and errors.
  `@traceable` is made of these; it decides by the look of a function whether to await or to consume, while a
  worker decides by what the function gives back, and calls sync targets in a thread of their own.
- `_internal._context`: the variables that `_setup_run` sets for the children of a run.
- `__traceable_config__["process_outputs"]` (run_helpers.py:938): applied again where a `@traceable` function
  gave back something that had to be awaited first.
- `Client._host_url`, which `Example` is given to make its `url` of.
- `evaluation._runner._is_langchain_runnable`: which objects are invoked instead of called.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar, cast, get_args
from uuid import UUID, uuid4

from langsmith import Client
from langsmith._internal import _context as context
from langsmith._internal._serde import dumps_json
from langsmith._internal._v2_migration_utils import (
    _V2_RUN_SELECTS,
    QueryBackend,
    _v2_run_to_schema,
    get_query_backend,
)
from langsmith.client import RUN_TYPE_T
from langsmith.evaluation import EvaluationResult
from langsmith.evaluation._runner import (
    _default_process_inputs as default_process_inputs,
)
from langsmith.evaluation._runner import (
    _get_target_args,
    _is_langchain_runnable,
)
from langsmith.evaluation.evaluator import _normalize_summary_evaluator
from langsmith.run_helpers import _container_end as container_end
from langsmith.run_helpers import _handle_container_end as handle_container_end
from langsmith.run_helpers import _setup_run as setup_run
from langsmith.schemas import Example, Run, TracerSession

from evalrunner.delivery.capture.discretion import discreet
from evalrunner.delivery.capture.sink import OperationSink
from evalrunner.errors import TargetError

#: The kinds of runs that there are (client.py, `RUN_TYPE_T`); the service refuses any other.
RUN_TYPES: frozenset[str] = frozenset(get_args(RUN_TYPE_T))

__all__ = [
    "RUN_TYPES",
    "RecordingClient",
    "call_summary_evaluator",
    "check_signature",
    "container_end",
    "context",
    "default_process_inputs",
    "dumps_json",
    "handle_container_end",
    "is_runnable",
    "linked_example",
    "list_runs",
    "mark_traceable",
    "select_results",
    "setup_run",
]

F = TypeVar("F", bound=Callable[..., Any])


def mark_traceable(function: F) -> F:
    """Tell the SDK that `function` takes `langsmith_extra` and traces itself."""
    function.__langsmith_traceable__ = True  # type: ignore[attr-defined]
    return function


def check_signature(target: Callable[..., Any]) -> None:
    """Refuse a target that `aevaluate` would refuse at its first example.

    Raises:
        TargetError: it takes other arguments than (inputs, attachments, metadata).
    """
    try:
        _get_target_args(target)
    except ValueError as error:
        raise TargetError(f"the target cannot be called with an example: {error}") from None


def call_summary_evaluator(
    client: Client, evaluator: Callable[..., Any], runs: list[Run], examples: list[Example]
) -> list[EvaluationResult]:
    """Call a summary evaluator with the arguments that it asks for; return its scores.

    Raises:
        Exception: what the evaluator raised, or the SDK's refusal of its signature or result.
    """
    name = getattr(evaluator, "__name__", "BatchEvaluator")
    answer: Any = _normalize_summary_evaluator(evaluator)(runs, examples)
    return client._select_eval_results(answer, fn_name=name)


def linked_example(client: Client, facts: dict[str, Any], tenant: UUID | None) -> Example:
    """Return an example as the SDK's own listing gives it (client.py:7163): evaluators may ask for its `url`."""
    return Example(**facts, _host_url=client._host_url, _tenant_id=tenant)


def select_results(answer: Any) -> list[EvaluationResult]:
    """Return what an evaluator gave as the SDK sees it (client.py:7659).

    Raises:
        Exception: the SDK's refusal of it.
    """
    return Client._select_eval_results(cast(Client, None), answer)


def list_runs(client: Client, project_id: str, **which: Any) -> list[Run]:
    """Return runs of a project, read in the generation that the service answers."""
    if get_query_backend(client.info.instance_flags) is not QueryBackend.SMITHDB_ONLY:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return list(client.list_runs(project_id=project_id, **which))
    pages = client._get_langsmith_api_sync().runs.query_v2(
        project_ids=[project_id],
        selects=_V2_RUN_SELECTS,
        # As client.py:5376: without them, the last day up to the server's present.
        min_start_time=datetime(2000, 1, 1, tzinfo=timezone.utc),
        max_start_time=datetime.now(timezone.utc) + timedelta(days=1),
        **which,
    )
    return [_v2_run_to_schema(run) for run in pages]


def is_runnable(target: Any) -> bool:
    """Tell whether `aevaluate` would invoke it, and not call it."""
    return _is_langchain_runnable(target)


class RecordingClient(Client):
    """A LangSmith client that sends no run and no score by itself: it hands them to a sink, whole.

    Everything else (reading datasets, examples, ...) is the SDK's own. The experiment that is shared by
    all workers is never written from here: `aevaluate` ends by overwriting its `dataset_version` and
    `dataset_splits` with those of its own shard (evaluation/_arunner.py:1130), and the last writer wins.
    """

    def __init__(self, sink: OperationSink, experiment: TracerSession | None = None, **kwargs: Any) -> None:
        super().__init__(auto_batch_tracing=False, **kwargs)
        # Nothing is sampled away, whatever the environment says; and no run says that it was sampled.
        self.tracing_sample_rate = None
        self._sink = sink
        self._shared = experiment
        self._here = threading.local()

    def share(self, experiment: TracerSession) -> None:
        """Say which experiment must not be written from here."""
        self._shared = experiment

    def _create_run(self, run_create: dict[str, Any], **_: Any) -> None:
        self._sink.post(self._addressed(discreet(run_create, self.api_key)))

    def _update_run(self, run_update: dict[str, Any], **_: Any) -> None:
        self._sink.patch(self._addressed(discreet(run_update, self.api_key)))

    def _addressed(self, run: dict[str, Any]) -> dict[str, Any]:
        """Return a run of the shared experiment with its id beside its name.

        The name may change while the run goes on; a run that carried it alone would make a project of that name.
        The SDK too sends both where it knows both (run_trees.py:426).
        """
        if self._shared is not None and run.get("session_name") == self._shared.name:
            run["session_id"] = str(self._shared.id)
        return run

    def _log_evaluation_feedback(self, *args: Any, _executor: Any = None, **kwargs: Any) -> Any:
        self._here.judging = True
        try:
            return super()._log_evaluation_feedback(*args, **kwargs)
        finally:
            self._here.judging = False

    def create_feedback(self, run_id: Any = None, key: str = "unnamed", **kwargs: Any) -> Any:
        """Record a score under an id that a second execution of the same attempt would give it too."""
        trace_id = _uuid(kwargs.get("trace_id"))
        run = _uuid(run_id) or trace_id
        if kwargs.get("feedback_id") is None:
            judged, failed = getattr(self._here, "judging", False), bool(kwargs.get("error"))
            kwargs["feedback_id"] = (
                self._sink.name_feedback(run, key, judged=judged, failed=failed) or uuid4()
            )
        self._here.recording = (str(kwargs["feedback_id"]), run, trace_id)
        self._here.key = key
        try:
            return super().create_feedback(run_id, key, **kwargs)
        finally:
            self._here.recording = None

    def request_with_retries(self, /, method: Any, pathname: str, **kwargs: Any) -> Any:
        """Take the body of a score on its way out; let everything else pass."""
        recording = getattr(self._here, "recording", None)
        if recording is not None and method == "POST" and pathname == "/feedback":
            body = (kwargs.get("request_kwargs") or {}).get("data") or b""
            if self._sink.feedback(body, *recording):
                return None
            try:
                return super().request_with_retries(method, pathname, **kwargs)
            except Exception as error:
                # Whoever posted it is told by the error, and may swallow it: the receipt must know too.
                self._sink.not_taken(recording[0], self._here.key, error)
                raise
        return super().request_with_retries(method, pathname, **kwargs)

    def update_project(self, project_id: Any, **kwargs: Any) -> TracerSession:
        """Answer for the shared experiment without writing it; pass on any other."""
        if self._shared is not None and str(project_id) == str(self._shared.id):
            return self._shared
        return super().update_project(project_id, **kwargs)


def _uuid(value: Any) -> UUID | None:
    return value if value is None or isinstance(value, UUID) else UUID(str(value))
