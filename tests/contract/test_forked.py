"""A copy of the worker that a target forks: it waits for no lock, and does not end its parent's run."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from langsmith.run_helpers import tracing_context
from langsmith.schemas import LangSmithInfo

from evalrunner.delivery.capture.items import CURRENT
from evalrunner.delivery.capture.sdk import RecordingClient
from evalrunner.delivery.capture.traces import TraceBook
from evalrunner.worker.code.containing import end_copy
from evalrunner.worker.code.home import Home
from evalrunner.worker.code.target import Target
from tests.support.rig import wait_until

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def code_of(pid: int) -> int:
    """Return how a child has ended; kill it if it does not."""
    ended: list[int] = []

    def has_ended() -> bool:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            ended.append(os.waitstatus_to_exitcode(status))
        return bool(found)

    try:
        wait_until(has_ended, 30, "the end of a copy")
    except AssertionError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return ended[0]


def in_copy(do: Callable[[], Any]) -> int:
    """Do something in a copy of this process; return how that ends."""
    pid = os.fork()
    if not pid:
        try:
            do()
        finally:
            os._exit(7)
    return code_of(pid)


def run_of(run_id: Any) -> dict[str, Any]:
    return {"id": run_id, "trace_id": run_id, "name": "x", "run_type": "chain", "inputs": {}}


def patched(book: TraceBook) -> None:
    book.patch(run_of(uuid4()))
    os._exit(3)


def test_a_copy_waits_for_no_lock_that_a_thread_held_when_it_was_made() -> None:
    held, release = threading.Event(), threading.Event()

    def hold(*_: Any) -> None:  # live: an opening is published under the book's lock
        held.set()
        release.wait(60)

    book = TraceBook(lambda operations: None, open_live=hold)
    item = book.open(0, 1, uuid4())
    thread = threading.Thread(target=book.post, args=(run_of(item.run_id),))
    thread.start()
    try:
        assert held.wait(60)
        assert in_copy(lambda: patched(book)) == 3
    finally:
        release.set()
        thread.join(60)


class Held:
    """A stream in which a thread is writing."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lock.acquire()

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        self.lock.acquire()


def test_a_copy_waits_for_no_stream_that_a_thread_was_writing_to(monkeypatch: pytest.MonkeyPatch) -> None:
    pid = os.getpid()
    monkeypatch.setattr(sys, "stdout", Held())
    assert in_copy(lambda: end_copy(pid)) == 0
    assert in_copy(lambda: end_copy(pid, SystemExit(5))) == 5


@pytest.mark.parametrize("error", [None, ValueError("in the copy")])
@pytest.mark.parametrize("kind", ["sync", "async", "generator"])
def test_a_copy_ends_where_it_comes_out_of_the_target(kind: str, error: Exception | None) -> None:
    codes: list[int] = []
    reader, writer = os.pipe()

    def fork() -> int:
        if pid := os.fork():
            codes.append(code_of(pid))
        elif error is not None:
            raise error
        return pid

    def sync(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"parent": bool(fork())}

    async def asynchronous(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"parent": bool(fork())}

    def generator(inputs: dict[str, Any]) -> Any:
        yield {"parent": bool(fork())}

    book = TraceBook(lambda operations: None)
    client = RecordingClient(
        book, api_url="http://127.0.0.1:9", api_key="key", info=LangSmithInfo(version="0.14.0"),
        tracing_sampling_rate=1.0,
    )  # fmt: skip

    home = Home()

    async def call() -> None:
        item = book.open(0, 1, uuid4())
        CURRENT.set(item)
        target = Target({"sync": sync, "async": asynchronous, "generator": generator}[kind], home)
        target.open_pool(1)
        extra = {
            "run_id": item.run_id, "client": client, "project_name": "x",
            "metadata": {}, "reference_example_id": str(uuid4()), "on_end": lambda _: os.write(writer, b"ended\n"),
        }  # fmt: skip
        with tracing_context(enabled=True, client=client, project_name="x"):
            await target(({"x": 1},), extra)

    pid = os.getpid()
    try:
        home.live(call())
    finally:
        if os.getpid() != pid:
            os._exit(9)  # no copy is to come out of here
        os.close(writer)
    with os.fdopen(reader) as said:
        assert (said.read(), codes) == ("ended\n", [0 if error is None else 1])
