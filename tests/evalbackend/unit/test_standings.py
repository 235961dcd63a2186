"""Remembered counts of experiments are those that counting gives; only what changed is counted anew."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evalbackend.store.db import Store
from evalbackend.store.scope import Scope
from evalbackend.store.standing import Standing, standing
from evalbackend.web.standings import Standings

TIME = "2026-01-02T03:04:05.000000+00:00"
RUN = (
    "INSERT INTO runs (id, post_n, session_id, trace_id, parent_run_id, reference_example_id, start_time, end_time) "
    f"VALUES (?1, 1, ?2, ?1, ?3, 'e', '{TIME}', '{TIME}')"
)


class World:
    """Two experiments over a dataset of one example, and what was counted when it was asked how far they are."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.counted: list[str] = []
        self.kept = Standings(self.store.changes, self._count)
        self.write(
            "INSERT INTO datasets (id, name, data_type, created_at, modified_at) VALUES ('d', 'd', 'kv', '', '')"
        )
        self.example("e")
        for session in ("a", "b"):
            self.write(
                "INSERT INTO sessions (id, name, start_time, reference_dataset_id) VALUES (?1, ?1, ?2, 'd')",
                session,
                TIME,
            )

    def _count(self, connection: sqlite3.Connection, scope: Scope) -> Standing:
        self.counted.append(scope.id)
        return standing(connection, scope)

    def write(self, sql: str, *args: Any) -> None:
        asyncio.run(self.store.write(lambda connection: connection.execute(sql, args)))

    def example(self, name: str) -> None:
        self.write(
            "INSERT INTO example_versions (example_id, dataset_id, created_at, valid_from, metadata) "
            "VALUES (?1, 'd', ?2, ?2, '{}')", name, TIME,
        )  # fmt: skip

    def ask(self) -> tuple[dict[str, tuple[int, int]], list[str]]:
        """Return how far both are, planned and visible, and which were counted for it."""
        self.counted.clear()
        commits = self.store.commits

        def read(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
            found = {session: self.kept.of(connection, session, commits) for session in ("a", "b")}
            return {session: (one.planned, one.visible) for session, one in found.items()}

        return asyncio.run(self.store.read(read)), list(self.counted)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "store.db")
    yield made
    made.store.close()


def test_only_what_changed_is_counted_anew(world: World) -> None:
    assert world.ask() == ({"a": (1, 0), "b": (1, 0)}, ["a", "b"])
    assert world.ask()[1] == []
    world.write(RUN, "r", "a", None)
    assert world.ask() == ({"a": (1, 1), "b": (1, 0)}, ["a"])
    world.write("UPDATE runs SET session_id = 'b' WHERE id = 'r'")  # a run can move: both have changed
    assert world.ask() == ({"a": (1, 0), "b": (1, 1)}, ["a", "b"])
    world.write("UPDATE sessions SET num_repetitions = 2 WHERE id = 'b'")
    assert world.ask() == ({"a": (1, 0), "b": (2, 1)}, ["b"])
    world.example("f")
    assert world.ask() == ({"a": (2, 0), "b": (4, 1)}, ["a", "b"])
    world.write("DELETE FROM runs WHERE id = 'r'")
    assert world.ask() == ({"a": (2, 0), "b": (4, 0)}, ["b"])


def test_what_cannot_change_a_count_costs_none(world: World) -> None:
    world.write(RUN, "r", "a", None)
    world.ask()
    world.write(RUN, "child", "a", "r")
    columns = "id, run_id, session_id, key, score, created_at, body"
    world.write(f"INSERT INTO feedback ({columns}) VALUES ('f', 'r', 'a', 'k', 1, ?, '{{}}')", TIME)
    assert world.ask() == ({"a": (1, 1), "b": (1, 0)}, [])


def test_changes_that_nobody_remembers_are_counted(world: World) -> None:
    world.ask()
    world.kept = Standings(lambda _commits: None, world._count)
    assert world.ask()[1] == ["a", "b"]
    world.write("UPDATE sessions SET name = 'c' WHERE id = 'b'")
    assert world.ask()[1] == ["a", "b"]
