"""From the SDK's calls to whole traces: what belongs to which item, and when it may be published.

    create_run ─┐                      ┌─ ItemTrace (root, children, evaluators' runs, scores)
    update_run ─┼─> TraceBook ─ routes ┤      published once, complete, when the item has ended
    feedback  ──┘                      └─ loose runs (a target's own traces): each when it has ended

An operation belongs to an item if its trace is the item's, or if it was made in the context of the item
(evaluators, traces that a target starts by itself). If the process dies before `publish`, nothing of the
item has left it: nothing stays pending on the server.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson

from evalrunner.delivery.capture.items import CURRENT, ItemTrace
from evalrunner.delivery.capture.runs import RunBuffer
from evalrunner.delivery.forked import renew_in_copies
from evalrunner.delivery.spool.record import JSON, Operation

__all__ = ["Operation", "TraceBook"]


class TraceBook:
    """Routes operations; the `OperationSink` of a worker's client. Thread-safe.

    Args:
        emit: takes the operations of a loose record, durable soon after; returns at once.
        open_live: live mode: takes the post of a run of an item when it starts; the item's record then carries
            patches.
        unsent: takes (kind, id, name, why) of what went past the books and was not taken.
    """

    def __init__(
        self,
        emit: Callable[[list[Operation]], None],
        *,
        open_live: Callable[[ItemTrace, list[Operation]], None] | None = None,
        unsent: Callable[[str, str, str, str], None] = lambda *_: None,
    ) -> None:
        self._emit = emit
        self._open_live = open_live
        self._unsent = unsent
        self._lock = threading.Lock()
        renew_in_copies(self, "_lock")
        self._items: dict[UUID, ItemTrace] = {}
        self._loose: dict[UUID, RunBuffer] = {}

    def open(self, item: int, token: int, run_id: UUID) -> ItemTrace:
        """Begin an item whose root run will be `run_id`."""
        trace = ItemTrace(item, token, run_id)
        with self._lock:
            self._items[run_id] = trace
        return trace

    def close(self, trace: ItemTrace) -> list[Operation]:
        """End an item; return all its operations, root first, scores last.

        Runs that have not ended are sent as they stand; what comes of them later is sent as a patch.
        """
        with self._lock:
            self._items.pop(trace.run_id, None)
            operations = [run.operation() for run in [*trace.own(), *trace.others()]]
            for run in trace.unfinished():
                self._outlive(run)
            return operations + trace.feedback

    def _outlive(self, run: RunBuffer) -> None:
        run.posted, run.main, run.big, run.extra = True, {}, {}, None
        self._loose[run.id] = run

    def drop(self, trace: ItemTrace) -> None:
        """Forget an item that was interrupted; it will be executed again under another id."""
        with self._lock:
            self._items.pop(trace.run_id, None)

    def flush_loose(self) -> list[str]:
        """Emit what lies in loose runs, as it stands; return the names of these runs, which have no end."""
        with self._lock:
            left = [run for run in self._loose.values() if run.main or run.big]
            self._loose.clear()
            names = [str(run.main.get("name", run.id)) for run in left]
        if left:
            self._emit([run.operation() for run in left])
        return names

    # -- OperationSink -------------------------------------------------------------------------------

    def post(self, run: dict[str, Any]) -> None:
        """Take a run that starts (or a complete one)."""
        run_id, trace_id = _uuid(run["id"]), _uuid(run.get("trace_id") or run["id"])
        buffer = RunBuffer(run_id, trace_id)
        buffer.post(run)
        with self._lock:
            item = self._item_of(trace_id)
            ready: list[Operation] = []
            if item is not None:
                item.runs[run_id] = buffer
                if self._open_live is not None and item.run_id == trace_id:
                    # Under the lock: the item's own record must not overtake its openings.
                    self._open_live(item, [self._post_now(buffer, is_root=run_id == trace_id)])
            elif buffer.ended:
                ready = [buffer.operation()]
            else:
                self._loose[run_id] = buffer
        if ready:
            self._emit(ready)

    def _post_now(self, run: RunBuffer, *, is_root: bool) -> Operation:
        # The link to the example comes with the end: a killed worker's unfinished root must not stand in
        # the experiment's table beside the attempt that replaces it.
        example = run.main.pop("reference_example_id", None) if is_root else None
        operation = run.operation()
        run.posted, run.big = True, {}
        run.main = {
            k: run.main[k] for k in ("id", "trace_id", "dotted_order", "parent_run_id") if k in run.main
        }
        if example is not None:
            run.main["reference_example_id"] = example
        return operation

    def patch(self, run: dict[str, Any]) -> None:
        """Take a run that ends or changes."""
        run_id = _uuid(run["id"])
        trace_id = _uuid(run["trace_id"]) if run.get("trace_id") else None
        with self._lock:
            item = self._item_of(trace_id)
            buffer = item.runs.get(run_id) if item is not None else None
            ready: list[Operation] = []
            if buffer is not None:
                buffer.patch(run)
            else:
                ready = self._patch_loose(run_id, trace_id, run)
        if ready:
            self._emit(ready)

    def _patch_loose(self, run_id: UUID, trace_id: UUID | None, run: dict[str, Any]) -> list[Operation]:
        buffer = self._loose.pop(run_id, None)
        if buffer is None:
            buffer = RunBuffer(run_id, trace_id)
            buffer.posted = True
        buffer.patch(run)
        return [buffer.operation()]

    def name_feedback(self, run_id: UUID | None, key: str, *, judged: bool, failed: bool) -> UUID | None:
        """Name a score if it belongs to an item."""
        item = CURRENT.get()
        if item is None or run_id is None:
            return None
        return item.name_feedback(run_id, key, judged=judged, failed=failed)

    def feedback(self, body: bytes, feedback_id: str, run_id: UUID | None, trace_id: UUID | None) -> bool:
        """Take a score; False if it has no run that the multipart endpoint could file it under."""
        if run_id is None:
            return False
        with self._lock:
            item = CURRENT.get()
            if trace_id is None:
                if item is None or not (run_id in item.runs or item.has(run_id)):
                    return False
                body = orjson.dumps({**orjson.loads(body), "trace_id": str(item.run_id)})
            operation: Operation = ("feedback", feedback_id, [(f"feedback.{feedback_id}", JSON, body)])
            if item is not None and item.run_id in self._items:
                item.feedback.append(operation)
                if item.has(run_id):
                    item.scores.append(feedback_id)
                return True
        self._emit([operation])
        return True

    def not_taken(self, feedback_id: str, key: str, error: Exception) -> None:
        """Note that a score which had to be sent by itself was not taken."""
        self._unsent("feedback", feedback_id, key, f"{type(error).__name__}: {error}"[:500])

    # -- inside --------------------------------------------------------------------------------------

    def _item_of(self, trace_id: UUID | None) -> ItemTrace | None:
        found = self._items.get(trace_id) if trace_id is not None else None
        if found is None:
            current = CURRENT.get()
            if current is not None and current.run_id in self._items:
                return current
        return found


def _uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))
