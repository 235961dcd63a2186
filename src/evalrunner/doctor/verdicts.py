"""Evaluators' traces: which there are over what is missing or not scored, and of which example each is.

`evaluate` writes the example's id into their metadata (langsmith/evaluation/_runner.py:1611, 0.14.17) and `aevaluate`
does not (_arunner.py:936): then it is told by the run that the evaluator was given, or by what it was given of the
example, where that is one example's alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langsmith.utils import LangSmithError

from evalrunner.doctor.asking import EVALUATORS, contents_of_examples, of_evaluators, projects
from evalrunner.doctor.evidence import Verdict, verdict
from evalrunner.doctor.place import Place
from evalrunner.doctor.survey import Root
from evalrunner.service.pages import query_runs
from evalrunner.service.paging import portions
from evalrunner.verify.apart import OUTAGE

#: So many ids are asked for at once within a filter; of more than the second, all of the experiment.
_AT_ONCE, _ALL = 50, 2_000
_SELECT = ("id", "name", "extra", "outputs", "end_time", "error")


def verdicts(
    place: Place, roots: Mapping[str, Root], missing: Sequence[str], looked_at: Collection[str]
) -> list[Verdict]:
    """Return the evaluators' traces over runs of these examples, and over these runs.

    Args:
        roots: of the experiment, by id.
        missing: examples that lack a run.
        looked_at: root runs that lack a score, or an end.

    Raises:
        LangSmithError: they cannot be read.
    """
    project = next(iter(projects(place, name=EVALUATORS)), None)
    if project is None:
        return []
    found = _found(place, str(project["id"]), missing, looked_at)
    placed = [
        replace(one, example=roots[one.run].example) if one.run in roots and one.example is None else one
        for one in found
    ]
    strangers = [one for one in placed if one.run not in roots and one.example is None]
    examples = _examples(place, strangers, missing) if strangers else {}
    return [replace(one, example=one.example or examples.get(one.run)) for one in placed]


def _found(
    place: Place, project: str, missing: Sequence[str], looked_at: Collection[str]
) -> Collection[Verdict]:
    found: dict[str, Verdict] = {}

    def read(*matching: str) -> None:
        for one in matching:
            for row in query_runs(
                place.client, project, _SELECT, newer=place.newer, is_root=True, matching=one
            ):
                if (known := verdict(row, (place.name, place.id))) is not None:
                    found[known.id] = known

    everything = f'and(eq(metadata_key, "experiment"), eq(metadata_value, "{_quoted(place.name)}"))'
    if len(missing) + len(looked_at) > _ALL:
        read(everything)
        return found.values()
    try:
        read(*_naming("reference_example_id", missing), *_naming("target_run_id", sorted(looked_at)))
    except OUTAGE:
        raise
    except LangSmithError:
        # Lists in a filter of metadata are written down nowhere: a service that does not take them is asked for all.
        read(everything)
        return found.values()
    if not set(missing) <= {one.example for one in found.values()}:
        read(everything)
    return found.values()


def _naming(key: str, ids: Sequence[str]) -> Iterator[str]:
    for part in portions(ids, _AT_ONCE):
        listed = ", ".join(f'"{one}"' for one in part)
        yield f'and(eq(metadata_key, "{key}"), in(metadata_value, [{listed}]))'


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _examples(place: Place, strangers: Sequence[Verdict], missing: Sequence[str]) -> dict[str, str]:
    """Return run -> example of runs that are not there, as far as what evaluators were given tells."""
    runs = {one.id: one.run for one in strangers}
    rows = {str(row["id"]): row.get("inputs") for row in of_evaluators(place, list(runs))}
    found: dict[str, str] = {}
    for trace, given in rows.items():
        whole = given.get("run") if isinstance(given, dict) else None
        if isinstance(whole, dict) and isinstance(whole.get("reference_example_id"), str):
            found[runs[trace]] = whole["reference_example_id"]
    left = {trace: given for trace, given in rows.items() if runs[trace] not in found}
    contents = contents_of_examples(place, missing) if left else {}
    for trace, given in left.items():
        alike = [one for one, row in contents.items() if _is_of(given, row)]
        if len(alike) == 1:
            found[runs[trace]] = alike[0]
    return found


def _is_of(given: Any, example: Mapping[str, Any]) -> bool:
    """Whether an evaluator was given an example's inputs or outputs."""
    if not isinstance(given, dict):
        return False
    told = [(given[name], example.get(field)) for name, field in _GIVEN.items() if given.get(name)]
    return bool(told) and all(one == other for one, other in told)


#: An evaluator's argument -> what of the example it gets.
_GIVEN = {"inputs": "inputs", "reference_outputs": "outputs"}
