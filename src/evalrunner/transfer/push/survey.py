"""What there is to push, noted in an index: ids and times of the experiment's runs, and of its evaluators'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from langsmith import Client

from evalrunner.service.pages import older_pages
from evalrunner.service.paging import PAGE, by_offset
from evalrunner.transfer.files.times import read_moment
from evalrunner.transfer.push.transform import evaluator_run
from evalrunner.transfer.remote.calls import get
from evalrunner.transfer.upload.index import Index, Row, writing

_INDEX = ["id", "trace_id", "start_time", "end_time", "session_id", "reference_example_id"]
#: Runs that came twice (a page was read while the experiment changed) count once.
_TREES = """
DELETE FROM runs WHERE n NOT IN (SELECT min(n) FROM runs GROUP BY id);
UPDATE runs SET scores = 1 WHERE id IN (SELECT run FROM rated);
INSERT INTO trees (key, runs, size, start, newest)
SELECT trace, count(*), 0, min(start), max(max(start, coalesce(finish, start)))
  FROM runs GROUP BY trace ORDER BY min(n);
INSERT INTO placed SELECT trees.n, 0, runs.start, runs.n FROM runs JOIN trees ON trees.key = runs.trace;
"""


class Survey:
    """Fills an index.

    Args:
        client: of the source.
    """

    def __init__(self, client: Client, experiment: str, index: Index) -> None:
        self._client, self._experiment, self._index = client, experiment, index
        self._numbers = count(1)

    def carry_out(self) -> None:
        """Do it.

        Raises:
            RunFolderError: the index cannot be written.
        """
        with writing(self._index.path, begun=False):
            self._index.fill(self._runs({"session": [self._experiment]}, elsewhere=False))
            self._feedback()
            self._follow_judges()
            self._index.db.executescript(_TREES)
            self._index.db.commit()

    def _runs(self, body: dict[str, Any], *, elsewhere: bool) -> Iterator[Row]:
        names: dict[str, str] = {}
        for run in older_pages(self._client, {**body, "select": _INDEX}):
            if run.get("reference_example_id"):
                self._note("used", [(run["reference_example_id"],)])
            if elsewhere:
                session = run["session_id"]
                if session not in names:
                    names[session] = get(self._client, f"/sessions/{session}")["name"]
                self._note("elsewhere", [(run["trace_id"], names[session])])
            yield self._row(run)

    def _row(self, run: dict[str, Any]) -> Row:
        finish = run.get("end_time")
        return Row(
            next(self._numbers), 0, None, 0, 0, run["id"], run["trace_id"], None,
            read_moment(run["start_time"]), read_moment(finish) if finish else None,
        )  # fmt: skip

    def _feedback(self) -> None:
        """Note the feedback of the runs, and who gave it."""
        for page in by_offset(self._client, "/feedback", {"session": [self._experiment]}):
            self._note("rated", [(row["run_id"], row["id"]) for row in page if row.get("run_id") is not None])
            self._note("judges", [(judge,) for row in page if (judge := evaluator_run(row))])
        self._index.db.execute("DELETE FROM rated WHERE run NOT IN (SELECT id FROM runs)")
        self._index.db.execute("DELETE FROM judges WHERE run IN (SELECT id FROM runs)")

    def _follow_judges(self) -> None:
        for some in self._pages("judges", "run"):
            found = older_pages(self._client, {"id": some, "select": ["trace_id"]})
            self._note("led", [(run["trace_id"],) for run in found])
        self._index.db.execute("DELETE FROM led WHERE trace IN (SELECT trace FROM runs)")
        for some in self._pages("led", "trace"):
            self._index.fill(self._runs({"trace": some}, elsewhere=True))

    def _pages(self, table: str, column: str) -> Iterator[list[str]]:
        """Return a table's only column page by page."""
        query = f"SELECT {column} FROM {table} WHERE {column} > ? ORDER BY {column} LIMIT {PAGE}"  # noqa: S608
        page = [""]
        while page := [row[0] for row in self._index.db.execute(query, (page[-1],))]:
            yield page

    def _note(self, table: str, rows: Iterable[tuple[str, ...]]) -> None:
        for row in rows:
            marks = ", ".join("?" * len(row))
            self._index.db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608
