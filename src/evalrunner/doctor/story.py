"""Everything that the service holds of one example of an experiment, in the order of time. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta, timezone
from typing import Any
from uuid import UUID

from evalrunner.doctor.asking import EVALUATORS, projects, root_runs
from evalrunner.doctor.evidence import metadata_of
from evalrunner.doctor.place import Place
from evalrunner.errors import ServiceError
from evalrunner.service.errors import told
from evalrunner.service.pages import query_runs
from evalrunner.service.paging import by_offset, portions
from evalrunner.verify.meant import moment

_ROOT = ("id", "name", "start_time", "end_time", "error")
_SHOWN = 120
#: A service writes an example down in several steps.
_CHANGED = timedelta(seconds=1)
_AT_ONCE = 50


@dataclass(frozen=True)
class Happened:
    """One thing that happened.

    Attributes:
        at: UTC, ISO 8601 with milliseconds; "" if it is not known.
        run: id of the run that it is about, or None.
    """

    at: str
    what: str
    run: str | None = None


@dataclass(frozen=True)
class Told:
    """What is known of an example.

    Attributes:
        complete: ids of its complete root runs.
        absent: ids of runs that evaluators looked at, and that are not there.
    """

    example: str
    happened: list[Happened]
    complete: list[str]
    absent: list[str]


def example_of(place: Place, named: str) -> dict[str, Any]:
    """Return an example of the experiment's dataset, by id or by the beginning of one.

    Raises:
        ServiceError: there is none, or several begin so.
    """
    with told(place.client):
        params: dict[str, Any] = {"dataset": str(place.dataset.id)}
        if _is_id(named):
            params["id"] = [named]
        pages = by_offset(place.client, "/examples", params)
        found = [row for page in pages for row in page if str(row["id"]).startswith(named.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(row["id"]) for row in found[:5])
        raise ServiceError(f"{len(found):,} examples begin with {named!r}: {names}; say more of the id")
    raise ServiceError(f"the dataset {place.dataset.name!r} has no example {named!r} (any more)")


def _is_id(named: str) -> bool:
    try:
        UUID(named)
    except ValueError:
        return False
    return True


def story(place: Place, row: Mapping[str, Any]) -> Told:
    """Read everything that is there of an example.

    Args:
        row: it, as `example_of` returns it.

    Raises:
        ServiceError: it cannot be read.
    """
    example = str(row["id"])
    with told(place.client):
        roots = list(root_runs(place, *_ROOT, matching=f'eq(reference_example_id, "{example}")'))
        there = {str(root["id"]) for root in roots}
        verdicts = list(_verdicts(place, example, there))
        happened = [
            *_example(row),
            *(one for root in roots for one in _run(root)),
            *_scores(place, sorted(there)),
            *(one for trace in verdicts for one in _verdict(trace, there)),
        ]
    absent = {str(metadata_of(trace)["target_run_id"]) for trace in verdicts} - there
    complete = [str(root["id"]) for root in roots if root.get("end_time")]
    in_order = sorted((replace(one, at=_utc(one.at)) for one in happened), key=lambda one: one.at)
    return Told(example, in_order, complete, sorted(absent))


def _utc(at: str) -> str:
    known = moment(at)
    return known.astimezone(timezone.utc).isoformat(timespec="milliseconds") if known else ""


def _example(row: Mapping[str, Any]) -> Iterator[Happened]:
    created, modified = str(row.get("created_at") or ""), str(row.get("modified_at") or "")
    yield Happened(created, "the example was made")
    began, changed = moment(created), moment(modified)
    if began and changed and changed - began >= _CHANGED:
        yield Happened(modified, "the example was changed, for the last time")


def _run(root: Mapping[str, Any]) -> Iterator[Happened]:
    run = str(root["id"])
    yield Happened(str(root.get("start_time") or ""), f"root run {root.get('name')!r} began", run)
    if root.get("end_time"):
        error = root.get("error")
        how = f"ended in an error: {_line(error)}" if error else "ended"
        yield Happened(str(root["end_time"]), f"root run {how}", run)
    else:
        yield Happened("", "root run has no end", run)


def _scores(place: Place, runs: list[str]) -> Iterator[Happened]:
    for part in portions(runs, _AT_ONCE):
        for page in by_offset(place.client, "/feedback", {"run": list(part)}):
            for row in page:
                given = row.get("score") if row.get("score") is not None else row.get("value")
                failed = (row.get("extra") or {}).get("error")
                what = (
                    f"{row.get('key')}: an error of its evaluator" if failed else f"{row.get('key')}: {given}"
                )
                yield Happened(str(row.get("created_at") or ""), what, str(row.get("run_id")))


def _verdicts(place: Place, example: str, runs: set[str]) -> Iterator[dict[str, Any]]:
    project = next(iter(projects(place, name=EVALUATORS)), None)
    if project is None:
        return
    select = ("id", "name", "start_time", "end_time", "error", "extra")
    matching = f'and(eq(metadata_key, "reference_example_id"), eq(metadata_value, "{example}"))'
    for trace in query_runs(
        place.client, str(project["id"]), select, newer=place.newer, is_root=True, matching=matching
    ):
        metadata = metadata_of(trace)
        of_ours = (
            metadata.get("experiment") in (place.name, place.id) or metadata.get("target_run_id") in runs
        )
        if of_ours and metadata.get("target_run_id"):
            yield trace


def _verdict(trace: Mapping[str, Any], there: set[str]) -> Iterator[Happened]:
    run = str(metadata_of(trace)["target_run_id"])
    what = f"evaluator {trace.get('name')!r} looked at it"
    if run not in there:
        what = f"evaluator {trace.get('name')!r} looked at a run that is not there"
    error = trace.get("error")
    yield Happened(
        str(trace.get("start_time") or ""), what + (f", and raised: {_line(error)}" if error else ""), run
    )


def _line(text: Any) -> str:
    first = str(text).strip().partition("\n")[0]
    return first if len(first) <= _SHOWN else first[:_SHOWN] + "..."
