"""Counting for the eye: what a snapshot shows. The receipt is never computed from this."""

from __future__ import annotations

from collections import deque

from evalrunner.protocol.lease import ItemState
from evalrunner.supervisor.core.instructions import Write
from evalrunner.supervisor.core.state import SupervisorState
from evalrunner.supervisor.shell.pool import WorkerPool
from evalrunner.supervisor.shell.progress import Snapshot, WorkerView

#: Seconds over which the rate is taken.
SPAN = 10.0
#: Items after which their rate tells anything about those that are left.
ENOUGH = 10
#: An item is slow, and named, when it has been executed for so many seconds and for so many times the usual.
SLOW_SECONDS, SLOW_TIMES = 60.0, 10.0
#: Seconds after which a worker that loads is named.
LOADS_LONG = 30.0


def spoken(seconds: float) -> str:
    """Return a duration as people say it."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def loading_note(state: SupervisorState, now: float) -> str:
    """Name a worker that has been loading target and evaluators for long, or ""."""
    found = state.loading()
    if found is None or now - found[1] < LOADS_LONG:
        return ""
    slot, since = found
    return f"worker {slot} has been loading for {spoken(now - since)}; what it prints is in logs/worker-{slot}.log"


class ProgressCounter:
    """Follows the writes of a run."""

    def __init__(self, complete_before: int, began: float) -> None:
        self._complete_before = complete_before
        self._began = began
        self.produced = self.accepted = self.visible = self.failed = self.errors = 0
        self._marks: deque[tuple[float, int]] = deque([(began, 0)])
        self._worked = 0.0
        self.names: dict[int, str] = {}

    def write(self, write: Write) -> None:
        """Count one move."""
        if write.state is ItemState.PRODUCED:
            self.produced += 1
            self.errors += bool(write.made and write.made.error)
            self._worked += write.made.seconds if write.made else 0.0
        elif write.state is ItemState.ACCEPTED:
            self.accepted += 1
        elif write.state is ItemState.VISIBLE:
            self.visible += 1
        elif write.state is ItemState.FAILED:
            self.failed += 1

    def slowest_note(self, state: SupervisorState, now: float, limit: float | None) -> str:
        """Name the item that takes by far longer than the others, or ""."""
        found = state.slowest()
        if found is None:
            return ""
        slot, item, since = found
        usual = self._worked / self.produced if self.produced else 0.0
        if now - since < max(SLOW_SECONDS, SLOW_TIMES * usual):
            return ""
        what = (
            f"item {self.names.get(item, item)} has been running for {spoken(now - since)} in worker {slot}"
        )
        return f"{what} ({'no --item-timeout' if limit is None else f'--item-timeout {limit:g}'})"

    def snapshot(
        self, phase: str, state: SupervisorState, pool: WorkerPool, note: str, now: float, stops: int = 0
    ) -> Snapshot:
        """Return the run as it is now."""
        rate = self._rate(now)
        left = state.planned - self.produced
        return Snapshot(
            phase=phase,
            planned=state.planned,
            complete_before=self._complete_before,
            produced=self.produced,
            accepted=self.accepted,
            visible=self.visible,
            failed=self.failed,
            errors=self.errors,
            restarts=state.restarts,
            rate=rate,
            eta=left / rate if rate > 0 and left > 0 and self.produced >= ENOUGH else None,
            elapsed=now - self._began,
            note=note,
            stops=stops,
            workers=tuple(self._workers(state, pool)),
        )

    def _rate(self, now: float) -> float:
        self._marks.append((now, self.produced))
        while len(self._marks) > 2 and now - self._marks[0][0] > SPAN:
            self._marks.popleft()
        since, before = self._marks[0]
        return (self.produced - before) / (now - since) if now > since else 0.0

    def _workers(self, state: SupervisorState, pool: WorkerPool) -> list[WorkerView]:
        views = []
        for number, handle in sorted(pool.handles.items(), key=lambda pair: pair[1].process.slot):
            worker = state.workers[number]
            current = next(iter(worker.started), None)
            views.append(
                WorkerView(
                    slot=worker.slot,
                    pid=handle.process.pid,
                    state=worker.state.value,
                    item=self.names.get(current, "") if current is not None else "",
                    done=worker.done,
                    rss=handle.rss,
                )
            )
        return views
