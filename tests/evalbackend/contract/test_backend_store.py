"""What was answered 2xx is kept: across kills, restarts, and whatever is wrong with the file."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from evalbackend.app import create_app
from evalbackend.errors import StoreError
from evalbackend.serve import serve
from evalbackend.store.db import Store
from tests.support.backend import (
    TOKEN,
    Process,
    body,
    part,
    post,
    run_id,
    running,
)


def test_a_kill_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    store = tmp_path / "new" / "store.db"
    first = Process(store)
    answered: list[str] = []
    enough = threading.Event()

    def send(_: int) -> None:
        while True:
            run = run_id()
            file = part(f"attachment.{run}.f", b"abc", "text/plain")
            try:
                status = first.backend.multipart(body(post(run, "kill", outputs={"o": 1}), file)).status_code
            except requests.RequestException:
                return
            assert status == 202
            answered.append(run)
            if len(answered) > 150:
                enough.set()

    with ThreadPoolExecutor(4) as senders:
        told = senders.map(send, range(4))
        assert enough.wait(60)
        first.kill()
        list(told)
    second = Process(store)
    truth = second.backend.truth("kill")
    assert set(answered) <= set(truth["runs"])
    assert truth["counts"]["complete"] == truth["counts"]["runs"] <= len(answered) + 4
    assert second.backend.multipart(body(post(answered[0], "kill"))).status_code == 409
    entry = second.backend.call("GET", f"/runs/{answered[-1]}").json()["s3_urls"]["attachment.f"]
    assert requests.get(entry["presigned_url"], timeout=60).content == b"abc"
    assert second.terminate() == 0
    assert not Path(f"{store}-wal").exists()


def _naming(name: str) -> Callable[[sqlite3.Connection], None]:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO sessions (id, name, start_time) VALUES (?1, ?1, '')", (name,))
        if name.startswith("bad"):
            raise ValueError(name)

    return work


def test_a_write_that_fails_is_undone_whether_alone_or_among_others(tmp_path: Path) -> None:
    store, begun, go = Store(tmp_path / "store.db"), threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        begun.set()
        assert go.wait(60)

    async def write() -> None:
        with pytest.raises(ValueError, match="bad alone"):
            await store.write(_naming("bad alone"))
        first = asyncio.create_task(store.write(hold))
        assert await asyncio.to_thread(begun.wait, 60)
        group = [asyncio.create_task(store.write(_naming(name))) for name in ("a", "bad", "b")]
        await asyncio.sleep(0)  # they wait in line now, for one commit
        commits = store.commits
        go.set()
        told = await asyncio.gather(first, *group, return_exceptions=True)
        assert [type(one) for one in told[1:]] == [type(None), ValueError, type(None)]
        assert store.commits == commits + 2
        changes = store.changes(0)
        assert changes is not None
        assert changes.sessions == {"a", "b"}
        names = await store.read(lambda c: c.execute("SELECT name FROM sessions ORDER BY 1").fetchall())
        assert names == [("a",), ("b",), ("default",)]

    try:
        asyncio.run(write())
    finally:
        store.close()


def test_the_store_is_private(tmp_path: Path) -> None:
    store = tmp_path / "a" / "b" / "store.db"
    before = os.umask(0)
    try:
        with running(store) as backend:
            assert backend.multipart(body(post(run_id(), "p"))).status_code == 202
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in store.parent.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert "store.db-wal" in modes
    assert stat.S_IMODE(store.parent.stat().st_mode) == 0o700


def test_modified_at_rises_though_the_clock_was_set_back(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with running(store):
        pass
    with sqlite3.connect(store) as connection:
        connection.execute(
            "INSERT INTO meta VALUES ('last_example_write', '2999-01-01T00:00:00.000000+00:00')"
        )
    connection.close()
    with running(store) as backend:
        dataset = backend.call("POST", "/datasets", json={"name": "d"}).json()["id"]
        made = [
            backend.call("POST", "/examples", json={"dataset_id": dataset, "inputs": {}}).json()[
                "modified_at"
            ]
            for _ in range(2)
        ]
    assert made == [f"2999-01-01T00:00:00.00000{n}+00:00" for n in (1, 2)]


def test_a_second_server_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "store.db"), pytest.raises(StoreError, match="in use by another server"):
        create_app(tmp_path / "store.db", TOKEN)
    with running(tmp_path / "store.db"):
        pass


def test_files_that_cannot_be_a_store(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("hello" * 1000)
    with pytest.raises(StoreError, match=r"text\.db is damaged"):
        create_app(tmp_path / "text.db", TOKEN)
    with pytest.raises(StoreError, match="is not a file"):
        create_app(tmp_path, TOKEN)
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match="schema 99"):
        create_app(tmp_path / "newer.db", TOKEN)


def test_damage_inside_is_found(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    with running(store) as backend:
        for _ in range(30):
            assert backend.multipart(body(post(run_id(), "d", inputs={"x": "y" * 5000}))).status_code == 202
    raw = bytearray(store.read_bytes())
    raw[8192:24576] = os.urandom(16384)
    store.write_bytes(raw)
    with pytest.raises(StoreError, match="is damaged"):
        create_app(store, TOKEN)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_without_a_token_it_does_not_start(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValueError, match="needs a token"):
        serve(tmp_path / "store.db", host=host, token="")
    assert list(tmp_path.iterdir()) == []


def test_on_all_addresses_any_host_name_is_answered(tmp_path: Path) -> None:
    with running(tmp_path / "store.db", host="0.0.0.0") as backend:
        backend.url = backend.url.replace("0.0.0.0", "127.0.0.1")
        assert backend.call("GET", "/sessions", headers={"host": "node17:80"}).status_code == 200
        assert requests.get(f"{backend.url}/sessions", timeout=60).status_code == 401
