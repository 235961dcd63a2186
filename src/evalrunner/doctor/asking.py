"""What is asked for by id, or by name: whole runs, inputs, projects. LangSmithError where it cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from evalrunner.doctor.place import Place
from evalrunner.service.pages import query_runs
from evalrunner.service.paging import PAGE, by_offset, portions

#: Evaluators' traces go there (langsmith/evaluation/_arunner.py, `_addressed_to_project`).
EVALUATORS = "evaluators"


def projects(place: Place, **params: Any) -> list[dict[str, Any]]:
    """Return projects of the service, at most `limit` (1); further parameters as `GET /sessions` takes them."""
    limit = params.pop("limit", 1)
    return [row for page in by_offset(place.client, "/sessions", params, limit=limit) for row in page]


def root_runs(place: Place, *select: str, **narrowed: Any) -> Iterator[dict[str, Any]]:
    """Yield root runs of the experiment, latest start first; arguments as `query_runs`."""
    return query_runs(place.client, place.id, select, newer=place.newer, is_root=True, **narrowed)


def whole(place: Place, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield root runs of the experiment with all that a copy needs.

    Raises:
        LangSmithError: they cannot be read.
    """
    select = (
        "id",
        "name",
        "run_type",
        "start_time",
        "end_time",
        "inputs",
        "outputs",
        "error",
        "extra",
        "tags",
    )
    for part in portions(ids, PAGE):
        yield from root_runs(place, *select, ids=list(part))


def of_evaluators(place: Place, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield these traces of evaluators, with what they were given and what they returned.

    Raises:
        LangSmithError: they cannot be read.
    """
    project = next(iter(projects(place, name=EVALUATORS)), None)
    select = ("id", "name", "start_time", "extra", "inputs", "outputs")
    if project is None:
        return
    for part in portions(ids, PAGE):
        yield from query_runs(
            place.client, str(project["id"]), select, newer=place.newer, is_root=True, ids=list(part)
        )


def inputs_of_runs(place: Place, ids: Sequence[str]) -> dict[str, Any]:
    """Return the inputs of these root runs."""
    found = {}
    for part in portions(ids, PAGE):
        for row in root_runs(place, "id", "inputs", ids=list(part)):
            found[str(row["id"])] = row.get("inputs")
    return found


def contents_of_examples(place: Place, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return these examples as the service has them."""
    found = {}
    for part in portions(ids, PAGE):
        for page in by_offset(place.client, "/examples", {"id": list(part)}):
            found.update({str(row["id"]): row for row in page})
    return found
