"""The ledger: what was committed is there, all of it or none, whoever dies."""

from __future__ import annotations

import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalrunner.errors import RunFolderError
from evalrunner.ledger.ledger import Ledger
from evalrunner.ledger.opening import VERSION
from evalrunner.ledger.stories import Event, stories
from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.reports import ProducedItem
from evalrunner.protocol.rows import WorkerRow

S = ItemState


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    opened = Ledger(path)
    yield opened
    opened.close()


def story(path: Path, example: str) -> list[Event]:
    with stories(path) as known:
        return known.of(example)[0].events


def fill(ledger: Ledger, examples: int, repetitions: int = 1) -> None:
    with ledger.transaction():
        ledger.put_examples((f"e{n}", b'{"id": "e%d"}' % n) for n in range(examples))
        ledger.add_items((f"e{n}", r) for n in range(examples) for r in range(repetitions))


def made(item: int, token: int = 1, **more: Any) -> ProducedItem:
    facts: dict[str, Any] = {
        "runs": [f"root{item}", f"child{item}"],
        "others": ["o"],
        "feedback": ["f1"],
        "error": None,
        "warnings": ["slow"],
        "seconds": 1.5,
    }
    return ProducedItem(item, token, **{**facts, **more})


# -- the file ----------------------------------------------------------------------------------------


def test_only_its_owner_can_read_it(ledger: Ledger, path: Path) -> None:
    fill(ledger, 1)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_commit_survives_a_power_cut(ledger: Ledger, path: Path) -> None:
    """Only the setting can be asked here; what it does was measured where the power can be cut."""
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert ledger._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert ledger._db.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_a_link_is_not_followed(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")
    with pytest.raises(RunFolderError, match="cannot be opened"):
        Ledger(path)
    assert not (path.parent / "elsewhere").exists()


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(RunFolderError, match=rf"newer evalrunner \(format {VERSION + 1}\)"):
        Ledger(path)
    assert path.read_bytes() == before


def test_a_ledger_of_an_earlier_version_is_brought_up_to_date(path: Path) -> None:
    ledger = Ledger(path)
    fill(ledger, 1)
    ledger.close()
    with sqlite3.connect(path) as db:
        for column in ("evaluated", "scoring"):
            db.execute(f"ALTER TABLE items DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 1")
    db.close()
    ledger = Ledger(path)
    (row,) = ledger.items()
    assert (row.example_id, row.evaluated) == ("e0", [])
    judged = [Evaluated("judge", ("a", "a"), None), Evaluated("other", (), "ValueError('no')")]
    with ledger.transaction():
        ledger.produced(made(row.item, evaluated=judged), 1)
    assert next(ledger.items()).evaluated == judged
    again = [Evaluated("other", ("b",))]
    scored = ProducedItem(row.item, 1, ["root1"], [], ["f2"], None, [], 0.5, again, scored=True)
    with ledger.transaction():
        ledger.produced(scored, 2)
    last = next(ledger.items())
    assert (last.runs, last.feedback, last.worker) == (["root1", "child1"], ["f2"], 2)
    assert last.evaluated == [judged[0], again[0]], "what was known of the others is kept"
    ledger.close()


@pytest.mark.parametrize("damage", ["not sqlite", "header", "pages", "cut"])
def test_a_damaged_ledger_is_refused_with_a_sentence(path: Path, damage: str) -> None:
    ledger = Ledger(path)
    fill(ledger, 2000)
    ledger.close()
    data = bytearray(path.read_bytes())
    assert len(data) > 10 * 4096
    if damage == "not sqlite":
        data = bytearray(b"once upon a time" * 1000)
    elif damage == "header":
        data[:16] = bytes(16)
    elif damage == "pages":
        data[4096:] = random.Random(1).randbytes(len(data) - 4096)
    else:
        del data[5 * 4096 + 100 :]
    path.write_bytes(data)
    with pytest.raises(RunFolderError) as caught:
        Ledger(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# -- transactions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_transaction_is_all_or_nothing(ledger: Ledger, path: Path, error: type[BaseException]) -> None:
    fill(ledger, 3)

    def interrupted() -> None:
        with ledger.transaction():
            ledger.move(1, S.LEASED, token=7)
            ledger.tell([(0.0, 1, None, 7, "leased")])
            ledger.set_meta("key", "value")
            raise error

    with pytest.raises(error):
        interrupted()
    assert {row.state for row in ledger.items()} == {S.AVAILABLE}
    assert story(path, "e0") == []
    assert ledger.get_meta("key") is None
    with ledger.transaction():
        ledger.move(1, S.LEASED, token=7)
    other = Ledger(path)
    assert next(other.items()).state is S.LEASED
    other.close()


_WRITER = """
import sys
from pathlib import Path
from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.lease import ItemState
ledger = Ledger(Path(sys.argv[1]))
with ledger.transaction():
    ledger.put_examples((f"e{n}", b"{}") for n in range(5))
    ledger.add_items((f"e{n}", 0) for n in range(5))
print(0, flush=True)
for token in range(1, 1_000_000):
    with ledger.transaction():
        for item in range(1, 6):
            ledger.move(item, ItemState.LEASED, token=token)
        ledger.tell([(0.0, item, None, token, "leased") for item in range(1, 6)])
    print(token, flush=True)
"""


@pytest.mark.parametrize("seed", range(5))
def test_what_was_said_committed_is_there_after_a_sigkill(path: Path, seed: int) -> None:
    wanted = random.Random(seed).randrange(300)
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = -1
    while said < wanted:
        said = int(writer.stdout.readline())
    writer.kill()
    writer.wait(60)
    rest = writer.stdout.read().splitlines(keepends=True)
    said = int([line for line in rest if line.endswith("\n")][-1]) if rest[:-1] else said
    writer.stdout.close()
    ledger = Ledger(path)
    tokens = {row.token for row in ledger.items()}
    assert len(tokens) == 1
    (token,) = tokens
    assert token >= said
    assert all(len(story(path, f"e{n}")) == token for n in range(5))
    ledger.close()


# -- the plan ----------------------------------------------------------------------------------------


def test_items_come_in_the_datasets_order_repetition_by_repetition(ledger: Ledger) -> None:
    fill(ledger, 3, repetitions=2)
    found = [(row.example_id, row.repetition) for row in ledger.items()]
    assert found == [("e0", 0), ("e1", 0), ("e2", 0), ("e0", 1), ("e1", 1), ("e2", 1)]
    assert {row.state for row in ledger.items()} == {S.AVAILABLE}


def test_a_plan_that_is_added_again_changes_nothing(ledger: Ledger) -> None:
    fill(ledger, 2)
    ledger.move(1, S.VISIBLE, run_id="r")
    fill(ledger, 3)
    assert [(row.item, row.state) for row in ledger.items()][:2] == [(1, S.VISIBLE), (2, S.AVAILABLE)]
    assert len(list(ledger.items())) == 3


def test_an_example_that_is_read_again_is_refreshed_in_its_place(ledger: Ledger) -> None:
    fill(ledger, 2)
    ledger.put_examples([("e0", b'{"new": 1}')])
    assert ledger.example_of(1) == ("e0", b'{"new": 1}', 0)
    assert [row.example_id for row in ledger.items()] == ["e0", "e1"]


def test_items_of_unknown_examples_are_not_added(ledger: Ledger) -> None:
    fill(ledger, 1)
    ledger.add_items([("nobody", 0)])
    assert len(list(ledger.items())) == 1


def test_facts_survive_as_json(ledger: Ledger, path: Path) -> None:
    with ledger.transaction():
        ledger.set_meta("keys", ["a", "b"])
        ledger.set_meta("keys", ["c"])
    ledger.close()
    again = Ledger(path)
    assert again.get_meta("keys") == ["c"]
    assert again.get_meta("none") is None
    again.close()


# -- items, workers, sessions ------------------------------------------------------------------------


def test_what_was_produced_comes_back_whole_after_reopening(ledger: Ledger, path: Path) -> None:
    fill(ledger, 2)
    with ledger.transaction():
        ledger.move(1, S.LEASED, token=3, attempt=1, session=1, worker=4, reason="earlier")
        ledger.produced(made(1, 3, error="boom"), 4)
    ledger.close()
    again = Ledger(path)
    row = next(again.items())
    assert (row.state, row.token, row.attempt, row.session, row.worker) == (S.PRODUCED, 3, 1, 1, 4)
    assert (row.run_id, row.runs, row.feedback) == ("root1", ["root1", "child1"], ["f1"])
    assert (row.error, row.reason, row.warnings) == ("boom", None, ["slow"])
    assert again.ids_of(1) == (["root1", "child1"], ["f1"])
    assert again.ids_of(2) == ([], [])
    assert again.attempts() == {("e0", 0): (1, "root1"), ("e1", 0): (0, None)}
    assert (again.items_made_by(4), again.items_made_by(5)) == (1, 0)
    again.close()


def test_what_a_worker_held_when_the_run_was_stopped_is_not_its_work(ledger: Ledger) -> None:
    fill(ledger, 2)
    with ledger.transaction():
        for item in (1, 2):
            ledger.move(item, S.LEASED, token=item, attempt=1, session=1, worker=4)
        ledger.produced(made(1, 1), 4)
        ledger.move(2, S.CANCELLED)
    assert ledger.items_made_by(4) == 1


def test_a_move_touches_one_item_and_leaves_what_it_does_not_name(ledger: Ledger) -> None:
    fill(ledger, 2)
    ledger.produced(made(1), 1)
    ledger.move(1, S.ACCEPTED)
    rows = list(ledger.items())
    assert (rows[0].state, rows[0].run_id, rows[0].worker) == (S.ACCEPTED, "root1", 1)
    assert rows[1].state is S.AVAILABLE


def test_a_story_is_in_order_and_of_one_item(ledger: Ledger, path: Path) -> None:
    fill(ledger, 2)
    ledger.add_worker(WorkerRow(2, 1, 7, 100, 1.0, "a", None))
    ledger.tell([(5.0, 1, 2, 3, "leased"), (4.0, 2, None, None, "other"), (3.0, 1, 2, 3, "produced")])
    assert story(path, "e0") == [Event(5.0, 2, 7, 3, "leased"), Event(3.0, 2, 7, 3, "produced")]
    assert story(path, "e1") == [Event(4.0, None, None, None, "other")]


def test_an_example_is_found_by_the_beginning_of_its_id(ledger: Ledger, path: Path) -> None:
    fill(ledger, 11)
    with stories(path) as known:
        assert known.examples("e1") == ["e1"], "the one that is just this"
        assert known.examples("e10") == ["e10"]
        assert known.examples("e") == [f"e{n}" for n in range(11)]
        assert known.examples("%") == known.examples("f") == []


def test_stories_are_read_of_every_format_but_a_newer_one(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    fill(ledger, 1)
    ledger._db.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(RunFolderError, match="newer evalrunner"), stories(path):
        pass
    with pytest.raises(RunFolderError, match="cannot be read"), stories(tmp_path / "none.sqlite"):
        pass


def test_sessions_count_from_one(ledger: Ledger) -> None:
    assert ledger.begin_session("then") == 1
    ledger.end_session(1, "later", 2)
    assert ledger.begin_session("now") == 2


def test_workers(ledger: Ledger, path: Path) -> None:
    rows = [
        WorkerRow(1, 1, 0, 100, 12.25, "a", None),
        WorkerRow(2, 2, 0, 101, 13.5, "b", None),
    ]
    with ledger.transaction():
        for row in rows:
            ledger.add_worker(row)
        ledger.worker_ended(1, "was killed by SIGKILL")
    ledger.close()
    again = Ledger(path)
    assert again.workers(2) == [rows[1]]
    assert again.workers()[0] == WorkerRow(1, 1, 0, 100, 12.25, "a", "was killed by SIGKILL")
    assert len(again.workers()) == 2
    again.close()
