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
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NoReturn, TypeVar
from uuid import UUID

import orjson
from langsmith import aevaluate
from langsmith.run_trees import RunTree
from langsmith.schemas import Example, Run, TracerSession
from langsmith.utils import LangSmithNotFoundError

from evalrunner.delivery.capture.runs import RunBuffer, error_run
from evalrunner.delivery.capture.sdk import RecordingClient, linked_example, mark_traceable, read_trace
from evalrunner.delivery.capture.traces import CURRENT, ItemTrace, ScoreTask, TraceBook
from evalrunner.delivery.inflight import InFlight
from evalrunner.delivery.pipeline import DeliveryPipeline
from evalrunner.errors import SpoolError
from evalrunner.protocol.evaluated import EVALUATORS, Evaluated
from evalrunner.protocol.messages import UNFIT, LeasedItem
from evalrunner.protocol.values import UnfitError
from evalrunner.worker.code.containing import described
from evalrunner.worker.code.evaluators import TrackedEvaluator
from evalrunner.worker.code.target import Target
from evalrunner.worker.reporter import Reporter
from evalrunner.worker.ward import Ward

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass
class WorkerContext:
    """What all lanes of a worker share."""

    client: RecordingClient
    experiment: TracerSession
    target: Target
    evaluators: list[TrackedEvaluator]
    book: TraceBook
    pipeline: DeliveryPipeline
    reporter: Reporter
    in_flight: InFlight
    next_item: Callable[[], Any]
    repetitions: int
    metadata: dict[str, Any]
    segment: int
    grace: float
    trace_evaluators: bool
    worker_id: str
    patience: float
    leave: Callable[[str], NoReturn]
    ward: Ward
    running: set[int] = field(default_factory=set)


class Lane:
    """One lane; `run` returns when there is nothing more to lease."""

    def __init__(self, number: int, context: WorkerContext) -> None:
        self._number = number
        self._context = context
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
                await self._read_recorded(item)
            if example is not None:
                yield example
                await self._end()
            item = await self._context.next_item() if left else None

    async def _example(self, item: LeasedItem) -> Example | None:
        """Return the item's example; None, and the item has ended with an error, if it cannot be had."""
        try:
            example = self._leased(item)
            if self._attachments:
                # A lease has no links to them, and they would have expired by now: read the example afresh.
                example = await asyncio.to_thread(self._read_patiently, example)
        except Exception as error:
            logger.exception("example %s", item.example.get("id"))
            self._begin()
            assert self._trace is not None
            self._publish_instead(item, self._trace, f"its example cannot be read: {error}", 0.0)
            self._leave(item)
            return None
        return example

    def _leased(self, item: LeasedItem) -> Example:
        if UNFIT in item.example:
            raise UnfitError(item.example[UNFIT])
        facts = {key: value for key, value in item.example.items() if key != "attachment_urls"}
        return linked_example(self._context.client, facts, self._context.experiment.tenant_id)

    async def _read_recorded(self, item: LeasedItem) -> None:
        """Read the run that is to be scored; why it cannot be had is said by each evaluator in its turn."""
        project = str(self._context.experiment.id)
        try:
            self._recorded = await asyncio.to_thread(
                self._patiently,
                lambda: read_trace(self._context.client, project, item.run_id),
                f"run {item.run_id}",
            )
        except Exception as error:
            logger.exception("run %s", item.run_id)
            self._trouble = f"its recorded run cannot be read: {type(error).__name__}: {error}"[:500]
            self._recorded = Run(
                id=UUID(item.run_id),
                trace_id=UUID(item.run_id),
                session_id=self._context.experiment.id,
                name=self._context.target.name,
                run_type="chain",
                inputs={},
                start_time=datetime.now(timezone.utc),
            )

    def _read_patiently(self, example: Example) -> Example:
        return self._patiently(
            lambda: self._context.client.read_example(example.id, as_of=example.modified_at),
            f"example {example.id}",
        )

    def _patiently(self, read: Callable[[], T], what: str) -> T:
        # A worker that ended because the server is away for a while would take its lanes' items with it.
        give_up = time.monotonic() + self._context.patience
        pause = 0.5
        while True:
            try:
                return read()
            except (LangSmithNotFoundError, LookupError):
                raise
            except Exception as error:
                if time.monotonic() + pause > give_up:
                    raise
                logger.warning("%s cannot be read now, again in %.1f s: %s", what, pause, error)
            time.sleep(pause)
            pause = min(30.0, 2 * pause)

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
                "metadata": self._metadata(item, langsmith_extra),
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

    def _metadata(self, item: LeasedItem, extra: dict[str, Any]) -> dict[str, Any]:
        return {
            **(extra.get("metadata") or {}),
            "num_repetitions": self._context.repetitions,
            "evalrunner_repetition": item.repetition,
            "evalrunner_attempt": item.attempt,
            "evalrunner_worker": self._context.worker_id,
        }

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
        publish = functools.partial(self._publish, item, trace, warnings, time.monotonic() - self._began)
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

    def _publish(self, item: LeasedItem, trace: ItemTrace, warnings: list[str], seconds: float) -> None:
        _sign(trace)
        try:
            operations = self._context.book.close(trace)
            meta = describe(trace, warnings, seconds)
            self._context.pipeline.publish(item.item, item.token, meta, operations)
        except Exception as error:
            logger.exception("item %s cannot be published as it is", item.item)
            why = f"its trace cannot be written: {type(error).__name__}: {error}"
            self._publish_instead(item, trace, why, seconds)

    def _publish_instead(self, item: LeasedItem, trace: ItemTrace, why: str, seconds: float) -> None:
        """Publish an error run in place of a trace that there is none of; if even that fails, end the worker."""
        said = why[:500]
        self._context.book.drop(trace)
        try:
            if trace.task is not None:
                self._publish_failure(item, trace, said)
                return
            instead = ItemTrace(item.item, item.token, trace.run_id)
            instead.runs[trace.run_id] = self._error_run(item, trace.run_id, f"evalrunner: {said}")
            meta = describe(instead, [said], seconds)
            operations = [run.operation() for run in instead.own()]
            self._context.pipeline.publish(item.item, item.token, meta, operations)
        except SpoolError as error:  # the spool's own thread is about to say so too: both say the same
            self._context.leave(f"its spool cannot be written: {error.__cause__ or error}")
        except Exception as error:
            logger.exception("item %s cannot be published at all", item.item)
            self._context.leave(f"an item's end cannot be written at all: {type(error).__name__}: {error}")

    def _publish_failure(self, item: LeasedItem, trace: ItemTrace, why: str) -> None:
        """Publish, of a run that was only to be scored, that its evaluators failed."""
        instead = ItemTrace(item.item, item.token, trace.run_id)
        instead.task = trace.task
        instead.evaluated = [Evaluated(name, error=f"evalrunner: {why}") for name in item.evaluators or ()]
        meta = describe(instead, [why], time.monotonic() - self._began)
        self._context.pipeline.publish(item.item, item.token, meta, [])

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
            root = self._error_run(self._item, self._trace.run_id, text)
            self._trace.runs[self._trace.run_id] = root
        elif raised is not None:
            root.fail(described(raised), datetime.now(timezone.utc))
        else:
            root.fail("evalrunner: the root run was left without an end", datetime.now(timezone.utc))
        return root.tree(self._context.client)

    def _error_run(self, item: LeasedItem, run_id: UUID, error: str) -> RunBuffer:
        return error_run(
            run_id,
            name=self._context.target.name,
            inputs=item.example.get("inputs") or {},
            error=error,
            example_id=item.example["id"],
            project=str(self._context.experiment.name),
            project_id=self._context.experiment.id,
            at=datetime.now(timezone.utc),
            metadata=self._metadata(item, {}),
        )


def _sign(trace: ItemTrace) -> None:
    """Write into the root's metadata which evaluators ran without an error, and which keys they gave.

    It is the only record of an evaluator that had nothing to say about this item: without it, a command from
    another folder could not tell "does not apply" from "is missing".
    """
    root = trace.runs.get(trace.run_id)
    if root is not None and trace.evaluated:
        ran = {each.name: list(each.keys) for each in trace.evaluated if each.error is None}
        root.extra = {**(root.extra or {})}
        root.extra["metadata"] = {**(root.extra.get("metadata") or {}), EVALUATORS: ran}


def describe(trace: ItemTrace, warnings: list[str], seconds: float) -> dict[str, Any]:
    """Return what the supervisor needs to know of an item, as it stands in the spool record's header."""
    own = trace.own()
    root = trace.runs.get(trace.run_id)
    troubles = [f"run {run.main.get('name')}: {run.trouble}" for run in trace.runs.values() if run.trouble]
    return {
        "scored": trace.task is not None,
        # What has not ended is in the warnings, and not waited for: the item would be executed again and again.
        "runs": [str(run.id) for run in own if run.ended] if trace.task is None else [str(trace.run_id)],
        "others": [str(run.id) for run in trace.others()],
        "feedback": trace.scores,
        "error": _one_line(root.error) if root is not None and root.error else None,
        "warnings": warnings + troubles,
        "seconds": round(seconds, 6),
        "evaluated": [each.to_json() for each in trace.evaluated],
    }


def plain(error: str) -> str:
    """Return a run's error as text; it may be JSON by now."""
    try:
        return str(orjson.loads(error))
    except orjson.JSONDecodeError:
        return error


def _one_line(error: str) -> str:
    """Return the line of a traceback that says what happened: its head, as the SDK puts it first."""
    lines = [line.strip() for line in plain(error).splitlines() if line.strip()]
    return (lines[0] if lines else "error")[:500]
