"""The file of a download: how it is packed, when it is replaced, what is left of half of one, and who reads it."""

from __future__ import annotations

import gzip
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import orjson
import pytest
import requests
import zstandard

import evalrunner
from evalrunner.connect.embedded import Embedded
from evalrunner.transfer.files.inputs import Inputs
from evalrunner.transfer.files.runs import read_run
from tests.support.backend import BOUNDARY, body
from tests.support.cli import in_process
from tests.support.corpus import APART, OLD, run, send, whole
from tests.support.downloads import download, ids, new_project, start
from tests.support.rig import Backend, clean_environment, wait_until

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def older(there: Backend) -> Iterator[Backend]:
    """It, healthy, where the generation of reads makes no difference."""
    there.faults()
    yield there
    there.faults()


def test_names_say_how_a_file_is_packed(older: Backend, tmp_path: Path) -> None:
    project = new_project()
    send(older, whole(project))
    for name in ("a.jsonl", "a.jsonl.zst", "a.jsonl.gz"):
        done = download(older, tmp_path, "--project", project, name, "--quiet")
        assert (done.code, done.err) == (0, "")
        assert done.out.count("\n") == 1
    plain = (tmp_path / "a.jsonl").read_bytes()
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == plain
    packed = (tmp_path / "a.jsonl.zst").read_bytes()
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == plain
    out = start(older, tmp_path, "--project", project, "-").finish()
    assert (out.code, out.out.encode()) == (0, plain)
    assert "17 runs of 3 traces" in out.err


def test_a_file_that_is_there_is_replaced_only_when_asked(older: Backend, tmp_path: Path) -> None:
    project, file = new_project(), tmp_path / "a.jsonl"
    send(older, [run(project, OLD)])
    file.write_text("mine")
    refused = download(older, tmp_path, "--project", project, "a.jsonl")
    assert (refused.code, file.read_text()) == (2, "mine")
    assert "a.jsonl is there already; name another file, or say --force" in refused.err
    assert download(older, tmp_path, "--project", project, "a.jsonl", "--force").code == 0
    assert len(ids(file.read_bytes())) == 1
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--project", "nobody", "x"), "no project 'nobody' at"),
        (("--experiment", "nobody", "x"), "no experiment 'nobody' at"),
        (("x",), "either --project P or --experiment E"),
        (("--project", "a", "--experiment", "b", "x"), "either --project P or --experiment E"),
        (("--project", "a", "-", "--json"), "stdout can hold the runs or the summary, not both"),
        (("--project", "a", "no/where"), "there is no folder"),
        (("--project", "a", "."), "is a folder"),
    ],
)
def test_a_mistake_is_one_sentence(older: Backend, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = download(older, tmp_path, *words)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 4)])
def test_what_is_ended_in_the_middle_leaves_no_file_under_its_name(
    older: Backend, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    project, folder = new_project(), tmp_path / "out"
    sent = whole(project)
    send(older, sent)
    older.faults({"match": "GET /attachments/*", "action": "stall", "seconds": 600})
    words = ("--project", project, "runs.jsonl")
    command = start(older, folder, *words)
    wait_until((folder / ".runs.jsonl.part").exists, what="the unfinished file")
    beside = download(older, folder, *words)
    assert (beside.code, "another download is writing runs.jsonl" in beside.err) == (2, True), beside.err
    wait_until(lambda: older.fault_report()["rules"][0]["fired"], what="the stall")
    command.signal(number)
    assert command.finish().code == code
    assert not (folder / "runs.jsonl").exists()
    older.faults()
    assert download(older, folder, *words).code == 0
    assert not (folder / ".runs.jsonl.part").exists()
    assert sorted(ids((folder / "runs.jsonl").read_bytes())) == sorted(one.id for one in sent)


def test_a_full_disk_is_said_and_leaves_nothing(older: Backend, tmp_path: Path) -> None:
    project = new_project()
    send(older, whole(project))
    command = start(older, tmp_path / "out", "--project", project, "runs.jsonl")
    resource.prlimit(command.pid, resource.RLIMIT_FSIZE, (400_000, 400_000))
    done = command.finish()
    assert done.code == 3
    assert "runs.jsonl cannot be written: a file in" in done.err
    assert not [name for name in os.listdir(tmp_path / "out") if "runs" in name]
    full = download(older, tmp_path, "--project", project, "/dev/full")
    assert full.code == 3
    assert "/dev/full cannot be written: " in full.err


def test_a_reader_that_goes_away_is_no_success(older: Backend, tmp_path: Path) -> None:
    project = new_project()
    send(older, whole(project))
    reading, writing = os.pipe()
    os.close(reading)
    code = _into(older, tmp_path, writing, "--project", project, "-")
    assert code == 3


def _into(backend: Backend, folder: Path, out: int, *arguments: str) -> int:
    words = [sys.executable, "-m", "evalrunner", "download", *arguments]
    try:
        return subprocess.run(
            words, cwd=folder, env=backend.environment(), stdout=out, stderr=subprocess.DEVNULL, check=False
        ).returncode
    finally:
        os.close(out)


def test_the_local_store_is_a_source_too(tmp_path: Path) -> None:
    env = clean_environment(HOME=str(tmp_path))
    store = tmp_path / "store.sqlite"
    sent = whole("mine")
    with Embedded(store) as endpoint:
        headers = {"x-api-key": endpoint.key, "content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        data = body(*(part for one in sent for part in one.parts()))
        assert requests.post(f"{endpoint.url}/runs/multipart", data=data, headers=headers, timeout=60).ok
        words = ("download", "--project", "mine", "mine.jsonl", "--store", str(store))
        done = in_process(*words, cwd=tmp_path, env=env)
        again = evalrunner.download(tmp_path / "again.jsonl", project="mine", endpoint=endpoint)
    assert done.code == 0, done.err
    assert "no LangSmith is configured: using the local backend" in done.err
    assert (tmp_path / "mine.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()
    assert isinstance(again, evalrunner.Downloaded)
    assert (again.complete, again.runs) == (True, len(sent))


def test_the_file_is_read_by_upload_as_it_was_sent(older: Backend, tmp_path: Path) -> None:
    project = new_project()
    sent = whole(project)
    send(older, sent)
    assert download(older, tmp_path, "--project", project, "runs.jsonl.zst", "--quiet").code == 0
    scratch = tmp_path / "scratch"
    scratch.mkdir(mode=0o700)
    with Inputs([tmp_path / "runs.jsonl.zst"], scratch) as inputs:
        found = [read_run(one.data, one.fault) for one in inputs.elements()]
    by_id = {one.id: one for one in found}
    assert by_id.keys() == {one.id for one in sent}
    for one in sent:
        got = by_id[one.id]
        assert (got.trace, got.parent, got.name) == (
            one.main["trace_id"], one.main.get("parent_run_id"), one.main["name"],
        )  # fmt: skip
        for name in APART:
            wanted = one.apart.get(name)
            assert getattr(got, name) == (wanted and wanted.replace(b"\n", b" ")), name
        assert (got.start, got.end) == (micros(one.main["start_time"]), micros(one.main.get("end_time")))
        assert len(orjson.loads(got.attachments or b"{}")) == len(one.files)
        assert len(orjson.loads(got.feedback or b"[]")) == len(one.feedback)


def micros(told: str | None) -> int | None:
    return None if told is None else (datetime.fromisoformat(told) - EPOCH) // timedelta(microseconds=1)
