"""The spool against a plain list: whatever is done to it, it says no more and no less than the list."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from evalrunner.delivery.spool.record import Header, Op
from evalrunner.delivery.spool.writer import FILE_HEADER_SIZE, Entry, SpoolWriter, read, read_body

Record = tuple[Header, bytes]

bodies = st.binary(max_size=300) | st.sampled_from([b"", b"\0" * 64, b"--evalrunner\r\n"])
metas = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), st.integers(0, 9), max_size=3)

#: Where something happens, to be scaled: what lies in the file at that moment depends on the writer's thread.
places = st.integers(0, 2**30)


class SpoolMachine(RuleBasedStateMachine):
    """Appends, syncs, crashes and damage."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="spool-model-"))
        self.path = self.folder / "spool"
        self.appended: list[Record] = []
        self.durable: list[Entry] = []
        self.errors: list[Exception] = []

    @initialize(records=st.integers(1, 5))
    def create(self, records: int) -> None:
        self.writer = SpoolWriter(
            self.path,
            info={},
            on_durable=self.durable.extend,
            on_error=self.errors.append,
            commit_records=records,
        )

    @rule(body=bodies, meta=metas, item=st.none() | st.integers(0, 9))
    def append(self, body: bytes, meta: dict[str, int], item: int | None) -> None:
        header = Header(item, item, dict(meta), (Op("post", "id", 0, len(body)),))
        self.writer.append(header, body)
        self.appended.append((header, body))

    @rule()
    def sync(self) -> None:
        assert self.writer.sync(20)
        assert len(self.durable) == len(self.appended)

    @rule(where=places)
    def crash(self, where: int) -> None:
        """A power cut: what was said to be durable is there, of the rest any beginning."""
        said = list(self.durable)
        least = said[-1].offset + said[-1].length if said else FILE_HEADER_SIZE
        copy = self.folder / "crashed"
        shutil.copy(self.path, copy)
        size = least + where % (copy.stat().st_size - least + 1)
        with copy.open("r+b") as file:
            file.truncate(size)
        found = self.contents(copy)
        assert found == self.appended[: len(found)]
        assert len(found) >= len(said)
        assert read(copy).damaged == []

    @rule(where=places, patch=st.binary(min_size=1, max_size=40))
    def damage(self, where: int, patch: bytes) -> None:
        """Some bytes are overwritten: what still comes back is true, and only what was hit is gone."""
        said = list(self.durable)
        if not said:
            return
        end = said[-1].offset + said[-1].length
        before = self.path.read_bytes()[:end]
        at = FILE_HEADER_SIZE + where % (end - FILE_HEADER_SIZE)
        wrong = (before[:at] + patch + before[at + len(patch) :])[:end]
        copy = self.folder / "damaged"
        copy.write_bytes(wrong)
        entries = read(copy).entries
        begin = FILE_HEADER_SIZE
        for entry in said:
            stop = entry.offset + entry.length
            hit = before[begin:stop] != wrong[begin:stop]
            assert (entry in entries) is not hit
            begin = stop
        assert all(entry in said for entry in entries)

    @invariant()
    def the_file_is_a_beginning_of_the_list(self) -> None:
        if not hasattr(self, "writer"):
            return
        said = len(self.durable)
        found = self.contents(self.path)
        assert found == self.appended[: len(found)]
        assert said <= len(found)
        assert self.errors == []

    def contents(self, path: Path) -> list[Record]:
        return [(entry.header, read_body(path, entry)) for entry in read(path).entries]

    def teardown(self) -> None:
        if hasattr(self, "writer"):
            self.writer.close()
            assert self.contents(self.path) == self.appended
            assert [entry.header for entry in self.durable] == [header for header, _ in self.appended]
        shutil.rmtree(self.folder)


TestSpoolModel = SpoolMachine.TestCase
TestSpoolModel.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
