"""What a command has left that was killed: a folder, a ledger, spools; and the parts that take it up again."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evalrunner.clock import SYSTEM
from evalrunner.config import RunConfig, TargetSpec
from evalrunner.delivery.capture.failures import error_run
from evalrunner.delivery.spool.record import Header, encode_parts
from evalrunner.delivery.spool.writer import SpoolWriter
from evalrunner.engines.registry import make_engine
from evalrunner.ledger.ledger import Ledger
from evalrunner.ledger.stories import stories
from evalrunner.protocol.ids import root_run_id
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.reports import ProducedItem
from evalrunner.protocol.rows import ItemRow
from evalrunner.supervisor.outcome import Outcome
from evalrunner.supervisor.setup.claim import Claim
from evalrunner.supervisor.setup.dataset import read_examples
from evalrunner.supervisor.setup.folder import RunFolder
from evalrunner.supervisor.setup.link import Link
from evalrunner.supervisor.setup.owner import Owner
from evalrunner.supervisor.setup.plan import Plan
from evalrunner.supervisor.setup.scope import find_scope
from evalrunner.supervisor.shell.context import make_context
from evalrunner.supervisor.shell.progress import Silent
from tests.support.rig import Backend


class Leftover:
    """Over a dataset of `count` examples; items are 1 to `count`.

    Args:
        config: fields of RunConfig.
    """

    def __init__(self, folder: Path, backend: Backend, count: int, **config: Any) -> None:
        self.name = backend.experiment(backend.dataset(count))
        facts: dict[str, Any] = {"spec": TargetSpec("m:t"), "visible_deadline": 30.0, **config}
        self.config = RunConfig(experiment=self.name, **facts)
        self.link = Link.open(backend.endpoint)
        scope = find_scope(self.link.client, self.config)
        self.folder = RunFolder(folder)
        self.ledger = Ledger(self.folder.ledger)
        self.reading = read_examples(
            self.link.client, self.ledger, str(scope.dataset_id), as_of=None, splits=(), limit=None
        )
        self.examples = list(self.reading.ids)
        with self.ledger.transaction():
            self.ledger.add_items((example, 0) for example in self.examples)
            self.ledger.begin_session("then")
            session = self.ledger.begin_session("now")
        self.engine = make_engine(start_method="spawn")
        claim = Claim(scope.experiment_id, Owner.myself(folder, SYSTEM.utcnow(), {}), SYSTEM)
        self.context = make_context(
            self.config,
            self.link,
            self.folder,
            self.ledger,
            session,
            scope,
            claim,
            self.engine,
            Silent(),
            SYSTEM,
        )
        self.readback = self.link.reader(str(scope.experiment_id))

    def lease(self, item: int, token: int, state: ItemState = ItemState.LEASED) -> None:
        self.ledger.move(item, state, token=token, attempt=1, worker=1, session=1)

    def made(self, item: int, token: int) -> ProducedItem:
        """What a worker says of an item that it has made."""
        return ProducedItem(item, token, [str(self._run_id(item))], [], [], "boom", [], 0.0)

    def spool(self, *leases: tuple[int, int], name: str = "000001") -> Path:
        """Write a worker's spool with the traces of these (item, token)."""
        path = self.folder.spool / f"{name}.spool"
        writer = SpoolWriter(path, info={}, on_durable=lambda _: None, on_error=lambda _: None)
        for item, token in leases:
            ops, body = encode_parts(writer.boundary, [self._trace(item).operation()])
            meta = {
                key: value
                for key, value in asdict(self.made(item, token)).items()
                if key not in ("item", "token")
            }
            writer.append(Header(item, token, meta, ops), body)
        writer.close()
        return path

    def _run_id(self, item: int) -> uuid.UUID:
        scope = self.context.scope
        return root_run_id(
            scope.experiment_id, uuid.UUID(self.examples[item - 1]), 0, 1, scope.epoch, scope.salt
        )

    def _trace(self, item: int) -> Any:
        scope = self.context.scope
        return error_run(
            self._run_id(item), name="left", inputs={}, error="boom", example_id=self.examples[item - 1],
            project=scope.name, project_id=scope.experiment_id, at=SYSTEM.utcnow(), metadata={},
        )  # fmt: skip

    def outcome(self, **facts: Any) -> Outcome:
        """An outcome of a run that planned every item."""
        plan = Plan(missing=[(example, 0) for example in self.examples])
        return Outcome(
            self.config, self.context.scope, self.reading, plan, self.ledger, self.folder, self.readback,
            self.context.session, **facts,
        )  # fmt: skip

    def rows(self) -> list[ItemRow]:
        return list(self.ledger.items())

    def states(self) -> list[ItemState]:
        return [row.state for row in self.rows()]

    def story(self, item: int) -> list[str]:
        """What has happened to an item."""
        with stories(self.folder.ledger) as known:
            return [event.what for event in known.of(self.examples[item - 1])[0].events]

    def there(self) -> list[str]:
        """The examples of the experiment's root runs."""
        return sorted(str(root.example_id) for root in self.readback.roots())

    def close(self) -> None:
        self.context.close()
        self.engine.close()
        self.ledger.close()
        self.folder.close()


@contextmanager
def leftover(folder: Path, backend: Backend, count: int, **config: Any) -> Iterator[Leftover]:
    """One whose threads and files are gone in the end."""
    one = Leftover(folder, backend, count, **config)
    try:
        yield one
    finally:
        one.close()
