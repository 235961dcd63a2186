"""Reading an experiment back: the book V, and what was there before us.

Always by paged queries of the experiment, never run by run (`GET /runs/{id}` is limited to 30 a minute),
and always by id: a count hides a duplicate beside a hole. Raw JSON instead of the SDK's models, because
ten thousand validated models only to look at their ids would cost more than the evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langsmith import Client

from evalrunner.protocol.evaluated import EVALUATORS, Evaluated
from evalrunner.service.pages import query_runs
from evalrunner.service.paging import ATTEMPTS, PAGE, by_offset, portions

#: Ids in one request: one below a page, so that a page that is not full says that there is no other, where every
#: run has one score. They ride in a query string of 41 bytes each: under every proxy's limit.
IDS = PAGE - 1
_SELECT = ["id", "trace_id", "start_time", "end_time", "status", "error", "reference_example_id"]


@dataclass(frozen=True, slots=True)
class RootRun:
    """A root run of the experiment.

    Attributes:
        ended: it has an end_time; without one it is pending.
        error: its error, or None.
        example_id: the example it is linked to; without the link the experiment's view hides it.
        started: its start_time, as the service writes it.
    """

    id: str
    example_id: str | None
    ended: bool
    error: str | None
    started: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Score:
    """One feedback of a run (or, without `run_id`, of the experiment).

    Attributes:
        failed: it is the record of an evaluator's error.
        source: `model` for evaluators, `api` for code that posts by itself, `app` for people.
    """

    id: str
    run_id: str | None
    key: str
    score: float | None
    value: Any
    failed: bool
    comment: str | None
    source: str = "model"


class ReadBack:
    """Reads one experiment.

    Args:
        newer: as for `query_runs`.
        attempts: how often a request is tried.
        openings: live mode: a run has come back only if the post that opened it has, which alone carries its
            inputs (langsmith/run_trees.py:1040).
        hasty: a client that does not retry by itself, for `once`.
    """

    def __init__(
        self,
        client: Client,
        experiment_id: str,
        *,
        newer: bool = False,
        attempts: int = ATTEMPTS,
        openings: bool = False,
        hasty: Client | None = None,
    ) -> None:
        self._client = client
        self._experiment = experiment_id
        self._newer = newer
        self._attempts = attempts
        self._openings = openings
        self._hasty = hasty

    def once(self) -> ReadBack:
        """Return one that tries each request once, for whoever asks for many things that may fail."""
        client = self._hasty or self._client
        return ReadBack(client, self._experiment, newer=self._newer, attempts=1, openings=self._openings)

    def roots(self) -> Iterator[RootRun]:
        """Return every root run of the experiment, newest first."""
        for run in self._query(is_root=True):
            yield RootRun(
                str(run["id"]),
                run.get("reference_example_id"),
                run.get("end_time") is not None,
                run.get("error"),
                str(run.get("start_time") or ""),
            )

    def seen(self, run_ids: Sequence[str]) -> set[str]:
        """Return which of these runs the experiment shows, ended."""
        found: set[str] = set()
        for part in portions(run_ids, IDS):
            found.update(str(run["id"]) for run in self._query(ids=part) if self._is_whole(run))
        return found

    def _is_whole(self, run: dict[str, Any]) -> bool:
        return bool(run.get("end_time")) and not (self._openings and run.get("inputs") is None)

    def scores(self, run_ids: Sequence[str]) -> Iterator[Score]:
        """Return the feedback of these runs."""
        for part in portions(run_ids, IDS):
            yield from self._feedback({"run": list(part)})

    def evaluated(self, run_ids: Sequence[str]) -> dict[str, list[Evaluated]]:
        """Return what these root runs say of the evaluators that ran on them without an error (worker/publishing)."""
        found: dict[str, list[Evaluated]] = {}
        for part in portions(run_ids, IDS):
            for run in self._query(ids=part, select=["id", "extra"]):
                said = ((run.get("extra") or {}).get("metadata") or {}).get(EVALUATORS)
                if isinstance(said, dict):
                    found[str(run["id"])] = [
                        Evaluated(str(name), tuple(map(str, keys)))
                        for name, keys in said.items()
                        if isinstance(keys, list)
                    ]
        return found

    def session_scores(self) -> Iterator[Score]:
        """Return the experiment's own feedback (summary evaluators')."""
        for score in self._feedback({"session": [self._experiment], "level": "session"}):
            if score.run_id is None:
                yield score

    def _query(self, select: Sequence[str] | None = None, **narrowed: Any) -> Iterator[dict[str, Any]]:
        if select is None:
            select = [*_SELECT, "inputs"] if self._openings and "ids" in narrowed else _SELECT
        return query_runs(
            self._client, self._experiment, select, newer=self._newer, attempts=self._attempts, **narrowed
        )

    def _feedback(self, params: dict[str, Any]) -> Iterator[Score]:
        for page in by_offset(self._client, "/feedback", params, attempts=self._attempts):
            yield from map(_score, page)


def _score(row: dict[str, Any]) -> Score:
    score = row.get("score")
    return Score(
        id=str(row["id"]),
        run_id=row.get("run_id"),
        key=row["key"],
        score=float(score) if isinstance(score, (int, float)) else None,
        value=row.get("value"),
        failed=bool((row.get("extra") or {}).get("error") or row.get("error")),
        comment=row.get("comment"),
        source=str((row.get("feedback_source") or {}).get("type") or "model"),
    )
