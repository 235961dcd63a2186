"""What all lanes of a worker share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from langsmith.schemas import TracerSession

from evalrunner.delivery.capture.sdk import RecordingClient
from evalrunner.delivery.capture.traces import TraceBook
from evalrunner.delivery.inflight import InFlight
from evalrunner.delivery.pipeline import DeliveryPipeline
from evalrunner.protocol.orders import LeasedItem
from evalrunner.worker.code.evaluators import TrackedEvaluator
from evalrunner.worker.code.target import Target
from evalrunner.worker.reporter import Reporter
from evalrunner.worker.ward import Ward


@dataclass
class WorkerContext:
    """The parts of a worker; each is safe to be used by all of its lanes.

    Attributes:
        next_item: waits for the next leased item; None when there is none any more.
        segment: items of one lane's call of `aevaluate`.
        grace: seconds that an item waits for children which go on after it.
        patience: seconds for which what a lane has to read is asked for again.
        leave: ends the process, with a reason.
        running: the items that are being executed now.
    """

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

    def metadata_of(self, item: LeasedItem, extra: dict[str, Any]) -> dict[str, Any]:
        """Return the metadata of an item's root run, on top of what the SDK gives it in `extra`."""
        return {
            **(extra.get("metadata") or {}),
            "num_repetitions": self.repetitions,
            "evalrunner_repetition": item.repetition,
            "evalrunner_attempt": item.attempt,
            "evalrunner_worker": self.worker_id,
        }
