"""A lane: one item at a time, through the SDK's own `aevaluate`.

A worker with a concurrency of C runs C lanes. Each calls `aevaluate(..., max_concurrency=0)` over a stream
that yields its next leased example when the one before has ended, and consumes the generator to its end.
So the lane always knows which item it is in; no row is withheld (evaluation/_aiter.py yields finished rows
only between pulls, which deadlocks an acknowledgment window); and an `aevaluate` call, which keeps every row
and example (10.7 KiB each), ends after a segment without the other lanes noticing. When the stream is asked for
more, target and evaluators of the example before are done (evaluation/_arunner.py:827): its item has ended.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

from langsmith import aevaluate
from langsmith.run_trees import RunTree
from langsmith.schemas import Example, Run

from evalrunner.delivery.capture.items import CURRENT, ItemTrace, ScoreTask
from evalrunner.delivery.capture.sdk import mark_traceable
from evalrunner.protocol.orders import LeasedItem
from evalrunner.worker.code.containing import described
from evalrunner.worker.context import WorkerContext
from evalrunner.worker.publishing import Publisher, error_run_of, plain
from evalrunner.worker.reading import leased_example, read_afresh, read_recorded

logger = logging.getLogger(__name__)


class Lane:
    """One lane; `run` returns when there is nothing more to lease."""

    def __init__(self, number: int, context: WorkerContext) -> None:
        self._number = number
        self._context = context
        self._publisher = Publisher(context)
        self._item: LeasedItem | None = None
        self._trace: ItemTrace | None = None
        self._recorded: Run | None = None
        self._trouble = ""
        self._began = 0.0
        self._place = 0
        self._target = self._make_target()
        self._attachments = context.target.takes_attachments or any(
            e.takes_attachments for e in context.evaluators
        )

    async def run(self) -> None:
        """Evaluate leased items, segment after segment, until the worker drains."""
        while (first := await self._context.next_item()) is not None:
            results = await aevaluate(
                self._target,
                data=self._stream(first),
                evaluators=self._context.evaluators,
                experiment=self._context.experiment,
                client=self._context.client,
                metadata=dict(self._context.metadata),
                max_concurrency=0,
                blocking=False,
                disable_evaluator_tracing=not self._context.trace_evaluators,
            )
            async for _ in results:
                pass

    async def _stream(self, item: LeasedItem | None) -> AsyncIterator[Example]:
        for left in reversed(range(self._context.segment)):
            if item is None:
                return
            self._item, self._trace, self._recorded, self._trouble = item, None, None, ""
            example = await self._example(item)
            if example is not None and item.evaluators is not None:
                self._recorded, self._trouble = await asyncio.to_thread(read_recorded, self._context, item)
            if example is not None:
                yield example
                await self._end()
            item = await self._context.next_item() if left else None

    async def _example(self, item: LeasedItem) -> Example | None:
        """Return the item's example; None, and the item has ended with an error, if it cannot be had."""
        try:
            example = leased_example(self._context, item)
            if self._attachments:
                example = await asyncio.to_thread(read_afresh, self._context, example)
        except Exception as error:
            logger.exception("example %s", item.example.get("id"))
            self._begin()
            assert self._trace is not None
            self._publisher.publish_instead(item, self._trace, f"its example cannot be read: {error}", 0.0)
            self._leave(item)
            return None
        return example

    def _make_target(self) -> Callable[..., Any]:
        target = self._context.target

        async def evalrunner_target(*args: Any, langsmith_extra: dict[str, Any]) -> None:
            item = self._begin()
            if item.evaluators is not None:
                # The SDK takes for the target's run what it is told has ended, and hands it to the evaluators.
                langsmith_extra["on_end"](self._recorded)
                return
            ended: list[Any] = []
            raised: Exception | None = None
            extra = {
                **langsmith_extra,
                "run_id": UUID(item.run_id),
                "parent": "ignore",
                "metadata": self._context.metadata_of(item, langsmith_extra),
                "on_end": ended.append,
            }
            try:
                await target(args, extra)
            except Exception as error:  # not for `aevaluate`: it prints what it is given, and not all can be
                logger.exception("the target raised on example %s", item.example["id"])
                raised = error
            # What the evaluators see: none of them expects that there is no run.
            langsmith_extra["on_end"](ended[-1] if ended else self._end_root(raised))

        evalrunner_target.__signature__ = target.signature  # type: ignore[attr-defined]
        return mark_traceable(evalrunner_target)

    def _begin(self) -> LeasedItem:
        item = self._item
        assert item is not None
        self._began = time.monotonic()
        self._place = self._context.ward.begin()
        self._trace = self._context.book.open(item.item, item.token, UUID(item.run_id))
        self._trace.task = self._task(item)
        CURRENT.set(self._trace)
        # If the process dies from here to `clear`, this item is one of those that may have killed it.
        self._context.in_flight.set(self._number, item.item)
        self._context.running.add(item.item)
        return item

    def _task(self, item: LeasedItem) -> ScoreTask | None:
        if item.evaluators is None:
            return None
        runs = [self._recorded] if self._recorded is not None else []
        recorded = {UUID(item.run_id)}
        while runs:
            run = runs.pop()
            recorded.add(run.id)
            runs.extend(run.child_runs or [])
        return ScoreTask(
            frozenset(item.evaluators), frozenset(item.standing), frozenset(recorded), self._trouble
        )

    async def _end(self) -> None:
        """Publish the item: its evaluators are done, so this is all of it."""
        item, trace = self._item, self._trace
        assert item is not None
        assert trace is not None
        warnings = await self._wait_for_children(trace)
        root = trace.runs.get(trace.run_id)
        if trace.task is None and (root is None or not root.ended):
            warnings.append(
                "its root run was left without an end, by the target or by the SDK (see the worker's log); "
                "it was ended with an error"
            )
            self._end_root(None)
        self._close(item, trace, warnings)
        self._leave(item)

    def _close(self, item: LeasedItem, trace: ItemTrace, warnings: list[str]) -> None:
        """Publish it, or hold its failure back if it may be this process's fault."""
        root = trace.runs.get(trace.run_id)
        error = root.error if root is not None else None
        mine = error is not None and trace.task is None and not item.final
        kind = self._context.ward.suspicion(plain(error or ""), self._place) if mine else None
        publish = functools.partial(
            self._publisher.publish, item, trace, warnings, time.monotonic() - self._began
        )
        if kind is None:
            publish()
            if not error:
                self._context.ward.well(self._place)
            return
        # If this process dies now, the item is executed again: nothing of it is durable.
        self._context.ward.hold(kind, publish, functools.partial(self._context.book.drop, trace))
        self._context.reporter.withheld(item.item, item.token, kind)

    def _leave(self, item: LeasedItem) -> None:
        self._context.in_flight.clear(self._number)
        self._context.running.discard(item.item)
        CURRENT.set(None)

    async def _wait_for_children(self, trace: ItemTrace) -> list[str]:
        if not trace.unfinished():
            return []
        end = time.monotonic() + self._context.grace
        while trace.unfinished() and time.monotonic() < end:
            await asyncio.sleep(0.01)
        left = [str(run.main.get("name", run.id)) for run in trace.unfinished() if run.id != trace.run_id]
        if not left:
            return []
        return [f"{len(left)} child run(s) had not ended when their item did: {', '.join(left[:5])}"]

    def _end_root(self, raised: Exception | None) -> RunTree:
        """End a root run that the SDK has not ended, or make one: tracing was off, or an error has no text."""
        assert self._trace is not None
        assert self._item is not None
        root = self._trace.runs.get(self._trace.run_id)
        if root is None:
            text = "evalrunner: the target was not traced" if raised is None else described(raised)
            root = error_run_of(self._context, self._item, self._trace.run_id, text)
            self._trace.runs[self._trace.run_id] = root
        elif raised is not None:
            root.fail(described(raised), datetime.now(timezone.utc))
        else:
            root.fail("evalrunner: the root run was left without an end", datetime.now(timezone.utc))
        return root.tree(self._context.client)
