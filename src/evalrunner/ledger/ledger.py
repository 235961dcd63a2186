"""The ledger: one SQLite file per experiment, one writer, and the only memory that survives a supervisor."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from evalrunner.errors import RunFolderError
from evalrunner.ledger.columns import evaluated_json, item_row
from evalrunner.ledger.loose import LooseTable
from evalrunner.ledger.opening import open_ledger
from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.reports import ProducedItem
from evalrunner.protocol.rows import ItemRow, WorkerRow
from evalrunner.protocol.story import EXECUTED, Happened
from evalrunner.shortage import shortage


class Ledger:
    """Reads and writes one ledger; to be used by one thread, inside `transaction` to write.

    Raises:
        RunFolderError: the file cannot be opened, or is of a newer evalrunner, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = open_ledger(path)
            self.loose = LooseTable(self._db)
        except (sqlite3.Error, OSError) as error:
            found = shortage(error, path)
            raise RunFolderError(
                f"the ledger {path} cannot be opened: {found.cause}; {found.remedy}"
            ) from error

    def close(self) -> None:
        """Close it; nothing is lost if this is never reached."""
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is written inside, all or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # -- the plan ------------------------------------------------------------------------------------

    def set_meta(self, key: str, value: Any) -> None:
        """Keep one fact about the run."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, orjson.dumps(value).decode()))

    def get_meta(self, key: str) -> Any:
        """Return a fact, or None."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else orjson.loads(row[0])

    def put_examples(self, examples: Iterable[tuple[str, bytes]]) -> None:
        """Add examples, or refresh them; known ones keep their place."""
        self._db.executemany(
            "INSERT INTO examples (id, body) VALUES (?, ?)"
            " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            examples,
        )

    def example_of(self, item: int) -> tuple[str, bytes, int]:
        """Return an item's (example id, example as JSON, repetition)."""
        row = self._db.execute(
            "SELECT id, body, repetition FROM items JOIN examples USING (example) WHERE item = ?", (item,)
        ).fetchone()
        return str(row[0]), bytes(row[1]), int(row[2])

    def add_items(self, items: Iterable[tuple[str, int]]) -> None:
        """Add (example id, repetition) pairs that are not there yet, AVAILABLE."""
        self._db.executemany(
            "INSERT OR IGNORE INTO items (example, repetition, state)"
            " SELECT example, ?, ? FROM examples WHERE id = ?",
            ((repetition, int(ItemState.AVAILABLE), example) for example, repetition in items),
        )

    def items(self) -> Iterator[ItemRow]:
        """Return every item, in the dataset's order."""
        rows = self._db.execute(
            "SELECT item, id, repetition, state, attempt, token, deaths, session, worker, run_id, runs,"
            " feedback, error, reason, warnings, evaluated, scoring FROM items JOIN examples USING (example)"
            " ORDER BY repetition, example"
        )
        for row in rows:
            yield item_row(row)

    def highest_token(self) -> int:
        """Return the highest token that any lease has had, 0 if there was none."""
        return int(self._db.execute("SELECT coalesce(max(token), 0) FROM items").fetchone()[0])

    def scoring_of(self, item: int) -> tuple[str, dict[str, Any]]:
        """Return (root run, what is to be scored) of an item that is only to be scored."""
        run_id, scoring = self._db.execute(
            "SELECT run_id, scoring FROM items WHERE item = ?", (item,)
        ).fetchone()
        return str(run_id), orjson.loads(scoring)

    def ids_of(self, item: int) -> tuple[list[str], list[str]]:
        """Return (runs, feedback) that an item produced."""
        row = self._db.execute("SELECT runs, feedback FROM items WHERE item = ?", (item,)).fetchone()
        return orjson.loads(row[0] or b"[]"), orjson.loads(row[1] or b"[]")

    def attempts(self) -> dict[tuple[str, int], tuple[int, str | None]]:
        """Return (highest attempt, root run that counts) of every (example id, repetition)."""
        rows = self._db.execute(
            "SELECT id, repetition, attempt, run_id FROM items JOIN examples USING (example)"
        )
        return {(example, repetition): (attempt, run) for example, repetition, attempt, run in rows}

    # -- what happens to items -----------------------------------------------------------------------

    def move(self, item: int, state: ItemState, **fields: Any) -> None:
        """Write an item's new state and whatever comes with it."""
        names = "".join(f", {name} = ?" for name in fields)
        self._db.execute(
            f"UPDATE items SET state = ?{names} WHERE item = ?",  # noqa: S608 - names are our own keywords
            (int(state), *fields.values(), item),
        )

    def produced(self, made: ProducedItem, worker: int) -> None:
        """Write what a worker (or its spool) says it has made of an item."""
        if made.scored:
            self._scored(made, worker)
            return
        self.move(
            made.item,
            ItemState.PRODUCED,
            worker=worker,
            run_id=made.runs[0] if made.runs else None,
            runs=orjson.dumps(made.runs).decode(),
            others=orjson.dumps(made.others).decode(),
            feedback=orjson.dumps(made.feedback).decode(),
            error=made.error,
            reason=None,
            warnings=orjson.dumps(made.warnings).decode(),
            seconds=made.seconds,
            evaluated=evaluated_json(made.evaluated),
        )

    def _scored(self, made: ProducedItem, worker: int) -> None:
        """Add what was scored to what is known of the run; its feedback is what has to come back."""
        runs, evaluated = self._db.execute(
            "SELECT runs, evaluated FROM items WHERE item = ?", (made.item,)
        ).fetchone()
        known = [Evaluated.from_json(each) for each in orjson.loads(evaluated or b"[]")]
        turns = {each.name: each for each in (*known, *made.evaluated)}
        self.move(
            made.item,
            ItemState.PRODUCED,
            worker=worker,
            runs=runs or orjson.dumps(made.runs).decode(),
            feedback=orjson.dumps(made.feedback).decode(),
            reason=None,
            warnings=orjson.dumps(made.warnings).decode(),
            evaluated=evaluated_json(turns.values()),
        )

    def tell(self, rows: Sequence[tuple[float, int | None, int | None, int | None, str]]) -> None:
        """Add events (at, item, worker, token, what) to the stories, which stories.py reads."""
        self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)

    # -- sessions and workers ------------------------------------------------------------------------

    def begin_session(self, started: str) -> int:
        """Note that the command has begun again; return its number, from 1."""
        cursor = self._db.execute("INSERT INTO sessions (started) VALUES (?)", (started,))
        return int(cursor.lastrowid or 0)

    def session_began(self, session: int) -> str:
        """Return when a session began, as `begin_session` was told."""
        row = self._db.execute("SELECT started FROM sessions WHERE session = ?", (session,)).fetchone()
        return str(row[0])

    def end_session(self, session: int, ended: str, restarts: int) -> None:
        """Note that it has ended in good order."""
        self._db.execute(
            "UPDATE sessions SET ended = ?, restarts = ? WHERE session = ?", (ended, restarts, session)
        )

    def executions(self, session: int) -> int:
        """Return how often the target was begun in a session, as far as anything is known of it.

        Every production of the session, and every death with the item in hand.
        """
        row = self._db.execute(
            "SELECT count(*) FROM events JOIN workers USING (worker) WHERE workers.session = ?"
            " AND what IN (SELECT value FROM json_each(?))",
            (session, orjson.dumps([each.value for each in EXECUTED]).decode()),
        ).fetchone()
        return int(row[0])

    def scorings(self, session: int) -> int:
        """Return how often a run that was there was scored in a session."""
        row = self._db.execute(
            "SELECT count(*) FROM events JOIN workers USING (worker) WHERE workers.session = ? AND what = ?",
            (session, Happened.SCORED.value),
        ).fetchone()
        return int(row[0])

    def add_worker(self, row: WorkerRow) -> None:
        """Note a worker before it is given anything to do."""
        self._db.execute(
            "INSERT INTO workers (worker, session, slot, pid, create_time, spool) VALUES (?, ?, ?, ?, ?, ?)",
            (row.worker, row.session, row.slot, row.pid, row.create_time, row.spool),
        )

    def worker_ended(self, worker: int, how: str) -> None:
        """Note that a worker is known dead."""
        self._db.execute("UPDATE workers SET ended = ? WHERE worker = ?", (how, worker))

    def workers(self, session: int | None = None) -> list[WorkerRow]:
        """Return the workers of a session, or all."""
        where = "" if session is None else " WHERE session = ?"
        rows = self._db.execute(
            "SELECT worker, session, slot, pid, create_time, spool, ended FROM workers"  # noqa: S608
            f"{where} ORDER BY worker",
            () if session is None else (session,),
        )
        return [WorkerRow(*row) for row in rows]

    def items_made_by(self, worker: int) -> int:
        """Return how many items count as made by a worker."""
        # What it held when the run was stopped still names it.
        sql = "SELECT count(*) FROM items WHERE worker = ? AND state <> ?"
        return int(self._db.execute(sql, (worker, int(ItemState.CANCELLED))).fetchone()[0])
