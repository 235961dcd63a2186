"""What is still needed is never let go, whatever comes in which order; what is not needed goes in the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalrunner.delivery.spool.files import segment_path
from evalrunner.supervisor.shell.reclaim import Reclaimer


class Room:
    """A folder with the segments of worker 1: so many records in each, an item for each record."""

    def __init__(self, folder: Path, sizes: list[int], *, keep: bool = False) -> None:
        self.folder = folder
        self.reclaimer = Reclaimer(folder, keep=keep)
        self.places = [number for number, size in enumerate(sizes, 1) for _ in range(size)]
        for number in range(1, len(sizes) + 1):
            self.path(number).write_bytes(b"")

    def path(self, segment: int) -> Path:
        return segment_path(self.folder / "000001.spool", segment)

    def there(self) -> list[int]:
        self.reclaimer.let_go()
        return [number for number in sorted(set(self.places)) if self.path(number).exists()]

    def report(self, seq: int, *, loose: bool = False) -> None:
        segment = self.places[seq - 1]
        self.reclaimer.heard_of(1, segment, seq, loose=loose)
        if not loose:
            self.reclaimer.need(1, segment, seq)


@settings(max_examples=150)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.data())
def test_a_segment_goes_when_all_of_it_is_heard_of_and_visible(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    room = Room(tmp_path_factory.mktemp("spool"), sizes)
    heard: set[int] = set()
    visible: set[int] = set()
    seqs = range(1, len(room.places) + 1)
    for seq in data.draw(st.permutations(list(seqs))):  # reports may even come in any order
        room.report(seq)
        heard.add(seq)
        if data.draw(st.booleans()):
            room.reclaimer.release(seq)
            visible.add(seq)
        gone = set(room.places) - set(room.there())
        for other in seqs:
            if room.places[other - 1] in gone:
                assert other in heard & visible
    for seq in seqs:
        room.reclaimer.release(seq)
    assert room.there() == [len(sizes)], "the last one may still be written to"


def test_a_record_that_nobody_spoke_of_keeps_its_segment(tmp_path: Path) -> None:
    room = Room(tmp_path, [3, 3, 1])
    for seq in (2, 3, 4, 5, 6, 7):  # the report of the first was lost
        room.report(seq)
        room.reclaimer.release(seq)
    assert room.there() == [1, 2, 3]
    room.report(1)
    assert room.there() == [1, 3]
    room.reclaimer.release(1)
    assert room.there() == [3]


def test_a_loose_record_keeps_its_segment_until_the_end(tmp_path: Path) -> None:
    room = Room(tmp_path, [2, 2, 1])
    room.report(1, loose=True)
    for seq in (2, 3, 4, 5):
        room.report(seq)
        room.reclaimer.release(seq)
    assert room.there() == [1, 3]


def test_live_mode_keeps_everything(tmp_path: Path) -> None:
    room = Room(tmp_path, [1, 1], keep=True)
    for seq in (1, 2):
        room.report(seq)
        room.reclaimer.release(seq)
    assert room.there() == [1, 2]
