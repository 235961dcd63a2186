"""Runs that were accepted and are not to be seen yet: their post_n is negative until they are shown.

Every read asks for post_n > 0, so that one change hides a run from lists, sums and pages alike, while
repeats are still known and nothing is lost if the server dies in between.
"""

from __future__ import annotations

import sqlite3

from evalbackend.store.functions import marks

_AT_ONCE = 500


def not_received(connection: sqlite3.Connection, ids: list[str]) -> list[str]:
    """Return those of the runs whose create has not arrived."""
    known: set[str] = set()
    for at in range(0, len(ids), _AT_ONCE):
        some = ids[at : at + _AT_ONCE]
        sql = f"SELECT id FROM runs WHERE id IN ({marks(some)}) AND post_n <> 0"  # noqa: S608
        known.update(row[0] for row in connection.execute(sql, some))
    return [run_id for run_id in ids if run_id not in known]


def hold_back(connection: sqlite3.Connection, ids: list[str]) -> None:
    """Hide runs whose create has arrived."""
    for at in range(0, len(ids), _AT_ONCE):
        some = ids[at : at + _AT_ONCE]
        connection.execute(
            f"UPDATE runs SET post_n = -post_n WHERE id IN ({marks(some)}) AND post_n > 0",  # noqa: S608
            some,
        )


def show(connection: sqlite3.Connection, ids: list[str]) -> None:
    """Show runs that were held back."""
    for at in range(0, len(ids), _AT_ONCE):
        some = ids[at : at + _AT_ONCE]
        connection.execute(
            f"UPDATE runs SET post_n = -post_n WHERE id IN ({marks(some)}) AND post_n < 0",  # noqa: S608
            some,
        )


def show_all(connection: sqlite3.Connection) -> None:
    """Show what a server that has ended still held back."""
    connection.execute("UPDATE runs SET post_n = -post_n WHERE post_n < 0")
