"""Pages of examples by offset: what a bookmark answers is what counting from the beginning answers."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalbackend.http.presign import Signer
from evalbackend.store.bookmarks import Bookmarks
from evalbackend.store.datasets import create_dataset
from evalbackend.store.db import Store
from evalbackend.store.examples_delete import end_examples, erase_examples
from evalbackend.store.examples_query import ExampleQuery
from evalbackend.store.examples_read import ExampleReader
from evalbackend.store.examples_write import create_examples, update_examples
from evalbackend.store.versions import set_tag
from evalbackend.wire.examples import ExampleWrite

SIGNER = Signer(b"secret")
KINDS = ("plain", "then", "tag", "split", "filter", "ids", "ids only")


class Shelf:
    """A dataset in a store, read with bookmarks and without."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.dataset = str(uuid.uuid4())
        self.write(lambda c: create_dataset(c, {"id": self.dataset, "name": self.dataset}))
        self.ids: list[str] = []
        self.stamps: list[str] = []
        self.bookmarks = Bookmarks()

    def write(self, work: Any) -> Any:
        return asyncio.run(self.store.write(work))

    def add(self, count: int, split: str = "a") -> None:
        writes = [
            # Some of the same moment, some older than those before: the order is the time's, then the id's.
            ExampleWrite(
                str(uuid.uuid4()), f"2026-01-0{1 + n % 3}T00:00:00.000000+00:00", split=[split], inputs=b"{}"
            )
            for n in range(count)
        ]
        self.stamps.append(self.write(lambda c: create_examples(c, self.dataset, writes)))
        self.ids += [write.id for write in writes]

    def page(self, query: ExampleQuery, bookmarks: Bookmarks | None) -> list[str]:
        def read(connection: sqlite3.Connection) -> list[str]:
            reader = ExampleReader(connection, "t", SIGNER, bookmarks)
            return [example["id"] for example in reader.page(query)]

        return asyncio.run(self.store.read(read))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(tmp_path_factory.mktemp("store") / "store.sqlite")
    yield opened
    opened.close()


def query(shelf: Shelf, kind: str, offset: int, limit: int) -> ExampleQuery:
    asked = ExampleQuery(limit=limit, offset=offset)
    some = shelf.ids[::2] if kind.startswith("ids") else []
    asked.among([] if kind == "ids only" else [shelf.dataset], some)
    asked.as_of({"then": shelf.stamps[0], "tag": "good"}.get(kind))
    asked.splits(["b"] if kind == "split" else [])
    if kind == "filter":
        asked.filter('exists(metadata, "dataset_split")')
    return asked


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_page_is_what_counting_would_give_whatever_is_written_between(store: Store, data: Any) -> None:
    shelf = Shelf(store)
    shelf.add(data.draw(st.integers(3, 12)))
    shelf.write(lambda c: set_tag(c, shelf.dataset, shelf.stamps[0], "good"))
    offsets = dict.fromkeys(KINDS, 0)
    for _ in range(data.draw(st.integers(5, 25))):
        what = data.draw(st.sampled_from(("page", "page", "page", "add", "end", "erase", "split", "tag")))
        if what == "page":
            kind = data.draw(st.sampled_from(KINDS))
            offset = data.draw(st.sampled_from((0, offsets[kind], offsets[kind], 2)))
            asked = query(shelf, kind, offset, data.draw(st.integers(1, 4)))
            found = shelf.page(asked, shelf.bookmarks)
            assert found == shelf.page(asked, None), (kind, offset)
            offsets[kind] = offset + len(found)
        elif what == "add":
            shelf.add(data.draw(st.integers(1, 4)), data.draw(st.sampled_from("ab")))
        elif what == "tag":
            stamp = data.draw(st.sampled_from(shelf.stamps))
            shelf.write(lambda c, stamp=stamp: set_tag(c, shelf.dataset, stamp, "good"))
        elif len(shelf.ids) > 1:
            change(shelf, what, shelf.ids.pop(data.draw(st.integers(0, len(shelf.ids) - 1))))


def change(shelf: Shelf, what: str, one: str) -> None:
    """Put an example into another split, or end it, or erase it from every version."""
    if what == "split":
        shelf.ids.append(one)
        moved = [ExampleWrite(one, split=["b"])]
        shelf.stamps.append(shelf.write(lambda c: update_examples(c, shelf.dataset, moved)))
    else:
        work = end_examples if what == "end" else erase_examples
        shelf.write(lambda c: work(c, [one]))


def test_the_last_page_costs_what_the_first_one_costs(store: Store) -> None:
    """In steps of SQLite's machine, which no busy neighbour changes."""
    shelf = Shelf(store)
    shelf.add(3000)
    steps: list[int] = []

    def read(connection: sqlite3.Connection) -> None:
        reader = ExampleReader(connection, "t", SIGNER, shelf.bookmarks)

        def step() -> None:
            steps[-1] += 1

        for offset in range(0, 3000, 100):
            steps.append(0)
            connection.set_progress_handler(step, 10)
            assert len(reader.page(query(shelf, "plain", offset, 100))) == 100
        connection.set_progress_handler(None, 0)

    asyncio.run(store.read(read))
    assert max(steps) <= 2 * steps[0], steps


def test_bookmarks_that_nobody_comes_back_to_are_forgotten() -> None:
    marks = Bookmarks()
    for number in range(2000):
        marks.keep("listing", number, "now", (str(number), ""))
    assert marks.find("listing", 0, "now") is None
    assert marks.find("listing", 1999, "now") == ("1999", "")
    assert marks.find("listing", 1999, "later") is None
