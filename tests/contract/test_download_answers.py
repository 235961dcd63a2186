"""What a download makes of answers that the local backend does not give: of a service that changes, say.

The service here is a small one of the older generation, over a real socket, whose answers a test owns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from evalrunner.config import Endpoint
from evalrunner.errors import RunBroken
from evalrunner.transfer.download.session import download
from evalrunner.transfer.download.summary import Downloaded, DownloadOptions

PROJECT = "11111111-1111-4111-8111-111111111111"
SESSION = {
    "id": PROJECT,
    "tenant_id": PROJECT,
    "name": "p",
    "reference_dataset_id": None,
    "start_time": "2026-01-01",
}


class Service:
    """What it has, and what it is told to do when it is asked.

    Attributes:
        runs: what it lists and gives, by id.
        files: what lies behind addresses: path -> bytes.
        listings: how often the list was begun; `when` is called with that before it is answered.
        raw: in place of the answer to a question for whole runs.
        withheld: what it lists and does not give.
        after: is called when a question for whole runs is answered.
    """

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.withheld: set[str] = set()
        self.files: dict[str, bytes] = {}
        self.listings = 0
        self.when: Callable[[int], None] = lambda listing: None
        self.raw: bytes | None = None
        self.after: Callable[[], None] = lambda: None
        self.url = ""

    def answer(self, path: str, body: Any) -> bytes | None:
        if path == "/info":
            return b'{"version":"0.18.20"}'
        if path.startswith("/sessions"):
            return orjson.dumps([SESSION])
        if path == "/feedback":
            return b"[]"
        if path != "/runs/query":
            return self.files.get(path)
        if "id" in body:
            given = [self.runs[one] for one in body["id"] if one in self.runs and one not in self.withheld]
            self.after()
            return self.raw or orjson.dumps({"runs": given, "cursors": {"next": None}})
        self.listings += 1
        self.when(self.listings)
        listed = [{name: run.get(name) for name in body["select"]} for run in self.runs.values()]
        return orjson.dumps({"runs": listed, "cursors": {"next": None}})

    def has(self, number: int, **more: Any) -> str:
        """Let it have a run; return its id."""
        run_id = f"{number:08d}-0000-4000-8000-000000000000"
        times = {"start_time": f"2026-01-01T00:00:{number:02d}", "end_time": "2026-01-01T00:01:00.5"}
        fields = {
            "id": run_id,
            "trace_id": run_id,
            "name": "n",
            "run_type": "chain",
            **times,
            "status": "success",
        }
        self.runs[run_id] = {**fields, "inputs": {"n": number}, **more}
        return run_id


@pytest.fixture
def service() -> Iterator[Service]:
    own = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length)
            found = own.answer(urlsplit(self.path).path, orjson.loads(sent) if sent else None)
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write(found or b"")

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    own.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield own
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def got(service: Service, tmp_path: Path) -> Callable[[], tuple[Downloaded, list[dict[str, Any]]]]:
    def fetch() -> tuple[Downloaded, list[dict[str, Any]]]:
        file = tmp_path / "runs.jsonl"
        options = DownloadOptions(file, project="p", read_deadline=0.2)
        done = download(Endpoint(service.url, key="k"), options, lambda text: None)
        return done, [orjson.loads(line) for line in file.read_bytes().split(b"\n")[:-1]]

    return fetch


Got = Callable[[], tuple[Downloaded, list[dict[str, Any]]]]


def test_what_appears_changes_and_goes_meanwhile_is_counted(service: Service, got: Got) -> None:
    ids = [service.has(number) for number in range(4)]
    service.runs[ids[0]]["end_time"] = None

    def change(listing: int) -> None:
        if listing == 2:
            service.has(7)
            service.has(8)
            service.runs[ids[0]]["end_time"] = "2026-01-01T00:02:00"
            del service.runs[ids[3]]

    service.when = change
    done, runs = got()
    assert [run["id"] for run in runs] == ids
    assert (done.appeared, done.changed, done.vanished, done.missing, done.complete) == (2, 1, 0, [], True)
    assert any("2 runs were added while" in text for text in done.warnings)
    assert any("1 run was changed (ended, say)" in text for text in done.warnings)
    assert {one["code"] for one in done.to_dict()["findings"]} >= {"project-changed"}


def test_a_run_that_is_deleted_before_it_is_read_is_no_hole(service: Service, got: Got) -> None:
    ids = [service.has(number) for number in range(3)]
    service.withheld = {ids[1]}

    def delete(listing: int) -> None:
        if listing == 2:
            del service.runs[ids[1]]

    service.when = delete
    done, runs = got()
    assert [run["id"] for run in runs] == [ids[0], ids[2]]
    assert (done.vanished, done.missing, done.complete) == (1, [], True)


def test_a_run_that_is_listed_and_not_given_is_a_hole(service: Service, got: Got) -> None:
    ids = [service.has(number) for number in range(3)]
    service.withheld = {ids[1]}
    done, runs = got()
    assert [run["id"] for run in runs] == [ids[0], ids[2]]
    assert [hole["run"] for hole in done.missing] == [ids[1]]
    assert not done.complete


def test_a_run_that_a_reader_is_late_with_is_asked_for_again(service: Service, got: Got) -> None:
    ids = [service.has(number) for number in range(3)]
    service.withheld = {ids[1]}
    service.after = service.withheld.clear
    done, runs = got()
    assert [run["id"] for run in runs] == ids
    assert done.complete


def test_values_behind_addresses_are_fetched(service: Service, got: Got) -> None:
    def at(path: str, data: bytes) -> dict[str, str]:
        service.files[path] = data
        return {"presigned_url": f"{service.url}{path}?signature=secret"}

    service.has(
        1,
        inputs=None,
        inputs_s3_urls={"ROOT": at("/i", b'{"x": 1.0,\n"y":[1e2]}')},
        outputs={},
        outputs_s3_urls={"a": at("/a", b"1.0"), "b": at("/b", b'"\xc3\xa9"')},
        s3_urls={
            "events": at("/e", b"[]"),
            "extra": at("/x", b"{}"),
            "attachment.f": {**at("/f", b"\0"), "mime_type": "m/m"},
        },
        extra={"there": "already"},
    )
    done, (run,) = got()
    assert done.complete
    assert run["inputs"] == {"x": 1.0, "y": [100.0]}
    assert run["outputs"] == {"a": 1.0, "b": "é"}
    assert (run["events"], run["extra"]) == ([], {"there": "already"})
    assert run["attachments"] == {"f": {"mime_type": "m/m", "data": "AA=="}}


@pytest.mark.parametrize(
    ("data", "why"), [(None, "404"), (b"<html>", "is no JSON"), (b'"\xff"', "is no JSON")]
)
def test_values_that_are_not_where_they_should_be_are_holes(
    service: Service, got: Got, data: bytes | None, why: str
) -> None:
    if data is not None:
        service.files["/i"] = data
    run_id = service.has(
        1, inputs=None, inputs_s3_urls={"ROOT": {"presigned_url": f"{service.url}/i?signature=secret"}}
    )
    done, (run,) = got()
    assert run["inputs"] is None
    (hole,) = done.missing
    assert (hole["kind"], hole["run"]) == ("inputs", run_id)
    assert why in hole["reason"]
    assert "secret" not in hole["reason"]
    assert not done.complete


@pytest.mark.parametrize("raw", [b'{"runs":[{"id":1}]}', b'{"runs":[{"id":"x","trace_id":"y",'])
def test_an_answer_that_is_none_ends_it_without_a_file(
    service: Service, got: Got, tmp_path: Path, raw: bytes
) -> None:
    service.has(1)
    service.raw = raw
    with pytest.raises(RunBroken, match="cannot be read as LangSmith's"):
        got()
    assert not (tmp_path / "runs.jsonl").exists()


def test_without_a_second_look_nothing_is_said_of_changes(service: Service, got: Got) -> None:
    service.has(1)

    def fail(listing: int) -> None:
        if listing > 1:
            raise ConnectionAbortedError

    service.when = fail
    done, runs = got()
    assert len(runs) == 1
    assert (done.compared, done.complete) == (False, False)
    assert any("what has changed while the project was read is not known" in text for text in done.warnings)
    assert "project-unread" in [one.code.value for one in done.findings]


def test_cursors_that_give_a_run_twice_write_it_once(service: Service, got: Got) -> None:
    run_id = service.has(1)
    service.runs["twice"] = service.runs[run_id]
    done, runs = got()
    assert (done.runs, len(runs)) == (1, 1)
