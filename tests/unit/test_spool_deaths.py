"""Spools on disks that are full, in processes that are killed: nothing false is said to be durable."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalrunner.delivery.spool.writer import read, read_body


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "worker.spool"


WRITE_UNTIL_FULL = """
import os, sys, threading
from evalrunner.delivery.spool.record import Header
from evalrunner.delivery.spool.writer import SpoolWriter
from evalrunner.errors import SpoolError

path, limit = sys.argv[1], int(sys.argv[2])
if limit:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
failed = threading.Event()

def say(line):  # in one piece, from either thread
    os.write(1, f"{line}\\n".encode())

def on_error(error):
    say(f"error {error.errno}")
    failed.set()

writer = SpoolWriter(path, info={}, on_durable=lambda e: [say(f"durable {x.seq}") for x in e],
                     on_error=on_error)
try:
    while True:
        writer.append(Header(1, 1, {}, ()), b"q" * 3001)
        writer.sync(10)
except SpoolError as error:
    say("refused")
say(f"failed {failed.wait(60)} {writer.sync(1)}")
writer.close()
"""


def write_until_full(path: Path, limit: int) -> tuple[list[int], list[str]]:
    command = [sys.executable, "-c", WRITE_UNTIL_FULL, str(path), str(limit)]
    said = subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=True
    ).stdout.splitlines()
    durable = [int(line.split()[1]) for line in said if line.startswith("durable")]
    return durable, [line for line in said if not line.startswith("durable")]


def check_full(path: Path, limit: int, code: int) -> None:
    durable, rest = write_until_full(path, limit)

    assert sorted(rest) == [f"error {code}", "failed True False", "refused"]
    found = read(path)
    assert durable
    assert [entry.seq for entry in found.entries] == durable
    assert found.damaged == []
    assert {read_body(path, entry) for entry in found.entries} == {b"q" * 3001}


def test_a_file_size_limit_ends_the_spool_and_nothing_false_is_said(path: Path) -> None:
    check_full(path, 40_000, errno.EFBIG)
    assert path.stat().st_size == 40_000  # the last write took a part of its frame


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_the_spool_and_nothing_false_is_said(small_disk: Path) -> None:
    check_full(small_disk / "spool", 0, errno.ENOSPC)


WRITE_FOR_EVER = """
import os, random, sys
from evalrunner.delivery.spool.record import Header
from evalrunner.delivery.spool.writer import SpoolWriter

def on_durable(entries):
    os.write(1, b"".join(b"%d\\n" % entry.seq for entry in entries))

writer = SpoolWriter(sys.argv[1], info={}, on_durable=on_durable, on_error=lambda e: os._exit(9))
rng = random.Random(int(sys.argv[2]))
number = 0
while True:
    number += 1
    writer.append(Header(number, 1, {}, ()), number.to_bytes(8, "little") * rng.randrange(200))
    if number % 40 == 0:
        writer.sync()
"""


def test_what_was_said_to_be_durable_outlives_a_sigkill(tmp_path: Path) -> None:
    rng = random.Random(3)
    torn = 0
    for attempt in range(20):
        path = tmp_path / str(attempt)
        command = [sys.executable, "-c", WRITE_FOR_EVER, str(path), str(attempt)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            said = child.stdout.read(rng.randrange(1, 4000))
            child.kill()
            said += child.stdout.read()
        told = [int(line) for line in said.split(b"\n")[:-1]]
        found = read(path)
        assert [entry.seq for entry in found.entries[: len(told)]] == told
        assert told
        assert found.damaged == []
        for entry in found.entries:
            body = read_body(path, entry)
            assert body == entry.seq.to_bytes(8, "little") * (len(body) // 8)
        torn += found.torn > 0
    print(f"{torn} of 20 files ended in a torn frame")
