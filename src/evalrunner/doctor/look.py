"""Reading what tells one cause from another. Nothing is written, and nothing is asked that no symptom asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

from langsmith.utils import LangSmithError

from evalrunner.doctor.asking import EVALUATORS, contents_of_examples, inputs_of_runs, projects, root_runs
from evalrunner.doctor.evidence import Evidence, Score, Stray, Verdict, metadata_of, rate, score
from evalrunner.doctor.place import Place
from evalrunner.doctor.survey import Root, Survey
from evalrunner.doctor.symptoms import complete, unscored
from evalrunner.doctor.verdicts import verdicts
from evalrunner.service.errors import told
from evalrunner.service.pages import query_runs
from evalrunner.service.paging import PAGE, by_offset, portions
from evalrunner.verify.apart import OUTAGE
from evalrunner.verify.meant import moment

#: Marks a run of LangSmith's pytest plugin.
TEST_SUITE = "LANGSMITH_TEST_SUITE"
#: So many ids are asked for at once within a filter.
_AT_ONCE = 50
#: Projects that are looked through for what is missing here.
_PROJECTS = 50
#: Siblings begin within this time of each other: the processes of one job.
_NEAR = timedelta(hours=1)
#: Scores of more root runs are not read just to find some of runs that are not there.
_FEW = 2_000


def look(place: Place, seen: Survey) -> Evidence:
    """Read what the symptoms of an experiment ask for.

    Raises:
        ServiceError: it cannot be read.
    """
    counts = complete(seen)
    missing = [one for one, runs in counts.items() if len(runs) < seen.repetitions]
    lacking = unscored(seen)
    with told(place.client):
        latest = list(islice(root_runs(place, "id", "extra", "inputs"), PAGE))
        judged = _judged(place, seen, missing, lacking)
        unlinked = [root.id for root in seen.roots if root.ended and root.example is None]
        return Evidence(
            judged,
            _scores(place, seen, judged, missing, lacking),
            _strays(place, missing) if missing else (),
            _parts(place, seen, missing) if missing or seen.meant.left_out else (),
            rate(latest),
            any(TEST_SUITE in metadata_of(row) for row in latest),
            _hidden(place, seen, latest),
            inputs_of_runs(place, unlinked) if missing else {},
            _inputs(contents_of_examples(place, missing)) if unlinked else {},
        )


def _hidden(place: Place, seen: Survey, latest: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Return the root runs without inputs, of examples that have some: all are looked at if one of the latest is."""
    named = {root.id for root in seen.roots if root.example is not None and root.example not in seen.empty}

    def without(rows: Iterable[Mapping[str, Any]]) -> frozenset[str]:
        return frozenset(str(row["id"]) for row in rows if not row.get("inputs")) & named

    found = without(latest)
    return without(root_runs(place, "id", "inputs")) if found and len(seen.roots) > len(latest) else found


def _judged(place: Place, seen: Survey, missing: Sequence[str], lacking: Sequence[Root]) -> Sequence[Verdict]:
    """Return the evaluators' traces over what lacks something; and of some that lack nothing, or of all.

    An evaluator that raises wherever it is asked, and whose key the SDK does not know, is missed by no score.
    """
    roots = {root.id: root for root in seen.roots}
    pending = {root.id for root in seen.roots if not root.ended}
    whole = [root.id for root in seen.roots if root.ended and root.example is not None]
    sample = whole[:_AT_ONCE]
    looked = {*pending, *sample, *(root.id for root in lacking)}
    found = verdicts(place, roots, missing, looked) if missing or looked else ()
    silent = any(one.failed and one.run in sample and not roots[one.run].errors for one in found)
    return (
        verdicts(place, roots, missing, {*looked, *whole}) if silent and len(whole) > len(sample) else found
    )


def _scores(
    place: Place,
    seen: Survey,
    judged: Sequence[Verdict],
    missing: Sequence[str],
    lacking: Sequence[Root],
) -> list[Score] | None:
    """Return the feedback of the runs that lack a score; where no evaluator left a trace of what is missing, all."""
    asked = {one.run for one in judged if one.gave or one.failed}
    there = {root.id for root in seen.roots}
    if missing and not asked - there and len(there) <= _FEW:
        return list(_feedback(place, {"session": [place.id]}))
    wanted = [root.id for root in lacking if root.id in asked]
    if not wanted:
        return None
    return [one for part in portions(wanted, _AT_ONCE) for one in _feedback(place, {"run": list(part)})]


def _feedback(place: Place, params: dict[str, Any]) -> Iterator[Score]:
    for page in by_offset(place.client, "/feedback", params):
        yield from (score(row) for row in page if row.get("run_id"))


def _strays(place: Place, missing: Sequence[str]) -> list[Stray]:
    """Return root runs in tracing projects of the examples that lack one here, begun since the experiment was."""
    since = (place.began - _NEAR).isoformat()
    tracing = [
        one
        for one in projects(place, reference_free=True, limit=_PROJECTS)
        if one.get("name") != EVALUATORS and one["id"] != place.id
    ]
    try:
        return list(_naming(place, tracing, missing, since))
    except OUTAGE:
        raise
    except LangSmithError:
        # A service that does not take lists in a filter of runs does not tell what is elsewhere.
        return []


def _parts(place: Place, seen: Survey, missing: Sequence[str]) -> list[Stray]:
    """Return the runs of experiments that look like parts of this one.

    The processes of one job, each with an experiment of its own: they have one prefix, ran at the same time, and no
    example is in two of them. A comparison, or one split after another, is none; what is missing here and is there
    may have come later.
    """
    mine = {root.example for root in seen.roots if root.example is not None}
    found: list[Stray] = []
    for one in _siblings(place):
        runs = list(_naming(place, [one], None, ""))
        if runs and mine.isdisjoint(run.example for run in runs):
            together = _together(seen, runs)
            found += [run for run in runs if together or run.example in missing]
    return found


def _together(seen: Survey, runs: Sequence[Stray]) -> bool:
    """Whether two experiments ran at the same time: each began before the other had begun its last run."""
    ours = sorted(root.started for root in seen.roots if moment(root.started))
    theirs = sorted(run.started for run in runs if moment(run.started))
    return bool(ours and theirs) and ours[0] <= theirs[-1] and theirs[0] <= ours[-1]


def _stem(name: str) -> str:
    return name.rpartition("-")[0]


def _siblings(place: Place) -> list[dict[str, Any]]:
    """Return the other experiments over the dataset with the same prefix, made at about the same time."""
    near = []
    for one in projects(place, reference_dataset=str(place.dataset.id), limit=PAGE):
        began = moment(str(one.get("start_time") or ""))
        alike = one["id"] != place.id and _stem(str(one.get("name"))) == _stem(place.name)
        if alike and began is not None and abs(began - place.began) <= _NEAR:
            near.append(one)
    return near[:_PROJECTS]


def _naming(
    place: Place,
    projects: Sequence[Mapping[str, Any]],
    examples: Collection[str] | None,
    since: str,
) -> Iterator[Stray]:
    names = {str(one["id"]): str(one.get("name")) for one in projects}
    if not names:
        return
    select = ("id", "reference_example_id", "start_time", "session_id" if not place.newer else "project_id")
    asked = [None] if examples is None else list(portions(sorted(examples), _AT_ONCE))
    for part in asked:
        listed = ", ".join(f'"{one}"' for one in part or ())
        matching = f"in(reference_example_id, [{listed}])" if part is not None else None
        for row in query_runs(
            place.client, list(names), select, newer=place.newer, is_root=True, matching=matching
        ):
            started = str(row.get("start_time") or "")
            if row.get("reference_example_id") and started >= since:
                project = names.get(str(row.get("session_id") or row.get("project_id")), "")
                yield Stray(str(row["id"]), str(row["reference_example_id"]), project, started)


def _inputs(examples: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {one: row.get("inputs") for one, row in examples.items()}
