"""A digest that was brought forward change by change is the digest that is made of the store at once."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from evalbackend.store.db import Store
from evalbackend.web import fill
from evalbackend.web.digest import Digests

TIME = "2026-01-02T03:04:{:02}.000000+00:00"
RUNS = st.sampled_from([f"run{number}" for number in range(6)])
EXAMPLES = st.sampled_from(["e0", "e1", "e2", "late", "nowhere", None])
SESSIONS = st.sampled_from(["s", "s", "other"])
SECONDS = st.integers(10, 59)


class Growth(RuleBasedStateMachine):
    """Writes of every kind, and one digest that is asked after each."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "store.db")
        self.kept = Digests(lambda: self.store.address, self.store.changes, patience=0)
        self.write(
            "INSERT INTO datasets (id, name, data_type, created_at, modified_at) VALUES ('d', 'd', 'kv', '', '')"
        )
        for number, example in enumerate(("e0", "e1", "e2", "late")):
            self.write(
                "INSERT INTO example_versions (example_id, dataset_id, created_at, valid_from, metadata) "
                "VALUES (?, 'd', ?, ?, '{}')",
                example,
                *[TIME.format(9 if example == "late" else number)] * 2,
            )
        metadata = f'{{"metadata": {{"dataset_version": "{TIME.format(5)}", "num_repetitions": 1}}}}'
        for session in ("s", "other"):
            self.write(
                "INSERT INTO sessions (id, name, extra, start_time, reference_dataset_id) VALUES (?, ?, ?, ?, 'd')",
                session,
                session,
                metadata,
                TIME.format(6),
            )

    def write(self, sql: str, *args: Any) -> None:
        asyncio.run(self.store.write(lambda connection: connection.execute(sql, args)))

    def teardown(self) -> None:
        self.kept.close()
        self.store.close()
        self.folder.cleanup()

    @rule(run=RUNS, session=SESSIONS, example=EXAMPLES, start=SECONDS, end=st.none() | SECONDS)
    def create(self, run: str, session: str, example: str | None, start: int, end: int | None) -> None:
        self.write(
            "INSERT INTO runs (id, post_n, session_id, trace_id, reference_example_id, start_time, end_time) "
            "VALUES (?1, 1, ?2, ?1, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET post_n = 1, session_id = ?2, "
            "reference_example_id = ?3, start_time = ?4, end_time = COALESCE(end_time, ?5)",
            run, session, example, TIME.format(start), None if end is None else TIME.format(end),
        )  # fmt: skip

    @rule(run=RUNS, error=st.none() | st.just("boom"), end=SECONDS)
    def update(self, run: str, error: str | None, end: int) -> None:
        self.write(
            "INSERT INTO runs (id, patch_n, session_id, error, end_time) VALUES (?1, 1, 's', ?2, ?3) "
            "ON CONFLICT (id) DO UPDATE SET patch_n = patch_n + 1, error = ?2, end_time = ?3",
            run, error, TIME.format(end),
        )  # fmt: skip

    @rule(run=RUNS)
    def hold_back_or_show(self, run: str) -> None:
        self.write("UPDATE runs SET post_n = -post_n WHERE id = ?", run)

    @rule(run=RUNS, parent=st.none() | st.just("parent"))
    def hang_below_another(self, run: str, parent: str | None) -> None:
        self.write("UPDATE runs SET parent_run_id = ? WHERE id = ?", parent, run)

    @rule(run=RUNS)
    def delete(self, run: str) -> None:
        self.write("DELETE FROM runs WHERE id = ?", run)

    @rule(
        name=st.sampled_from(["f0", "f1", "f2"]),
        run=st.none() | RUNS,
        key=st.sampled_from("ab"),
        score=st.none() | st.integers(0, 1),
    )
    def score(self, name: str, run: str | None, key: str, score: float | None) -> None:
        self.write(
            "INSERT OR REPLACE INTO feedback (id, run_id, session_id, key, score, value, created_at, body) "
            "VALUES (?, ?, 's', ?, ?, 'v', '', '')",
            name, run, key, score,
        )  # fmt: skip

    @rule(name=st.sampled_from(["f0", "f1", "f2"]))
    def take_a_score_back(self, name: str) -> None:
        self.write("DELETE FROM feedback WHERE id = ?", name)

    @rule(sign=st.integers(0, 9))
    def say_that_somebody_runs_it(self, sign: int) -> None:
        self.write("UPDATE sessions SET extra = json_set(extra, '$.metadata.alive', ?) WHERE id = 's'", sign)

    @rule(repetitions=st.integers(1, 2))
    def want_more_of_it(self, repetitions: int) -> None:
        self.write(
            "UPDATE sessions SET extra = json_set(extra, '$.metadata.num_repetitions', ?) WHERE id = 's'",
            repetitions,
        )

    @rule()
    def delete_an_example(self) -> None:
        self.write("UPDATE example_versions SET valid_to = ? WHERE example_id = 'e1'", TIME.format(8))

    @invariant()
    def the_kept_one_is_like_a_new_one(self) -> None:
        new = Digests(lambda: self.store.address, lambda _: None)
        assert self.all_of(self.kept) == self.all_of(new)
        new.close()

    def all_of(self, digests: Digests) -> dict[str, list[Any]]:
        with digests.at(self.store.commits):
            digests.scope("s")
            return {
                table: sorted(digests.rows(f"SELECT * FROM {table} WHERE session = 's'"), key=repr)
                for table in fill.TABLES
            }


Growth.TestCase.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)
TestGrowth = Growth.TestCase
