"""What is read of an experiment to tell what is there: itself, its runs, its dataset's examples. Nothing is written.

Small fields only: some 2 MB for 10,000 runs, in pages of 100.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langsmith import Client

from evalrunner.doctor.place import Place
from evalrunner.service.errors import told
from evalrunner.service.pages import query_runs
from evalrunner.service.paging import by_offset
from evalrunner.service.past import examples_then
from evalrunner.verify.intent import Intent, intent, texts, version_of
from evalrunner.verify.meant import Example, Meant, choose, example, positive

_ROOT = ("id", "name", "start_time", "end_time", "error", "reference_example_id", "feedback_stats")
#: The place in the trace says whose child it is, in both generations of reads.
_CHILD = ("id", "name", "trace_id", "dotted_order", "start_time", "end_time")


@dataclass(frozen=True, slots=True)
class Root:
    """A root run.

    Attributes:
        example: that it names, or None.
        started, ended_at: as the service writes it; "" without an end.
        failed: it has an error.
        scores: feedback key -> how often it was given.
        errors: feedback key -> how many of these record that an evaluator raised.
    """

    id: str
    name: str
    example: str | None
    started: str
    ended: bool
    failed: bool = False
    scores: Mapping[str, int] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    ended_at: str = ""


@dataclass(frozen=True, slots=True)
class Child:
    """A run below another; `started` as the service writes it."""

    id: str
    trace: str
    parent: str
    ended: bool
    name: str = ""
    started: str = ""


@dataclass(frozen=True)
class Survey:
    """What was read.

    Attributes:
        meant: the examples that the experiment was meant to hold.
        repetitions: of each.
        linked: the experiment names its dataset.
        version, splits: what its metadata says of the dataset: LangSmith's view shows no other examples.
        began: when the experiment was made.
        empty: examples that have no inputs.
        last_repetitions: what the last writer of its metadata was asked for, or None.
    """

    experiment: str
    experiment_id: str
    dataset: str
    linked: bool
    meant: Meant
    repetitions: int
    version: str | None
    splits: tuple[str, ...]
    roots: Sequence[Root]
    children: Sequence[Child]
    began: str = ""
    empty: frozenset[str] = frozenset()
    last_repetitions: int | None = None


def survey(place: Place) -> Survey:
    """Read an experiment, whoever made it.

    Raises:
        ServiceError: it cannot be read.
    """
    client, newer, metadata = place.client, place.newer, place.metadata
    said = intent(place.facts, metadata, place.began)
    empty: set[str] = set()
    with told(client):
        # Runs before examples: one that is made meanwhile is no stranger.
        roots = [_root(row) for row in query_runs(client, place.id, _ROOT, newer=newer, is_root=True)]
        below = query_runs(client, place.id, _CHILD, newer=newer, is_root=False)
        children = [_child(row) for row in below]
        examples = list(_examples(client, str(place.dataset.id), said, empty))
        meant = _meant(
            said,
            examples,
            roots,
            lambda when: list(map(example, examples_then(client, str(place.dataset.id), when))),
        )
    return Survey(
        place.name,
        place.id,
        place.dataset.name,
        place.linked,
        meant,
        said.repetitions,
        version_of(metadata),
        texts(metadata.get("dataset_splits")),
        roots,
        children,
        place.began.isoformat(),
        frozenset(empty),
        positive(metadata.get("num_repetitions")),
    )


def _meant(
    said: Intent,
    examples: Sequence[Example],
    roots: Sequence[Root],
    then: Callable[[str], Sequence[Example]],
) -> Meant:
    linked = [root for root in roots if root.example is not None]
    if said.told is None or not linked:
        return Meant(examples, "")
    last = max(root.started for root in linked)
    ids = {str(root.example) for root in linked}
    return choose(said.told, examples, ids, last, then)


def _examples(client: Client, dataset: str, said: Intent, empty: set[str]) -> Iterator[Example]:
    asked = {"dataset": dataset, "as_of": said.as_of, "splits": list(said.splits) or None}
    params = {name: value for name, value in asked.items() if value is not None}
    seen: set[str] = set()
    for page in by_offset(client, "/examples", params, limit=said.limit):
        empty.update(row["id"] for row in page if not row.get("inputs"))
        for row in page:
            if row["id"] not in seen:
                seen.add(row["id"])
                yield example(row)


def _root(row: Mapping[str, Any]) -> Root:
    stats = row.get("feedback_stats")
    given = (
        {key: one for key, one in stats.items() if isinstance(one, dict)} if isinstance(stats, dict) else {}
    )
    return Root(
        str(row["id"]),
        str(row.get("name") or ""),
        row.get("reference_example_id"),
        str(row.get("start_time") or ""),
        row.get("end_time") is not None,
        bool(row.get("error")),
        {key: int(one.get("n") or 0) for key, one in given.items()},
        {key: int(one["errors"]) for key, one in given.items() if one.get("errors")},
        str(row.get("end_time") or ""),
    )


def _child(row: Mapping[str, Any]) -> Child:
    return Child(
        str(row["id"]),
        str(row.get("trace_id") or ""),
        str(row.get("dotted_order") or "").rpartition(".")[0][-36:],
        row.get("end_time") is not None,
        str(row.get("name") or ""),
        str(row.get("start_time") or ""),
    )
