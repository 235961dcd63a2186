"""Files however they are packed and wherever they come from: the same elements, and sentences for the others."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from evalrunner.errors import ConfigError, DataError, RunFolderError
from evalrunner.transfer.files import Element, Inputs

RUNS = [
    {"id": str(number), "run_type": "llm", "start_time": number, "inputs": {"é": number}}
    for number in range(50)
]
LINES = "".join(json.dumps(run) + "\n" for run in RUNS).encode()
ARRAY = json.dumps(RUNS, indent=1).encode()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir(mode=0o700)
    return folder


def read(paths: list[Path | None], scratch: Path) -> list[Element]:
    """Return what is in files, and see that each can be read again."""
    with Inputs(paths, scratch) as inputs:
        found = list(inputs.elements())
        for one in found:
            assert inputs.read(one.file, one.offset, one.length) == one.data
        assert inputs.changed() is None
    assert list(scratch.iterdir()) == []
    return found


def refused(path: Path, scratch: Path) -> str:
    """Return in which words a file is refused."""
    with pytest.raises((ConfigError, DataError)) as caught:
        Inputs([path], scratch)
    assert list(scratch.iterdir()) == []
    return str(caught.value).replace(str(path), "FILE")


PACKED = {
    "plain": LINES,
    "gzip": gzip.compress(LINES),
    "gzips": gzip.compress(LINES[:1000]) + gzip.compress(LINES[1000:]),
    "padded": gzip.compress(LINES) + bytes(512),
    "zstd": zstandard.compress(LINES),
    "zstds": zstandard.compress(LINES[:1000])
    + b"\x50\x2a\x4d\x18\x02\0\0\0xx"
    + zstandard.compress(LINES[1000:]),
    "skipped": b"\x5f\x2a\x4d\x18\0\0\0\0" + zstandard.compress(LINES),
    "both": gzip.compress(zstandard.compress(LINES)),
    "array": gzip.compress(ARRAY),
    "mark": b"\xef\xbb\xbf" + ARRAY,
}


@pytest.mark.parametrize("how", PACKED)
def test_packed_or_not_it_is_the_same(tmp_path: Path, scratch: Path, how: str) -> None:
    path = tmp_path / "misnamed.txt"
    path.write_bytes(PACKED[how])
    assert [json.loads(one.data) for one in read([path], scratch)] == RUNS


def test_more_comes_out_than_is_held(tmp_path: Path, scratch: Path) -> None:
    line = json.dumps({**RUNS[0], "inputs": {"x": "y" * 50_000}}).encode() + b"\n"
    (tmp_path / "a.gz").write_bytes(gzip.compress(line * 200))
    (tmp_path / "b.zst").write_bytes(zstandard.compress(line * 200, 19))
    assert len(read([tmp_path / "a.gz", tmp_path / "b.zst"], scratch)) == 400


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_what_is_packed_and_cut_off_says_so_at_its_end(
    tmp_path: Path, scratch: Path, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "cut"
    whole = pack(os.urandom(300_000).hex().encode().join([LINES, b""]))
    kind = "gzip" if whole[:2] == b"\x1f\x8b" else "zstd"
    path.write_bytes(whole[: len(whole) // 2])
    found = read([path], scratch)
    assert [json.loads(one.data) for one in found[:50]] == RUNS
    assert found[-1].fault == f"its {kind} is cut off: what followed is missing"
    second = bytearray(
        zstandard.ZstdCompressor(write_checksum=True).compress(LINES) if kind == "zstd" else pack(LINES)
    )
    second[-6], second[-2] = second[-6] ^ 1, second[-2] ^ 1  # of its check sum
    path.write_bytes(pack(LINES) + second)
    found = read([path], scratch)
    assert [json.loads(one.data) for one in found[:50]] == RUNS
    assert f"its {kind} is damaged" in (found[-1].fault or "")
    path.write_bytes(whole[:15])
    assert refused(path, scratch) == f"FILE cannot be unpacked: its {kind} is cut off; nothing was sent"


def test_what_is_packed_again_and_again_is_refused(tmp_path: Path, scratch: Path) -> None:
    path, data = tmp_path / "deep", LINES
    for _ in range(5):
        data = gzip.compress(data)
    path.write_bytes(data)
    assert refused(path, scratch) == "FILE is packed 3 times or more; nothing was sent"


def pipe_of(data: bytes) -> Iterator[io.TextIOWrapper]:
    """Yield a pipe that somebody writes to meanwhile."""
    out, into = os.pipe()

    def write() -> None:
        with os.fdopen(into, "wb") as file:
            file.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(out) as file:
        yield file
    writer.join()


@pytest.mark.parametrize("data", [LINES * 40, ARRAY, gzip.compress(LINES)])
def test_standard_input(scratch: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    for file in pipe_of(data):
        monkeypatch.setattr("sys.stdin", file)
        with Inputs([None], scratch) as inputs:
            assert inputs.names == ["standard input"]
            assert {json.loads(one.data)["id"] for one in inputs.elements()} == {run["id"] for run in RUNS}
            assert inputs.changed() is None


def test_standard_input_that_is_a_file_goes_on_where_it_is(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"header\n" + LINES)
    with path.open("rb") as file:
        os.lseek(file.fileno(), 7, os.SEEK_SET)
        monkeypatch.setattr("sys.stdin", file)
        assert len(read([None], scratch)) == 50


def test_no_standard_input(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(ConfigError, match=r"^standard input cannot be read: fileno$"):
        Inputs([None], scratch)
    for file in pipe_of(b""):
        monkeypatch.setattr("sys.stdin", file)
        with pytest.raises(ConfigError, match=r"^standard input is empty: there are no runs to upload$"):
            Inputs([None], scratch)


def test_a_pipe_with_a_name(tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(LINES))
    writer.start()
    assert len(read([path], scratch)) == 50
    writer.join()


def test_several_files_and_folders_by_name(tmp_path: Path, scratch: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, which in (
        ("b.jsonl", 0),
        ("a.json", 1),
        ("c.JSON", 2),
        ("d.gz", 3),
        ("notes.txt", 9),
        (".hidden.json", 9),
    ):
        data = json.dumps(RUNS[which]).encode()
        (folder / name).write_bytes(gzip.compress(data) if name == "d.gz" else data)
    (folder / "sub.json").mkdir()
    other = tmp_path / "other"
    other.write_bytes(json.dumps({"runs": RUNS[4:6]}).encode())
    found = read([other, folder], scratch)
    assert [json.loads(one.data)["id"] for one in found] == ["4", "5", "1", "0", "2", "3"]
    assert [(one.file, one.ordinal) for one in found] == [(0, 1), (0, 2), (1, 1), (2, 1), (3, 1), (4, 1)]
    with Inputs([other, folder], scratch) as inputs:
        assert inputs.names == [
            str(other),
            *(str(folder / name) for name in ("a.json", "b.jsonl", "c.JSON", "d.gz")),
        ]
        assert inputs.size == sum(len(json.dumps(RUNS[which])) for which in range(4)) + other.stat().st_size


def test_the_fingerprint_is_of_what_is_read_however_it_is_packed(tmp_path: Path, scratch: Path) -> None:
    prints = []
    for name, data in (("a", LINES), ("b", gzip.compress(LINES)), ("c", LINES.replace(b"49", b"48"))):
        (tmp_path / name).write_bytes(data)
        with Inputs([tmp_path / name], scratch, span=100) as inputs:
            for _ in range(2):
                assert len(list(inputs.elements())) == 50
                prints.append(inputs.fingerprint)
    assert prints[0] == prints[1] == prints[2] == prints[3] != prints[4] == prints[5]


def test_a_file_that_has_changed_is_named(tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "file"
    for change in (
        lambda: path.write_bytes(LINES + LINES),
        lambda: os.utime(path, ns=(1, 1)),
        lambda: (path.rename(tmp_path / "gone"), path.write_bytes(LINES)),
    ):
        path.write_bytes(LINES)
        with Inputs([path], scratch) as inputs:
            assert inputs.changed() is None
            change()
            assert inputs.changed() == f"{path} has changed since it was opened"
    with Inputs([path], scratch) as inputs:
        path.unlink()
        assert inputs.changed() == f"{path} cannot be read any more: No such file or directory"
        assert len(list(inputs.elements())) == 50


def test_files_that_cannot_be_read(tmp_path: Path, scratch: Path) -> None:
    path = tmp_path / "file"
    assert refused(path, scratch) == "FILE cannot be read: No such file or directory"
    path.write_bytes(b"")
    assert refused(path, scratch) == "FILE is empty: there are no runs to upload"
    for blank in (b" \n\n", b"\xef\xbb\xbf", gzip.compress(b"")):
        path.write_bytes(blank)
        assert refused(path, scratch) == "FILE is empty: there are no runs to upload"
    for hollow in (b"[]", b" [ ] ", b'{"runs": []}', b'{"runs": [], "cursors": {"next": null}}'):
        path.write_bytes(hollow)
        assert refused(path, scratch) == "FILE holds no runs: there is nothing to upload"
    folder = tmp_path / "folder"
    folder.mkdir()
    assert (
        refused(folder, scratch)
        == "FILE has no files that end with .json, .jsonl, .ndjson, .gz, .zst, .parquet"
    )
    path.write_bytes(LINES)
    with pytest.raises(ConfigError, match="is named twice"):
        Inputs([path, path], scratch)
    with pytest.raises(ConfigError, match=r"^name a file of runs"):
        Inputs([], scratch)


def test_no_room_for_a_copy(tmp_path: Path, scratch: Path) -> None:
    (tmp_path / "file").write_bytes(gzip.compress(LINES))
    scratch.rmdir()
    with pytest.raises(
        RunFolderError, match=r"^.*/file cannot be copied to where it can be read: .* put it back$"
    ):
        Inputs([tmp_path / "file"], scratch)


def test_many_files(tmp_path: Path, scratch: Path, request: pytest.FixtureRequest) -> None:
    """More than a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
    request.addfinalizer(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)))
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(600):
        (folder / f"{number:04d}.json").write_bytes(json.dumps({**RUNS[0], "id": number}).encode())
    found = read([folder], scratch)
    assert [json.loads(one.data)["id"] for one in found] == list(range(600))
