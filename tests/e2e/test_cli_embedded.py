"""The embedded backend's life: started once, shared, replaced when dead, gone when nobody needs it.

Every process here is real; the ends of processes are waited for by pidfd, never by sleeping.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from evalrunner.connect.embedded import Embedded
from evalrunner.connect.embedded_server import IDLE, Idle
from evalrunner.connect.state import Server, State
from evalrunner.engines.processes import alive, born
from evalrunner.errors import ServiceError, UsageError

HOLDER = """
import sys
from pathlib import Path
from evalrunner.connect.embedded import Embedded
with Embedded(Path(sys.argv[1])) as endpoint:
    print(endpoint.url, endpoint.key, flush=True)
    sys.stdin.read()
"""


@dataclass
class Held:
    """A process that uses the backend until its stdin is closed."""

    process: subprocess.Popen[str]
    url: str = ""
    key: str = ""

    def ready(self) -> Held:
        assert self.process.stdout is not None
        self.url, self.key = self.process.stdout.readline().split()
        return self

    def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=60) == 0

    def info(self) -> int:
        return requests.get(f"{self.url}/info", headers={"x-api-key": self.key}, timeout=60).status_code


Start = Callable[[], Held]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / ".evalrunner" / "store.sqlite"


@pytest.fixture
def start(store: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def begin() -> Held:
            process = stack.enter_context(_holder(store))
            return Held(process)

        yield begin


@contextmanager
def _holder(store: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def server_of(store: Path) -> Server:
    server = State.of(store).server()
    assert server is not None
    return server


def ended(pid: int, *, within: float = 15.0) -> bool:
    """Wait for any process to end, ours or not, reaped or not."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], within)[0])
    finally:
        os.close(descriptor)


def test_it_is_private_and_answers_only_to_its_token(store: Path, start: Start) -> None:
    held = start().ready()
    server = server_of(store)
    assert held.info() == 200
    assert requests.get(f"{held.url}/sessions", headers={"x-api-key": "no"}, timeout=60).status_code == 401
    folder = store.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"
    assert (folder / "server.json").stat().st_mode & 0o777 == 0o600
    arguments = (
        Path(f"/proc/{server.pid}/cmdline").read_text()
        + Path(f"/proc/{held.process.pid}/cmdline").read_text()
    )
    assert server.token not in arguments
    assert server.token not in (folder / "backend.log").read_text()
    assert server.token not in repr(server)


def test_two_commands_at_once_share_one_server(store: Path, start: Start) -> None:
    first, second = start(), start()
    assert first.ready().url == second.ready().url
    assert first.key == second.key
    pid = server_of(store).pid
    first.leave()
    assert second.info() == 200
    second.leave()
    assert ended(pid)
    assert State.of(store).server() is None


def test_it_ends_when_its_user_is_killed(store: Path, start: Start) -> None:
    held = start().ready()
    pid = server_of(store).pid
    held.process.send_signal(signal.SIGKILL)
    assert ended(pid)
    assert not (store.parent / "server.json").exists()
    assert list((store.parent / "tenants").iterdir()) == []


def test_ctrl_c_ends_the_command_and_not_the_server(store: Path, start: Start) -> None:
    held, other = start().ready(), start().ready()
    os.killpg(held.process.pid, signal.SIGINT)
    assert held.process.wait(timeout=60) != 0
    assert other.info() == 200


def test_a_killed_server_is_replaced(store: Path, start: Start) -> None:
    start().ready()
    first = server_of(store)
    os.kill(first.pid, signal.SIGKILL)
    assert ended(first.pid)
    second = start().ready()
    assert second.info() == 200
    assert server_of(store).pid != first.pid


def test_what_was_stored_is_there_for_the_next_server(store: Path, start: Start) -> None:
    held = start().ready()
    headers = {"x-api-key": held.key}
    made = requests.post(f"{held.url}/sessions", json={"name": "kept"}, headers=headers, timeout=60)
    assert made.ok
    pid = server_of(store).pid
    held.leave()
    assert ended(pid)
    held = start().ready()
    found = requests.get(f"{held.url}/sessions?name=kept", headers={"x-api-key": held.key}, timeout=60).json()
    assert [one["id"] for one in found] == [made.json()["id"]]


def _dead(server: Server) -> Server:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return replace(server, pid=process.pid)


@pytest.mark.parametrize(
    "change",
    [
        _dead,
        lambda server: replace(server, birth=server.birth - 100),
        lambda server: replace(server, host="another-host"),
    ],
    ids=["pid is dead", "pid is somebody else's", "another host, and the store is free"],
)
def test_a_stale_announcement_is_replaced(
    store: Path, start: Start, change: Callable[[Server], Server]
) -> None:
    state = State.of(store)
    state.prepare()
    ours = Server("http://127.0.0.1:9", os.getpid(), born(), os.uname().nodename, str(store), "t" * 32)
    state.announce(change(ours))
    assert start().ready().info() == 200


def test_half_an_announcement_is_none(store: Path, start: Start) -> None:
    State.of(store).prepare()
    (store.parent / "server.json").write_text('{"url": "http')
    assert start().ready().info() == 200


def test_a_store_that_is_served_on_another_host_is_left_alone(store: Path, start: Start) -> None:
    start().ready()
    state = State.of(store)
    state.announce(replace(server_of(store), host="another-host"))
    with pytest.raises(ServiceError, match=r"is served on another-host .*--store"), Embedded(store):
        pass


def test_a_server_that_hangs_with_users_is_reported_and_without_them_replaced(
    store: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalrunner.connect.embedded._ANSWER_TIMEOUT", 0.2)
    held = start().ready()
    pid = server_of(store).pid
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ServiceError, match=f"pid {held.process.pid} still uses it"), Embedded(store):
        pass
    held.process.kill()
    held.process.wait()
    with Embedded(store) as endpoint:
        assert endpoint.url != held.url
    assert ended(pid)


def test_a_store_that_is_none_is_one_sentence_with_the_log(store: Path) -> None:
    State.of(store).prepare()
    store.write_bytes(b"this is no database" * 100)
    with pytest.raises(ServiceError, match=r"ended at once .*; its log: .*backend.log"), Embedded(store):
        pass
    assert State.of(store).tenants() == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / ".evalrunner").write_text("in the way")
    store = tmp_path / ".evalrunner" / "store.sqlite"
    with pytest.raises(UsageError, match="cannot write in"), Embedded(store):
        pass


def test_other_stores_have_folders_of_their_own(tmp_path: Path) -> None:
    assert State.of(tmp_path / ".evalrunner" / "store.sqlite").folder == tmp_path / ".evalrunner"
    assert State.of(tmp_path / "x.sqlite").folder == tmp_path / "x.sqlite.d"


class Hands:
    """A clock that is moved by hand."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def utcnow(self) -> Any:
        raise NotImplementedError


def test_idle_counts_from_the_last_user_and_asks_again_under_the_lock(store: Path) -> None:
    state, clock = State.of(store), Hands()
    state.prepare()
    state.announce(Server("u", os.getpid(), born(), "h", "s", "t"))
    idle = Idle(state, clock)
    tenant = state.enter()
    assert not idle()
    clock.now += 10 * IDLE
    assert not idle(), "a user is alive"
    tenant.unlink()
    assert not idle(), "nobody since just now"
    clock.now += IDLE
    with state.lock("server.lock", wait=0.0) as held:
        assert held
        assert not idle(), "somebody is just coming"
    assert state.server() is not None
    assert idle()
    assert state.server() is None


def test_zombies_and_strangers_are_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        birth = psutil.Process(process.pid).create_time()
        assert alive(process.pid, birth)
        assert not alive(process.pid, birth + 60)
        process.kill()
        assert ended(process.pid)
        assert not alive(process.pid, birth), "killed and not yet reaped"


def test_locks_wait_no_longer_than_told(store: Path) -> None:
    state = State.of(store)
    state.prepare()
    with state.lock("server.lock", wait=0.0) as first, state.lock("server.lock", wait=0.05) as second:
        assert (first, second) == (True, False)
    with state.lock("server.lock", wait=0.0) as third:
        assert third


def test_server_json_is_readable_by_programmes(store: Path, start: Start) -> None:
    held = start().ready()
    told = json.loads((store.parent / "server.json").read_text())
    assert (told["url"], told["token"]) == (held.url, held.key)
