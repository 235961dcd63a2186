"""What every engine promises, whatever its workers are: processes of this machine, or scripts in this one."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Protocol

import orjson
import pytest
from langsmith.schemas import TracerSession

from evalrunner.clock import ManualClock
from evalrunner.config import Endpoint, TargetSpec, WorkerConfig
from evalrunner.engines.base import Engine, WorkerProcess
from evalrunner.engines.processes import alive, born
from evalrunner.engines.registry import ENGINES, make_engine
from evalrunner.engines.scripted import FIRST_PID, ScriptedEngine, ScriptedWorker
from evalrunner.errors import UsageError
from evalrunner.protocol.messages import Message
from evalrunner.protocol.orders import Begin, Drain, Lease, LeasedItem
from evalrunner.protocol.reports import Ack, Ready, StartFailed
from evalrunner.protocol.worker import COULD_NOT_START, WorkerOrder
from tests.support.scripts import Diligent

ENDPOINT = Endpoint("http://127.0.0.1:9", "key")
EXAMPLE, DATASET = str(uuid.uuid4()), str(uuid.uuid4())
EXPERIMENT = TracerSession(
    id=uuid.uuid4(),
    start_time=datetime(2026, 11, 20, tzinfo=timezone.utc),
    name="experiment",
    tenant_id=uuid.uuid4(),
    reference_dataset_id=uuid.UUID(DATASET),
)
_OUR_PIPE = """
import gc, threading
from multiprocess.connection import Connection
pipe = next(c for c in gc.get_objects() if isinstance(c, Connection) and c.writable and c.readable)
"""
#: What a worker's target does -> its code, for engines that run code.
CODE = {
    "well": "def target(inputs): return inputs\n",
    "exits with 7": "import os\nos._exit(7)\n",
    "crashes": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "cannot load": "raise RuntimeError('no GPU')\n",
    "hangs": "import threading\ndef target(inputs): threading.Event().wait()\n",
    "babbles": f"{_OUR_PIPE}\npipe.send_bytes(b'hello')\nthreading.Event().wait()\n",
    "leaves something": "import subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
    "def target(inputs): return inputs\n",
}


class Acts(Diligent):
    """The same, for the engine of scripts."""

    def __init__(self, deed: str) -> None:
        super().__init__()
        self.deed = deed

    def born(self, worker: ScriptedWorker) -> None:
        if self.deed in ("exits with 7", "crashes"):
            worker.die(7 if self.deed == "exits with 7" else -signal.SIGSEGV)
        elif self.deed == "cannot load":
            worker.say(StartFailed("RuntimeError: no GPU", "Traceback"))
            worker.die(COULD_NOT_START)
        elif self.deed == "babbles":
            worker.babble("these bytes are no message")
        else:
            worker.left = ["sleep (pid 5)"] if self.deed == "leaves something" else []
            super().born(worker)

    def execute(self, worker: ScriptedWorker, leased: LeasedItem) -> None:
        if self.deed != "hangs":
            super().execute(worker, leased)


class Stage(Protocol):
    """Somewhere to start workers."""

    engine: Engine

    def earlier(self) -> tuple[int, float]:
        """Return pid and birth of a process that a dead supervisor has left."""


class Processes:
    """Real ones."""

    def __init__(self, method: str) -> None:
        self.engine: Engine = make_engine(start_method=method)
        self._earlier: list[subprocess.Popen[bytes]] = []

    def earlier(self) -> tuple[int, float]:
        process = subprocess.Popen(["sleep", "1000"])
        self._earlier.append(process)
        return process.pid, born(process.pid)

    def close(self) -> None:
        for process in self._earlier:
            process.kill()
            process.wait()


class Scripts:
    """Scripts; what they do takes a while to be seen."""

    def __init__(self) -> None:
        self._engine = ScriptedEngine(lambda order: Acts(str(order.spec.target)), ManualClock(), latency=0.04)
        self.engine: Engine = self._engine

    def earlier(self) -> tuple[int, float]:
        self._engine.earlier.add(found := (FIRST_PID, 1e9))
        return found


class Room:
    """Starts workers of a stage over a folder of its own."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.engine, self.folder = stage, stage.engine, folder
        self.started: list[WorkerProcess] = []

    def start(self, deed: str, worker_id: int = 7) -> WorkerProcess:
        """Start a worker that does this."""
        name = f"{deed.replace(' ', '_')}.py"
        (self.folder / name).write_text(CODE[deed])
        target = deed if isinstance(self.stage, Scripts) else f"{name}:target"
        spec = TargetSpec(target=target, folder=self.folder)
        log = self.folder / f"{worker_id}.log"
        order = WorkerOrder(worker_id, worker_id - 5, spec, WorkerConfig(grace=0.1), ENDPOINT, log)
        self.started.append(worker := self.engine.start(order, self.board(worker_id)))
        return worker

    def close(self, worker: WorkerProcess) -> None:
        self.started.remove(worker)
        worker.close()

    def board(self, worker_id: int) -> Path:
        return self.folder / f"{worker_id}.board"

    def begin(self, worker_id: int = 7) -> Begin:
        experiment = orjson.loads(orjson.dumps(EXPERIMENT.model_dump(mode="json")))
        spool, board = str(self.folder / f"{worker_id}.spool"), str(self.board(worker_id))
        return Begin(experiment, spool, board, 1, {"version": "0.14.0"})

    def rang(self, worker: WorkerProcess) -> None:
        """Wait until something has happened to a worker."""
        self.until(lambda: worker in self.engine.wait(1.0), "something happens")

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait for something; nothing else has to be heeded meanwhile."""
        end = time.monotonic() + 60.0
        while not true():
            assert time.monotonic() < end, f"it does not come to be that {what}"
            self.engine.wait(0.01)

    def is_quiet(self) -> bool:
        """Tell whether nobody rings; a bell may come a moment after its message, and is heeded as in a run."""
        rung = self.engine.wait(0.0)
        assert not any(worker.receive() for worker in rung)
        return not rung

    def hear(self, worker: WorkerProcess) -> Message:
        """Return the next message."""
        heard: list[Message] = []

        def hears() -> bool:
            heard.extend(worker.receive())
            return bool(heard)

        self.until(hears, "it speaks")
        assert len(heard) == 1
        return heard[0]

    def ended(self, worker: WorkerProcess) -> int | None:
        """Return how it ended, when it has."""
        self.until(lambda: worker.exitcode() is not None, "it ends")
        return worker.exitcode()


@pytest.fixture(params=["forkserver", "spawn", "scripts"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    with contextlib.ExitStack() as stack:
        if request.param == "scripts":
            made = Room(Scripts(), tmp_path)
        else:
            stage = Processes(request.param)
            stack.callback(stage.close)
            made = Room(stage, tmp_path)
        yield made
        for worker in list(made.started):
            worker.kill()
            worker.join(10)
            made.close(worker)
        made.engine.end_leftovers()
        made.engine.close()


def test_an_order_is_handed_over_a_report_heard_and_an_end_noticed(room: Room) -> None:
    worker = room.start("well")
    assert (worker.worker_id, worker.slot) == (7, 2)
    ready = room.hear(worker)
    assert isinstance(ready, Ready)
    assert ready.pid == worker.pid
    assert worker.born > 0
    assert worker.exitcode() is None
    assert worker.receive() == []
    worker.send(room.begin())
    worker.send(Drain())
    assert isinstance(room.hear(worker), Ack)
    assert room.ended(worker) == 0
    assert worker.how_it_ended() == "exited with status 0"
    assert worker.last_words() == []
    worker.send(Drain())  # a worker that is gone loses an order without an error
    assert worker.receive() == []


def test_whoever_has_nothing_to_say_is_not_returned(room: Room) -> None:
    silent, other = room.start("well", 7), room.start("well", 8)
    for worker in (silent, other):
        assert isinstance(room.hear(worker), Ready)
    room.until(room.is_quiet, "what they have said has been taken")
    other.send(room.begin(8))
    other.send(Drain())
    assert isinstance(room.hear(other), Ack)
    room.ended(other)
    assert room.engine.wait(1.0) == [other]
    assert room.engine.wait(1.0) == [other], "whoever has ended is returned until it is closed"
    room.close(other)
    assert room.engine.wait(0.0) == []


def test_a_killed_worker_is_known_dead(room: Room) -> None:
    worker = room.start("well")
    assert isinstance(room.hear(worker), Ready)
    usage = worker.usage()
    assert usage is not None
    assert usage.rss > 0
    assert not usage.stopped
    worker.kill()
    room.rang(worker)
    assert room.ended(worker) == -signal.SIGKILL
    assert worker.how_it_ended().startswith("was killed by SIGKILL")
    assert worker.usage() is None
    worker.kill()  # once more does no harm
    assert worker.join(0.0)


def test_its_end_can_be_waited_for(room: Room) -> None:
    worker = room.start("well")
    assert isinstance(room.hear(worker), Ready)
    assert not worker.join(0.01)
    worker.kill()
    assert worker.join(10)
    assert worker.exitcode() == -signal.SIGKILL


def test_what_it_said_before_its_death_is_not_lost(room: Room) -> None:
    worker = room.start("well")
    room.rang(worker)  # and not listened to
    worker.kill()
    assert worker.join(10)
    assert [type(message) for message in worker.last_words()] == [Ready]
    assert worker.last_words() == []


@pytest.mark.parametrize(
    ("deed", "code", "how"),
    [
        ("exits with 7", 7, "exited with status 7"),
        ("crashes", -signal.SIGSEGV, "was killed by SIGSEGV"),
        ("cannot load", COULD_NOT_START, f"exited with status {COULD_NOT_START}"),
    ],
)
def test_how_a_worker_ended_is_known_by_name(room: Room, deed: str, code: int, how: str) -> None:
    worker = room.start(deed)
    assert room.ended(worker) == code
    assert worker.how_it_ended() == how


def test_a_worker_that_cannot_load_says_why(room: Room) -> None:
    failed = room.hear(room.start("cannot load"))
    assert isinstance(failed, StartFailed)
    assert "RuntimeError: no GPU" in failed.error


def test_what_is_no_message_is_known_for_what_it_is(room: Room) -> None:
    worker = room.start("babbles")
    room.rang(worker)
    room.until(lambda: bool(worker.broken), "it is not understood")
    assert "these bytes are no message" in worker.broken
    assert worker.receive() == []
    assert worker.exitcode() is None


def test_what_it_executes_is_known_also_after_its_death(room: Room) -> None:
    worker = room.start("hangs")
    assert isinstance(room.hear(worker), Ready)
    assert worker.executing() == {}
    example = {"id": EXAMPLE, "dataset_id": DATASET, "inputs": {"x": 1}, "outputs": {}, "metadata": {}}
    worker.send(room.begin())
    worker.send(Lease([LeasedItem(3, 1, example, 0, 1, str(uuid.uuid4()))]))
    room.until(lambda: list(worker.executing()) == [3], "it executes item 3")
    began = worker.executing()[3]
    worker.kill()
    assert worker.join(10)
    assert worker.executing() == {3: began}


def test_what_its_target_has_left_running_is_ended(room: Room) -> None:
    worker, other = room.start("leaves something", 7), room.start("leaves something", 8)
    for one in (worker, other):
        assert isinstance(room.hear(one), Ready)
    worker.kill()
    assert worker.join(10)
    room.close(worker)
    assert [name.partition(" ")[0] for name in room.engine.end_leftovers(7)] == ["sleep"]
    assert room.engine.end_leftovers(7) == []
    assert other.exitcode() is None
    assert [name.partition(" ")[0] for name in room.engine.end_leftovers()] == ["sleep"]
    assert other.exitcode() is None, "it lives: only what it has left is ended"


def test_workers_of_a_dead_supervisor_are_ended_and_nobody_who_has_their_pid_now(room: Room) -> None:
    pid, birth = room.stage.earlier()
    assert room.engine.end_earlier([(pid, birth - 50.0)]) == 0
    assert room.engine.end_earlier([(pid, birth)]) == 1
    assert not alive(pid, birth)
    assert room.engine.end_earlier([(pid, birth)]) in (0, 1), "a zombie may be found, and is dead"


def test_an_engine_is_chosen_by_name_and_a_wrong_name_is_one_sentence() -> None:
    for name in ENGINES:
        engine = make_engine(name, start_method="spawn")
        assert engine.wait(0.0) == []
        engine.close()
    with pytest.raises(UsageError, match=r"^there is no engine 'lokal'; there is local$"):
        make_engine("lokal")
