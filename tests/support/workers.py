"""Worker processes on this machine over a folder of their own, and what is heard of them."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import orjson
import psutil
from langsmith.schemas import TracerSession
from multiprocess.connection import wait

from evalrunner.config import Endpoint, TargetSpec, WorkerConfig
from evalrunner.engines.local import LocalEngine
from evalrunner.engines.local_worker import LocalWorker
from evalrunner.protocol.messages import Message
from evalrunner.protocol.orders import Begin
from evalrunner.protocol.worker import WorkerOrder

ENDPOINT = Endpoint("http://127.0.0.1:9", "key")
EXPERIMENT = TracerSession(
    id=uuid.uuid4(),
    start_time=datetime(2026, 11, 20, tzinfo=timezone.utc),
    name="experiment",
    tenant_id=uuid.uuid4(),
    reference_dataset_id=uuid.uuid4(),
)
TARGET = """
import os
def target(inputs): return inputs
def exact(outputs): return True
print("loaded by", os.environ.get("EVALRUNNER_WORKER_ID"))
"""


class Room:
    """Starts workers over a folder of its own."""

    def __init__(self, method: str, folder: Path) -> None:
        self.engine = LocalEngine(method)
        self.folder = folder
        self.started: list[LocalWorker] = []
        self.log = folder / "worker.log"

    def start(self, code: str = TARGET, name: str = "mine.py:target", **spec: Any) -> LocalWorker:
        (self.folder / "mine.py").write_text(code)
        facts: dict[str, Any] = {"target": name, "evaluators": ("mine.py:exact",), **spec}
        plan = WorkerOrder(
            7,
            2,
            TargetSpec(folder=self.folder, **facts),
            WorkerConfig(grace=0.1),
            ENDPOINT,
            self.log,
            env={"EVALRUNNER_WORKER_ID": "2", "CODE_RUNS_IN": str(self.folder)},
        )
        worker = self.engine.start(plan)
        self.started.append(worker)
        return worker

    def begin(self) -> Begin:
        experiment = orjson.loads(orjson.dumps(EXPERIMENT.model_dump(mode="json")))
        return Begin(
            experiment, str(self.folder / "spool"), str(self.folder / "board"), 1, {"version": "0.14.0"}
        )


#: What came together with a message that was asked for: one reading may find several, or a message and the end.
_heard: WeakKeyDictionary[LocalWorker, deque[Message]] = WeakKeyDictionary()


def hear(worker: LocalWorker, seconds: float = 60.0) -> Message | None:
    """The next message, or None at the end of the pipe."""
    heard = _heard.setdefault(worker, deque())
    while not heard and not worker.ended:
        assert wait([worker.channel], timeout=seconds), "the worker says nothing"
        heard.extend(worker.receive())
    return heard.popleft() if heard else None


def ended(worker: LocalWorker, seconds: float = 60.0) -> int | None:
    assert wait([worker.sentinel], timeout=seconds), "the worker does not end"
    # Its end of the pipe closes a moment before the kernel lets us wait for it.
    assert eventually(lambda: worker.exitcode() is not None, 60)
    return worker.exitcode()


def eventually(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        os.sched_yield()
    return true()


def is_gone(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True
