"""The ledger's book of what belongs to no item: promised, accepted, visible, or what became of it instead."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import asdict

import orjson

from evalrunner.protocol.loose import About, LooseRecord, LooseState
from evalrunner.protocol.rows import LooseRow

# A ledger of an earlier evalrunner has no such table, and nothing that could stand in it.
_TABLE = """
CREATE TABLE IF NOT EXISTS loose (
    spool   TEXT NOT NULL,      -- stem of its spool's name
    seq     INTEGER NOT NULL,   -- of its record there; negative for what was sent without one
    session INTEGER NOT NULL,   -- the run of the command that last had to do with it
    state   INTEGER NOT NULL,   -- protocol.loose.LooseState
    reason  TEXT NOT NULL,
    about   BLOB NOT NULL,      -- JSON: its operations
    PRIMARY KEY (spool, seq)
) WITHOUT ROWID
"""


class LooseTable:
    """Reads and writes the table; the ledger's thread alone."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.execute(_TABLE)

    def note(self, spool: str, records: Iterable[LooseRecord], session: int) -> None:
        """Write news. Something promised again, by whoever reads its spool again, is no news."""
        for record in records:
            about = orjson.dumps([asdict(each) for each in record.about])
            self._db.execute(
                "INSERT INTO loose VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (spool, seq) DO UPDATE SET"
                " state = excluded.state, reason = excluded.reason, session = excluded.session"
                " WHERE excluded.state > 0 AND NOT (excluded.state = 1 AND loose.state = 2)",
                (spool, record.seq, session, int(record.state), record.reason, about),
            )

    def rows(self, *states: LooseState) -> list[LooseRow]:
        """Return the records in these states, or all."""
        marks = ", ".join("?" * len(states))
        found = self._db.execute(
            "SELECT spool, seq, session, state, reason, about FROM loose"  # noqa: S608 - marks are ours
            f"{f' WHERE state IN ({marks})' if states else ''} ORDER BY spool, seq",
            [int(state) for state in states],
        )
        return [
            LooseRow(
                spool,
                seq,
                session,
                LooseState(state),
                reason,
                [About(**each) for each in orjson.loads(about)],
            )
            for spool, seq, session, state, reason, about in found
        ]

    def states(self) -> dict[tuple[str, int], LooseState]:
        """Return the state of every record, by (spool, seq)."""
        rows = self._db.execute("SELECT spool, seq, state FROM loose")
        return {(spool, seq): LooseState(state) for spool, seq, state in rows}
