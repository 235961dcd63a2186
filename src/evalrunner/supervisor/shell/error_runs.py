"""Error runs for items that no worker survived: complete, linked to their example, with the reason.

They go the way of every trace: into a spool of the supervisor's own, and out through its sender.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from evalrunner.clock import Clock
from evalrunner.delivery.capture.failures import error_run, failure
from evalrunner.delivery.capture.runs import RunBuffer
from evalrunner.delivery.pipeline import DeliveryPipeline, loose_record, produced_item
from evalrunner.delivery.sending.spools import SpoolSender
from evalrunner.delivery.spool.files import stem_of
from evalrunner.delivery.spool.openings import is_loose, item_of
from evalrunner.delivery.spool.record import Operation
from evalrunner.delivery.spool.writer import Entry
from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.ids import root_run_id
from evalrunner.protocol.loose import LooseState
from evalrunner.protocol.reports import ProducedItem
from evalrunner.supervisor.core.events import ErrorRunWritten, Event, LooseNews, SentOn
from evalrunner.supervisor.core.instructions import WriteErrorRun
from evalrunner.supervisor.setup.scope import Scope


class ErrorRuns:
    """Writes error runs; opens its spool with the first one.

    Args:
        spool: path of the spool to create if it is needed.
        sender: of the supervisor; the relay sends through it too.
        post: takes `ErrorRunWritten` when an error run is durable, `SentOn` when it is accepted or refused.
    """

    def __init__(
        self,
        spool: Path,
        sender: SpoolSender,
        *,
        post: Callable[[Event], None],
        note: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self.spool = spool
        self._sender = sender
        self._post = post
        self._note = note
        self._clock = clock
        self._pipeline: DeliveryPipeline | None = None

    def write(self, order: WriteErrorRun, example: dict[str, Any], repetition: int, scope: Scope) -> None:
        """Write the error run of one item."""
        run_id = root_run_id(
            scope.experiment_id, UUID(example["id"]), repetition, order.attempt, scope.epoch, scope.salt
        )
        run = error_run(
            run_id,
            name="evalrunner",
            inputs=example.get("inputs") or {},
            error=f"evalrunner: {order.reason}",
            example_id=example["id"],
            project=scope.name,
            project_id=scope.experiment_id,
            at=self._clock.utcnow(),
            metadata={"evalrunner_repetition": repetition, "evalrunner_attempt": order.attempt - 1},
        )
        made = ProducedItem(order.item, order.token, [str(run_id)], [], [], order.reason, [], 0.0)
        self._publish(made, [run.operation()])

    def write_for_scores(
        self, order: WriteErrorRun, run_id: UUID, keys: dict[str, list[str]], scope: Scope
    ) -> None:
        """Write that evaluators failed on a run, under these keys: as the SDK records it when one raises."""
        error = f"evalrunner: {order.reason}"
        operations = [
            failure(run_id, name, key, error, session=scope.experiment_id, at=self._clock.utcnow())
            for name, those in keys.items()
            for key in those
        ]
        made = ProducedItem(
            order.item, order.token, [str(run_id)], [], [operation[1] for operation in operations], None, [], 0.0,
            [Evaluated(name, error=error) for name in keys], scored=True,
        )  # fmt: skip
        self._publish(made, operations)

    def _publish(self, made: ProducedItem, operations: list[Operation]) -> None:
        meta = {key: value for key, value in asdict(made).items() if key not in ("item", "token")}
        self._open().publish(made.item, made.token, meta, operations)

    def close_runs(self, runs: list[dict[str, Any]], error: str) -> None:
        """End runs that a dead process had posted (live mode): a patch with the reason."""
        if not runs:
            return
        operations = []
        for address in runs:
            run = RunBuffer(UUID(address["id"]), UUID(address.get("trace_id") or address["id"]))
            run.posted = True
            run.patch(dict(address))
            run.fail(error, self._clock.utcnow())
            operations.append(run.operation())
        self._open().publish_loose(operations)

    @property
    def busy(self) -> bool:
        """Whether something is still on its way to the sender."""
        return self._pipeline is not None and self._pipeline.busy

    def close(self) -> None:
        """Close the spool; what is unsent stays in it."""
        if self._pipeline is not None:
            self._pipeline.close()

    def _open(self) -> DeliveryPipeline:
        if self._pipeline is None:
            self._pipeline = DeliveryPipeline(
                self.spool, info={"worker": 0}, listener=self, new_sender=lambda _: self._sender
            )
        return self._pipeline

    def durable(self, entries: list[Entry]) -> None:
        """Post that error runs are written (`SpoolListener`)."""
        for made in (produced_item(entry) for entry in entries):
            if made is not None:
                self._post(ErrorRunWritten(made))
        self._tell(entries, LooseState.PROMISED)

    def accepted(self, entries: list[Entry]) -> None:
        """Post that error runs are accepted."""
        self._tell(entries, LooseState.ACCEPTED)
        leases = (item_of(entry.header) for entry in entries)
        self._post(SentOn(accepted=tuple(lease for lease in leases if lease)))

    def refused(self, entry: Entry, reason: str) -> None:
        """Post that an error run is not delivered."""
        self._tell([entry], LooseState.REFUSED, reason)
        lease = item_of(entry.header)
        self._post(SentOn(refused=((*lease, reason),) if lease else ()))

    def failed(self, error: Exception) -> None:
        """Note that the spool cannot be written: the items stay FAILED in the ledger, without a run."""
        self._note(f"an error run could not be written: {error}")

    def _tell(self, entries: list[Entry], state: LooseState, reason: str = "") -> None:
        news = tuple(loose_record(one, state, reason) for one in entries if is_loose(one.header))
        if news:
            self._post(LooseNews(stem_of(self.spool), news))
