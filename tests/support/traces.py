"""A book of traces with a real client that records into it, and what came out, as the server would read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import orjson
from langsmith import traceable
from langsmith.run_helpers import tracing_context
from langsmith.schemas import LangSmithInfo

from evalrunner.delivery.capture.items import CURRENT, ItemTrace
from evalrunner.delivery.capture.sdk import RecordingClient
from evalrunner.delivery.capture.traces import TraceBook
from evalrunner.delivery.spool.record import Operation

SESSION = uuid4()
#: A port that nothing listens on: whatever would be sent after all, fails.
NOWHERE = "http://127.0.0.1:9"


class Wire:
    """One operation, as the server would read it."""

    def __init__(self, operation: Operation) -> None:
        self.kind, self.id, parts = operation
        head = f"{self.kind}.{self.id}"
        self.fields: dict[str, Any] = {}
        self.attachments: dict[str, tuple[str, bytes]] = {}
        for name, mime, data in parts:
            if name.startswith("attachment."):
                self.attachments[name.removeprefix(f"attachment.{self.id}.")] = (mime, data)
            elif name == head:
                self.fields.update(orjson.loads(data))
            else:
                self.fields[name.removeprefix(f"{head}.")] = orjson.loads(data)

    def __getitem__(self, name: str) -> Any:
        return self.fields.get(name)


class Bench:
    """A book, a real client that records into it, and what came out loose."""

    def __init__(self, *, live: bool = False) -> None:
        self.emitted: list[Wire] = []
        self.book = TraceBook(self.emit, open_live=(lambda _, posts: self.emit(posts)) if live else None)
        self.client = RecordingClient(
            self.book,
            api_url=NOWHERE,
            api_key="key",
            info=LangSmithInfo(version="0.14.0"),
            tracing_sampling_rate=1.0,
        )

    def emit(self, operations: list[Operation]) -> None:
        self.emitted += map(Wire, operations)

    def open(self, item: int = 0, run_id: UUID | None = None) -> ItemTrace:
        opened = self.book.open(item, 1, run_id or uuid4())
        CURRENT.set(opened)
        return opened

    def close(self, item: ItemTrace) -> list[Wire]:
        wires = [Wire(operation) for operation in self.book.close(item)]
        CURRENT.set(None)
        return wires

    def extra(self, item: ItemTrace, **more: Any) -> Any:
        return {"run_id": item.run_id, "client": self.client, "reference_example_id": uuid4(), **more}

    def score(self, run_id: UUID, key: str = "exact", **more: Any) -> Any:
        facts = {"score": 1, "trace_id": run_id, "session_id": SESSION, **more}
        return self.client.create_feedback(run_id, key, **facts)


def benches(*, live: bool) -> Iterator[Bench]:
    made = Bench(live=live)
    with tracing_context(enabled=True, client=made.client, project_name="experiment"):
        yield made
    CURRENT.set(None)


@traceable
def double(x: int) -> int:
    return 2 * x


@traceable(run_type="tool")
def twice(x: int) -> int:
    return double(double(x))
