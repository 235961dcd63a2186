"""The root run of a target that traces nothing itself, by the SDK's own rules.

`@traceable` decides by the look of a function whether to await it or to consume it; a worker decides by what it
gives back, which may be long after the call, and on another thread. So the run's two ends are apart here.
"""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

from langsmith.run_helpers import tracing_context
from langsmith.run_trees import RunTree

from evalrunner.delivery.capture.sdk import (
    container_end,
    default_process_inputs,
    handle_container_end,
    setup_run,
)
from evalrunner.delivery.capture.sdk import context as sdk_context

logger = logging.getLogger(__name__)


class RootRun:
    """A root run as `@traceable` makes it: begun by one call, ended by another, on whatever thread.

    Attributes:
        tree: the SDK's run.
        context: where the target is to be called, so that its child runs find their parent.
    """

    def __init__(self, container: Any, function: Any = None, entered: Any = None) -> None:
        self._container = container
        self._process = _config_of(function).get("process_outputs")
        self._entered = entered
        self.tree: RunTree = container["new_run"]
        self.context: Context = container["context"]

    @classmethod
    def begin(cls, function: Callable[..., Any], name: str, args: Any, extra: Any) -> RootRun:
        """Begin the run of a function that is not traceable (as evaluation/_arunner.py:1272 would)."""
        given: Any = {"name": name, "process_inputs": default_process_inputs, **_NO_DECORATION}
        return cls(setup_run(function, given, extra, args, {}))

    @classmethod
    def begin_with(cls, inputs: dict[str, Any], name: str, extra: Any) -> RootRun:
        """Begin the run of a function of which the SDK records the argument `inputs` alone.

        What `begin` comes to then, without asking for its signature and the tracing context time and again: a
        third of the SDK's own cost of a run.
        """
        metadata = {
            **extra["metadata"],
            **(sdk_context._METADATA.get() or sdk_context._GLOBAL_METADATA or {}),
        }
        metadata["ls_method"] = "traceable"
        tags = list(sdk_context._TAGS.get() or sdk_context._GLOBAL_TAGS or ())
        tree = RunTree(
            name=name, id=extra["run_id"], inputs=inputs, run_type="chain", extra={"metadata": metadata},
            reference_example_id=extra.get("reference_example_id"), project_name=extra["project_name"],
            tags=tags, ls_client=extra["client"],
        )  # fmt: skip
        try:
            tree.post()
        except BaseException:
            logger.exception("run %s cannot begin", tree.id)
        context = copy_context()
        context.run(_enter, tree, metadata, tags)
        return cls({"new_run": tree, "on_end": extra["on_end"], "enabled": True, "context": context})

    @classmethod
    def again(cls, tree: RunTree, on_end: Callable[[RunTree], None], function: Any = None) -> RootRun:
        """Take up a run that `@traceable` has ended too early: with something that was still to come.

        Args:
            function: the traceable one, if its `process_outputs` has yet to see the answer.
        """
        tree.outputs, tree.error, tree.end_time = {}, None, None
        context = copy_context()
        entered = tracing_context(
            parent=tree, project_name=tree.session_name, client=tree.ls_client, enabled=True
        )
        context.run(entered.__enter__)
        container = {"new_run": tree, "on_end": on_end, "enabled": True, "context": context}
        return cls(container, function, entered)

    def end(self, outputs: Any = None, error: BaseException | None = None) -> None:
        """End it with what the target gave back, or raised: `error` must be the one that is being handled.

        Raises:
            BaseException: what was given cannot be read or printed; the run has not ended.
        """
        if self._entered is not None:
            self.context.run(self._entered.__exit__, None, None, None)
        if self._process is not None:
            handle_container_end(self._container, outputs, error, self._process)
            return
        try:
            container_end(self._container, outputs, error)
        except AttributeError:  # it takes what a model is dumped as for a dict, and asks that for its usage
            dumped = _dumped(outputs)
            if dumped is None or isinstance(dumped, dict):
                raise
            container_end(self._container, {"output": dumped}, error)


def _dumped(outputs: Any) -> Any:
    """Return what the SDK takes a model for: of pydantic's `RootModel` it may be a list, or a text."""
    dump = getattr(outputs, "model_dump", None)
    return dump(exclude_none=True, mode="json") if callable(dump) else None


def _enter(tree: RunTree, metadata: dict[str, Any], tags: list[str]) -> None:
    """Let runs that are made in this context be children of `tree` (as run_helpers.py:1797 does)."""
    sdk_context._METADATA.set(metadata)
    sdk_context._TAGS.set(tags)
    sdk_context._PROJECT_NAME.set(tree.session_name)
    sdk_context._ADDRESS.set(None)
    sdk_context._PARENT_RUN_TREE_REF.set(weakref.ref(tree))


#: What `@traceable` without arguments gives to its runs (run_helpers.py:640).
_NO_DECORATION = dict.fromkeys(("extra_outer", "metadata", "tags", "client", "project_name", "address"))


def _config_of(function: Any) -> dict[str, Any]:
    while isinstance(function, functools.partial):
        function = function.func
    of_call = getattr(type(function), "__call__", None)  # noqa: B004 - an object whose call is traceable
    found = getattr(function, "__traceable_config__", None) or getattr(of_call, "__traceable_config__", None)
    return dict(found or {})
