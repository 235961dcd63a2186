"""Recorded runs with the runs below them, as `evaluate` hands them to evaluators: in `child_runs`, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from langsmith import Client
from langsmith.schemas import Run

from evalrunner.delivery.capture.sdk import list_runs


def list_root_runs(client: Client, project_id: str) -> list[Run]:
    """Return the root runs of a project; what is below them is read when somebody first asks for it."""
    return fill_later(
        list_runs(client, project_id, is_root=True), lambda: list_runs(client, project_id, is_root=False)
    )


def read_trace(client: Client, project_id: str, run_id: str) -> Run:
    """Return a root run as it was recorded, with its children, as `aevaluate` hands it to evaluators.

    Raises:
        LookupError: it is not there.
        LangSmithError: it cannot be read.
    """
    runs = list_runs(client, project_id, trace_id=run_id)
    make_trees(runs)
    found = [run for run in runs if str(run.id) == run_id]
    if not found:
        raise LookupError(f"run {run_id} is not there")
    return found[0]


def make_trees(runs: Sequence[Run]) -> None:
    """Give each run those of the others that are its children."""
    by_id = {run.id: run for run in runs}
    for run in runs:
        run.child_runs = []
    for run in sorted(runs, key=lambda run: run.dotted_order):
        parent = by_id.get(run.parent_run_id) if run.parent_run_id is not None else None
        if parent is not None and parent.child_runs is not None:
            parent.child_runs.append(run)


def fill_later(roots: list[Run], read: Callable[[], list[Run]]) -> list[Run]:
    """Let root runs have their children as soon as the `child_runs` of one of them is looked at.

    An experiment may have ten times as many runs as roots, and hardly any summary evaluator looks at them.

    Args:
        read: returns the runs below the roots; what it raises is raised out of `child_runs`.
    """
    lock, todo = threading.RLock(), [read]

    def fill() -> None:
        with lock:
            if todo:
                below = todo[0]()
                todo.clear()
                make_trees([*roots, *below])

    class RecordedRun(Run):
        def __getattribute__(self, name: str) -> Any:
            if name == "child_runs":
                fill()
            return super().__getattribute__(name)

        def __copy__(self) -> Any:
            fill()
            return super().__copy__()

        def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Any:
            fill()
            return super().__deepcopy__(memo)

        def __reduce_ex__(self, protocol: Any) -> Any:  # an evaluator may hand it to a pool of processes
            fill()
            return _plain_run, (dict(self.__dict__),)

    for root in roots:
        root.__class__ = RecordedRun
    return roots


def _plain_run(fields: dict[str, Any]) -> Run:
    return Run.model_construct(**fields)
