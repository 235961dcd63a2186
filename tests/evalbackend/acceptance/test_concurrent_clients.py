"""Sixteen processes write while two readers page through what is there, one by each generation of reads."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from langsmith import Client

from tests.evalbackend.acceptance import writers
from tests.evalbackend.acceptance.world import LONG_AGO, QUIET
from tests.support.backend import TOKEN, Backend, Process, eventually

pytestmark = QUIET
PROJECT, WRITERS, TRACES = "crowded", 16, 30
EXPECTED = {
    str(made(PROJECT, writer, number))
    for writer in range(WRITERS)
    for number in range(TRACES)
    for made in (writers.trace_id, writers.child_id)
}


class Reader(threading.Thread):
    """Reads all pages, again and again, until told to stop; keeps how many runs each pass saw, or what was wrong."""

    def __init__(self, read: Callable[[], list[str]]) -> None:
        super().__init__()
        self.read, self.once, self.enough = read, threading.Event(), threading.Event()
        self.passes: list[int] = []
        self.wrong: list[str] = []

    def run(self) -> None:
        """Page through; what was there once must stay, nothing may come twice or from nowhere."""
        before: set[str] = set()
        try:
            while not self.enough.is_set():
                ids = self.read()
                told = (len(ids) - len(set(ids)), len(before - set(ids)), len(set(ids) - EXPECTED))
                if any(told):
                    self.wrong.append("twice {}, gone {}, strange {}".format(*told))
                before = set(ids)
                self.passes.append(len(ids))
                self.once.set()
        except Exception as error:  # whatever it is, the test is to show it
            self.wrong.append(repr(error))
        finally:
            self.once.set()


def read_older(client: Client) -> list[str]:
    return [str(run.id) for run in client.list_runs(project_name=PROJECT, select=["id"])]


def read_v2(client: Client, session: str) -> list[str]:
    api = client._get_langsmith_api_sync().runs
    return [
        str(run.id) for run in api.query_v2(project_ids=[session], min_start_time=LONG_AGO, page_size=100)
    ]


def test_sixteen_write_while_two_read(tmp_path: Path) -> None:
    server = Process(tmp_path / "backend.db")
    try:
        with server.backend.client() as one, server.backend.client() as two:
            session = str(one.create_project(PROJECT).id)
            readers = [Reader(lambda: read_older(one)), Reader(lambda: read_v2(two, session))]
            _write_beside(server.backend, readers)
            for reader in readers:
                assert reader.wrong == []
                assert reader.passes == sorted(reader.passes)
                assert reader.passes[0] == 0
            _check_all(one, session)
            assert set(read_v2(two, session)) == EXPECTED
    finally:
        assert server.terminate() == 0


def _write_beside(backend: Backend, readers: list[Reader]) -> None:
    for reader in readers:
        reader.start()
    try:
        assert all(reader.once.wait(60) for reader in readers)
        command = [sys.executable, writers.__file__, backend.url, TOKEN, PROJECT, str(WRITERS), str(TRACES)]
        ended = subprocess.run(command, timeout=240, check=False, capture_output=True, text=True)
        assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    finally:
        for reader in readers:
            reader.enough.set()
            reader.join(60)


def _check_all(client: Client, session: str) -> None:
    runs = eventually(
        lambda: list(client.list_runs(project_id=session)), lambda found: len(found) == len(EXPECTED)
    )
    assert {str(run.id) for run in runs} == EXPECTED
    assert {run.status for run in runs} == {"success"}
    for run in runs:
        if run.parent_run_id is None:
            number, writer = run.inputs["number"], run.inputs["writer"]
            assert run.id == writers.trace_id(PROJECT, writer, number)
            assert run.outputs == {"by": writer}
    assert client.read_project(project_id=session, include_stats=True).run_count == WRITERS * TRACES
