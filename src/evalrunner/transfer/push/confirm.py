"""Reading the copy back, by id: what is asked for beside its traces, and what they lack, run by run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import requests
from langsmith import Client
from langsmith import utils as sdk

from evalrunner.transfer.push.place import present
from evalrunner.transfer.push.plan import Plan
from evalrunner.transfer.remote.calls import ASK, named, rows
from evalrunner.transfer.upload.confirm import Confirmer, Lack, together, unread
from evalrunner.transfer.upload.index import Index, State, Tree
from evalrunner.transfer.upload.there import Destination

_UNSEEN = f"SELECT id, source FROM examples WHERE id > ? AND NOT seen ORDER BY id LIMIT {ASK}"  # noqa: S608
#: Why something that was accepted is a hole.
_SILENT, _HALF = "accepted, but it does not come back", "it is there, but without its end"
Hole = dict[str, str]
"""Kind, id, source_id and reason."""


class Copy(Destination):
    """The copy's projects: the experiment, and those of the evaluators' traces, which may not exist yet.

    Args:
        names: of the latter.
    """

    def __init__(self, client: Client, experiment: str, names: Sequence[str], *, newer: bool) -> None:
        super().__init__(client, experiment, newer=newer)
        self._found = [experiment]
        self._names = list(names)

    def projects(self) -> list[str]:
        """Return the ids of those that are there."""
        for name in list(self._names):
            if found := named(self._client, "/sessions", name):
                self._found.append(found["id"])
                self._names.remove(name)
        return self._found


class Beside:
    """What belongs to a copy beside its traces: the dataset's examples, and the experiment's own feedback.

    Attributes:
        feedback: ids of the latter that are not there, with those of the originals.
        refused: of these, what the destination said when it did not take them.
        trouble: why the destination could not be read the last time, or "".
    """

    def __init__(
        self, client: Client, index: Index, dataset: UUID, experiment: str, feedback: dict[str, str]
    ) -> None:
        self._client, self._index, self._dataset, self._experiment = client, index, dataset, experiment
        self.feedback = feedback
        self.refused: dict[str, str] = {}
        self.trouble = ""

    def own_feedback(self) -> Iterator[dict[str, Any]]:
        """Return the feedback that the experiment itself has there."""
        params = {"session": [self._experiment], "level": "session"}
        return rows(self._client, "/feedback", params)

    def look(self) -> bool:
        """Ask once; True if there is nothing to wait for. An outage is no answer."""
        try:
            for some in self._unseen():
                found = present(self._client, self._dataset, [one for one, _ in some])
                with self._index.db:
                    self._index.db.executemany(
                        "UPDATE examples SET seen = 1 WHERE id = ?", [(one,) for one in found]
                    )
            for row in self.own_feedback() if self.feedback else ():
                self.feedback.pop(row["id"], None)
            self.trouble = ""
        except (sdk.LangSmithError, requests.RequestException) as error:
            self.trouble = unread(error)
        waits = next(self._unseen(), None) is not None or self.feedback.keys() - self.refused.keys()
        return not self.trouble and not waits

    def _unseen(self) -> Iterator[list[tuple[str, str]]]:
        page = [("", "")]
        while page := self._index.db.execute(_UNSEEN, (page[-1][0],)).fetchall():
            yield page

    def missing(self) -> Iterator[Hole]:
        """Return what is not there."""
        for some in self._unseen():
            for one, source in some:
                yield {"kind": "example", "id": one, "source_id": source, "reason": self._reason(one)}
        for one, source in self.feedback.items():
            yield {"kind": "feedback", "id": one, "source_id": source, "reason": self._reason(one)}

    def _reason(self, one: str) -> str:
        return self.refused.get(one) or self.trouble or _SILENT


def holes(plan: Plan, confirmer: Confirmer, state: State) -> Iterator[Hole]:
    """Return what is not there of the traces in a state."""
    for some in together(plan.index.trees("state = ?", int(state))):
        trouble, lacking = confirmer.trouble, dict[int, Lack]()
        if not trouble:
            try:
                lacking = confirmer.lacking(some)
            except (sdk.LangSmithError, requests.RequestException) as error:
                trouble = unread(error)
        for tree in some:
            if lack := _all_of(plan, tree) if trouble else lacking.get(tree.n):
                yield from _of(plan, tree, lack, trouble)


def _all_of(plan: Plan, tree: Tree) -> Lack:
    runs = plan.placed([tree])[tree.n]
    return Lack(len(runs), runs, (), [score for one in runs for score in plan.score_ids(one)])


def _of(plan: Plan, tree: Tree, lack: Lack, trouble: str) -> Iterator[Hole]:
    silent, half = tree.reason or trouble or _SILENT, tree.reason or _HALF
    sources = {
        score: source for one in plan.placed([tree])[tree.n] for score, source in plan.rated(one).items()
    }
    for reason, runs in ((silent, lack.absent), (half, lack.unended)):
        for one in runs:
            yield {"kind": "run", "id": one.id, "source_id": str(one.row.id), "reason": reason}
    for score in lack.unscored:
        yield {"kind": "feedback", "id": score, "source_id": sources[score], "reason": silent}
