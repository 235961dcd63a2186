"""Worker processes on this machine, with the real worker in them; test_engines.py has what every engine promises."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import orjson
import psutil
import pytest
from langsmith.schemas import TracerSession
from multiprocess.connection import wait

from evalrunner.config import Endpoint, TargetSpec, WorkerConfig
from evalrunner.delivery.spool import writer as spool
from evalrunner.engines.local import LocalEngine
from evalrunner.engines.local_worker import LocalWorker
from evalrunner.pickling.carry import pickle_objects
from evalrunner.protocol.messages import Message
from evalrunner.protocol.orders import Begin, Drain
from evalrunner.protocol.reports import Ack, Ready, SettingUp, StartFailed
from evalrunner.protocol.worker import COULD_NOT_START, WorkerOrder, exit_reason

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


@pytest.fixture(scope="module", params=["forkserver", "spawn"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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


@pytest.fixture
def room(method: str, tmp_path: Path) -> Iterator[Room]:
    made = Room(method, tmp_path)
    yield made
    for worker in made.started:
        worker.kill()
        worker.close()
    made.engine.close()


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


def open_files() -> set[str]:
    """Every file, pipe and socket that this process has open."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return found


def is_gone(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    return True


# -- a life ------------------------------------------------------------------------------------------


def test_a_worker_loads_works_acknowledges_and_leaves(room: Room) -> None:
    worker = room.start()
    assert (worker.worker_id, worker.slot) == (7, 2)
    ready = hear(worker)
    assert ready == Ready(worker.pid, 1, {"exact": ["exact"]})
    assert worker.pid != os.getpid()
    assert worker.exitcode() is None
    assert worker.receive() == []
    assert wait([worker.sentinel], timeout=0) == []
    worker.send(room.begin())
    worker.send(Drain())
    ack = hear(worker)
    assert isinstance(ack, Ack)
    assert ack == Ack(outside=0, undelivered=0)
    assert ended(worker) == 0
    assert exit_reason(worker.exitcode()) == "exited with status 0"
    assert hear(worker) is None
    assert spool.read(room.folder / "spool").info["pid"] == worker.pid
    assert room.log.read_text().startswith("loaded by 2\n")
    worker.send(Drain())  # a worker that is gone loses an order without an error
    assert worker.receive() == []


def test_its_output_and_its_input_are_not_ours(room: Room, capfd: pytest.CaptureFixture[str]) -> None:
    code = f"import sys\nprint('out'); print('err', file=sys.stderr)\nassert sys.stdin.read() == ''\n{TARGET}"
    assert isinstance(hear(room.start(code)), Ready)
    assert {"out", "err"} <= set(room.log.read_text().splitlines())
    assert room.log.stat().st_mode & 0o777 == 0o600
    assert capfd.readouterr() == ("", "")


def test_a_killed_worker_is_known_dead_and_so_is_what_its_target_has_started(room: Room) -> None:
    code = (
        "import subprocess, os\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        f"open(os.environ['CODE_RUNS_IN'] + '/child', 'w').write(str(child.pid))\n{TARGET}"
    )
    worker = room.start(code)
    assert isinstance(hear(worker), Ready)
    child = int((room.folder / "child").read_text())
    assert not is_gone(child)
    worker.kill()
    assert worker.join(10)
    assert worker.exitcode() == -signal.SIGKILL
    assert exit_reason(worker.exitcode()) == "was killed by SIGKILL"
    assert wait([worker.sentinel], timeout=60) == [worker.sentinel]
    assert is_gone(worker.pid)
    assert eventually(lambda: is_gone(child), 60)
    assert hear(worker) is None
    worker.kill()  # once more does no harm


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("os._exit(7)", "exited with status 7"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
        # The supervisor says when a worker ends, not whoever ends the whole job.
        ("os.kill(os.getpid(), signal.SIGTERM); os._exit(9)", "exited with status 9"),
    ],
)
def test_how_a_worker_ended_is_known_by_name(room: Room, code: str, how: str) -> None:
    worker = room.start(f"import os, signal\n{code}\n")
    ended(worker)
    assert exit_reason(worker.exitcode()) == how
    assert hear(worker) is None


@pytest.mark.parametrize(
    ("code", "name", "said"),
    [
        (TARGET, "mine.py:tarjet", "has no 'tarjet'; did you mean target"),
        (TARGET, "no_such:target", "there is no module 'no_such'"),
        ("raise RuntimeError('no GPU')", "mine.py:target", "RuntimeError: no GPU (the traceback is in "),
        ("import sys; sys.exit('bye')", "mine.py:target", "SystemExit: bye"),
    ],
)
def test_a_worker_that_cannot_load_says_why_and_leaves_with_its_own_status(
    room: Room, code: str, name: str, said: str
) -> None:
    worker = room.start(code, name)
    failed = hear(worker)
    assert isinstance(failed, StartFailed)
    assert said in failed.error
    assert "Traceback" in failed.traceback
    assert ended(worker) == COULD_NOT_START


def test_a_lambda_is_carried_by_value(room: Room) -> None:
    note = str(room.folder / "note")

    def make() -> Callable[[Any], Any]:
        with open(note, "w") as file:
            file.write(str(os.getpid()))
        return lambda inputs: inputs

    worker = room.start(
        target=None, evaluators=(), factory=True, pickled=pickle_objects(make, [lambda run: 1], [])
    )
    assert hear(worker) == SettingUp()
    ready = hear(worker)
    assert isinstance(ready, Ready)
    assert list(ready.evaluators) == ["<lambda>"]
    assert Path(note).read_text() == str(worker.pid)


def test_a_worker_that_is_stuck_writes_its_stacks(room: Room) -> None:
    worker = room.start("import threading\nprint('stuck', flush=True)\nthreading.Event().wait()\n")
    assert eventually(lambda: room.log.exists() and "stuck" in room.log.read_text(), 30)

    def dumped() -> bool:
        worker.dump_stack()  # the first one may find it on its way out of print()
        return 'mine.py", line 3 in <module>' in room.log.read_text()

    assert eventually(dumped, 60)
    assert worker.exitcode() is None


_OUR_PIPE = """
import gc, os, socket, threading
from multiprocess.connection import Connection
pipe = next(c for c in gc.get_objects() if isinstance(c, Connection) and c.writable and c.readable)
"""


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        ("pipe.send_bytes(b'no message')", "these bytes are no message"),
        ("os.write(pipe.fileno(), b'hello, world')", "announces a message of 1751477356 bytes"),
        ("os.write(pipe.fileno(), b'\\xff\\xff\\xff\\xff' + bytes(8))", "announces a message of -1 bytes"),
        ('pipe.send_bytes(b\'["Ready", {"pid": "x", "concurrency": 1}]\')', "of the wrong type"),
    ],
)
def test_what_a_target_scribbles_on_the_pipe_is_known_for_what_it_is(
    room: Room, deed: str, said: str
) -> None:
    worker = room.start(f"{_OUR_PIPE}{deed}\nthreading.Event().wait()\n")
    assert hear(worker) is None
    assert said in worker.broken
    assert worker.ended


def test_half_a_message_holds_up_nobody(room: Room) -> None:
    worker = room.start(
        f"{_OUR_PIPE}os.write(pipe.fileno(), bytes([0, 0, 1, 0]) + b'half')\nprint('half', flush=True)\n"
        "threading.Event().wait()\n"
    )
    assert eventually(lambda: room.log.exists() and "half" in room.log.read_text(), 30)
    assert worker.receive() == []
    worker.send(Drain())
    assert worker.broken == ""
    worker.kill()
    assert worker.join(10)
    assert worker.last_words() == []


def test_orders_to_a_worker_that_takes_none_hold_up_nobody(room: Room) -> None:
    worker = room.start()
    assert isinstance(hear(worker), Ready)
    os.kill(worker.pid, signal.SIGSTOP)
    order = room.begin()
    for _ in range(50):
        worker.send(Begin(order.experiment, "x" * 100_000, order.board, 1, {}))
    worker.kill()
    assert worker.join(10)


def test_no_thread_and_no_descriptor_is_left_of_a_dead_worker_whose_child_holds_its_pipe(room: Room) -> None:
    """A process that the target has forked, and that lives on in a session of its own, has a copy of the pipe."""
    first = room.start()  # the engine's own descriptors are open from here on
    assert isinstance(hear(first), Ready)
    threads, files = set(threading.enumerate()), open_files()
    code = (
        f"{_OUR_PIPE}\nimport time\n"
        "child = os.fork()\n"
        "if not child:\n    os.setsid()\n    time.sleep(1000)\n"
        f"open(os.environ['CODE_RUNS_IN'] + '/child', 'w').write(str(child))\n{TARGET}"
    )
    worker = room.start(code)
    assert isinstance(hear(worker), Ready)
    child = int((room.folder / "child").read_text())
    try:
        worker.kill()
        assert worker.join(10)
        worker.last_words()
        worker.close()
        room.started.remove(worker)
        assert set(threading.enumerate()) <= threads
        assert open_files() <= files, (
            "fewer there may be: what other tests have left is collected at any time"
        )
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def test_a_target_that_writes_into_every_descriptor_spoils_its_own_worker_only(
    room: Room, capfd: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import os, threading\n"
        "for fd in range(3, 4096):\n"
        "    try: os.write(fd, b'garbage in every pipe')\n"
        "    except OSError: pass\n"
        "threading.Event().wait()\n"
    )
    worker = room.start(code)
    assert hear(worker) is None
    assert "announces a message" in worker.broken
    assert worker.exitcode() is None
    worker.kill()
    assert worker.join(10)
    assert isinstance(hear(room.start()), Ready)
    assert capfd.readouterr() == ("", "")


def test_a_default_timeout_of_the_users_script_is_not_ours(room: Room) -> None:
    socket.setdefaulttimeout(0.01)
    try:
        worker = room.start()
        assert isinstance(hear(worker), Ready)
        worker.send(room.begin())
        worker.send(Drain())
        assert isinstance(hear(worker), Ack)
    finally:
        socket.setdefaulttimeout(None)


# -- scripts -----------------------------------------------------------------------------------------

_SCRIPT = """
import sys
from pathlib import Path
from multiprocess.connection import wait
from evalrunner.config import Endpoint, TargetSpec, WorkerConfig
from evalrunner.protocol.worker import WorkerOrder
from evalrunner.engines.local import LocalEngine
from evalrunner.pickling.carry import pickle_objects

print("main runs", flush=True)
factor = 3

def make():
    {body}
    return lambda inputs: factor * inputs["x"]

data = pickle_objects(make, [], [])
spec = TargetSpec(None, factory=True, pickled=data, folder=Path(sys.argv[2]))
plan = WorkerOrder(1, 0, spec, WorkerConfig(), Endpoint("http://127.0.0.1:9", "key"), Path(sys.argv[2]) / "log")
worker = LocalEngine(sys.argv[1]).start(plan)
print(worker.pid, flush=True)
{after}
"""


#: Prints what it says until it is ready: that it sets up comes before, alone or with it.
_HEAR = """
said = []
while not said or type(said[-1]).__name__ != "Ready":
    wait([worker.channel], 30)
    said += worker.receive()
print(said, flush=True)
"""


def script(method: str, folder: Path, body: str, after: str) -> subprocess.Popen[str]:
    path = folder / "script.py"
    path.write_text(_SCRIPT.format(body=body, after=after))
    command = [sys.executable, str(path), method, str(folder)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_script_without_a_guard_is_not_run_again_by_its_workers(method: str, tmp_path: Path) -> None:
    after = f"{_HEAR}\nworker.kill(); worker.close()"
    with script(method, tmp_path, "print('made')", after) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.count("main runs") == 1
    assert "Ready(" in out
    log = (tmp_path / "log").read_text()
    assert "made" in log
    assert "main runs" not in log


@pytest.mark.parametrize(
    "body",
    ["pass", "import re; print('busy', flush=True); re.match('(a+)+$', 'a' * 99 + 'b')"],
    ids=["waiting", "stuck in C with the GIL"],
)
def test_a_worker_dies_with_its_supervisor(method: str, tmp_path: Path, body: str) -> None:
    wanted = "busy" if "busy" in body else "Ready"
    after = _HEAR if wanted == "Ready" else ""
    with script(method, tmp_path, body, f"{after}\nsys.stdin.read()") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "main runs\n"
        pid = int(process.stdout.readline())
        if wanted == "Ready":
            assert "Ready(" in process.stdout.readline()
        else:
            log = tmp_path / "log"
            assert eventually(lambda: log.exists() and "busy" in log.read_text(), 30)
        assert not is_gone(pid)
        process.kill()
        process.wait(60)
        gone = eventually(lambda: is_gone(pid), 30)
        if not gone:
            os.kill(pid, signal.SIGKILL)
        assert gone


HOLDING = """
import os, sys, time
from pathlib import Path
FOLDER = Path(os.environ["CODE_RUNS_IN"])
def target(inputs): return inputs
def exact(outputs): return True
if os.fork() == 0:  # it keeps everything that its parent has open
    os.setsid()
    while not (FOLDER / "over").exists():
        time.sleep(0.01)  # it lives until the test is over
    os._exit(0)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, None], ids=["killed", "leaves"])
def test_the_end_of_a_worker_is_noticed_though_what_it_has_forked_lives_on(
    room: Room, end: signal.Signals | None
) -> None:
    worker = room.start(HOLDING)

    def noticed() -> bool:
        rung = worker in room.engine.wait(0.1)
        if rung:
            worker.receive()
        return rung and worker.exitcode() is not None

    try:
        assert isinstance(hear(worker), Ready)
        if end is not None:
            os.kill(worker.pid, end)
        else:
            worker.send(room.begin())
            worker.send(Drain())
        assert eventually(noticed, 60)
    finally:
        (room.folder / "over").touch()
