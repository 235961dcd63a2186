"""What a worker holds back, and what makes it count: by example."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalrunner.protocol.suspicion import ENOUGH, kind_of, may_be_the_process
from evalrunner.worker.code.condition import _ASPECTS, changed, condition
from evalrunner.worker.ward import Ward

EMFILE = "OSError(24, 'Too many open files')\n\nTraceback (most recent call last): ..."


class Room:
    """A ward, and what became of the failures in it."""

    def __init__(self) -> None:
        self.freed = 0
        self.ward = Ward(self._note)
        self.published: list[str] = []
        self.dropped: list[str] = []

    def _note(self) -> None:
        self.freed += 1

    def fail(self, name: str, error: str = EMFILE) -> str | None:
        kind = self.ward.suspicion(error, self.ward.begin())
        if kind is not None:
            self.ward.hold(kind, lambda: self.published.append(name), lambda: self.dropped.append(name))
        return kind


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    # pytest changes its own environment between a fixture and its test.
    monkeypatch.setitem(_ASPECTS, "the environment", lambda: 0)
    made = Room()
    made.ward.begin()
    return made


def test_the_first_item_of_a_process_fails_by_itself() -> None:
    assert Room().fail("first") is None


def test_a_failure_of_its_own_counts_at_once(room: Room) -> None:
    assert room.fail("own", "ValueError('no')") is None


def test_a_later_success_shows_that_the_process_is_well(room: Room) -> None:
    early = room.ward.begin()
    assert room.fail("a") == "OSError(24"
    room.ward.well(early)
    assert room.published == [], "it had begun before the failure"
    room.ward.well(room.ward.begin())
    assert (room.published, room.freed) == (["a"], 1)


def test_it_is_full_when_enough_have_failed(room: Room) -> None:
    for number in range(ENOUGH):
        assert not room.ward.full
        room.fail(str(number))
    assert room.ward.full


def test_what_is_the_items_own_counts_and_so_does_the_next(room: Room) -> None:
    room.fail("a")
    room.fail("b", "MemoryError()")
    room.ward.believe(["OSError(24"])
    assert room.published == ["a"]
    assert room.fail("c") is None
    room.ward.forget()
    assert (room.published, room.dropped) == (["a"], ["b"])


@pytest.fixture
def no_collection() -> Iterator[None]:
    yield
    gc.enable()


def test_any_failure_is_doubted_in_a_process_that_was_changed_until_one_succeeds(
    room: Room, no_collection: None
) -> None:
    assert room.fail("before", "KeyError('x')") is None
    gc.disable()
    assert room.fail("after", "KeyError('x')") == "KeyError"
    room.ward.well(room.ward.begin())
    assert room.published == ["after"]
    assert room.fail("later", "KeyError('x')") is None, "the change does no harm"


def test_a_folder_that_is_gone_is_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = condition()
    assert changed(before, condition()) == []
    os.rmdir(tmp_path / "here")
    assert changed(before, condition()) == ["the current folder"]


@pytest.mark.parametrize(
    ("error", "kind", "doubted"),
    [
        (EMFILE, "OSError(24", True),
        ("ConnectError('[Errno 24] Too many open files')", "ConnectError", True),
        ("MemoryError()", "MemoryError", True),
        ("RuntimeError(\"can't start new thread\")", "RuntimeError", True),
        ("RuntimeError('Event loop is closed')", "RuntimeError", True),
        ("BrokenProcessPool('A process in the process pool was terminated abruptly')", "BrokenProcessPool", True),
        ("torch.AcceleratorError('CUDA error: device-side assert triggered')", "torch.AcceleratorError", True),
        ("FileNotFoundError(2, 'No such file or directory')", "FileNotFoundError(2", False),
        ("ValueError('no')", "ValueError", False),
        ("", "", False),
    ],
)  # fmt: skip
def test_kinds_of_errors(error: str, kind: str, doubted: bool) -> None:
    assert (kind_of(error), may_be_the_process(error)) == (kind, doubted)
