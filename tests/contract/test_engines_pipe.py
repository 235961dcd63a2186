"""A worker's pipe that its target scribbles on, that nobody reads, or that somebody else holds open."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import pytest

from evalrunner.protocol.orders import Begin, Drain
from evalrunner.protocol.reports import Ready
from tests.support.workers import TARGET, Room, eventually, hear


def open_files() -> set[str]:
    """Every file, pipe and socket that this process has open."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return found


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
        "if not child:\n    os.setsid()\n    time.sleep(30)\n"
        "    open(os.environ['CODE_RUNS_IN'] + '/over', 'w')\n    os._exit(0)\n"
        f"open(os.environ['CODE_RUNS_IN'] + '/child', 'w').write(str(child))\n{TARGET}"
    )
    worker = room.start(code)
    assert isinstance(hear(worker), Ready)
    child = int((room.folder / "child").read_text())
    try:
        worker.kill()
        assert worker.join(120)
        assert not (room.folder / "over").exists(), "it was waited for, too"
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
