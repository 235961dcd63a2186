"""Why: each symptom of an experiment, divided by the causes that the evidence leaves. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalrunner.doctor.case import Case, Ids
from evalrunner.doctor.causes import Cause
from evalrunner.doctor.codes import Code
from evalrunner.doctor.evidence import Evidence
from evalrunner.doctor.inside import Inside
from evalrunner.doctor.survey import Survey
from evalrunner.doctor.symptoms import Symptom
from evalrunner.doctor.why import Why, certain


@dataclass(frozen=True)
class Finding:
    """A symptom, or the part of it that has one explanation; `text` as people read it."""

    code: Code
    text: str
    why: Why
    ids: Sequence[Ids]


def diagnose(
    seen: Survey,
    found: Sequence[Symptom],
    evidence: Evidence,
    inside: Inside | None = None,
    *,
    fresh: bool = False,
) -> list[Finding]:
    """Return why, symptom by symptom, in their order.

    Args:
        found: the symptoms of `seen`.
        inside: what was found where the experiment was made, or None if nobody looked.
        fresh: more may come.
    """
    case = Case(seen, evidence, inside, fresh=fresh)
    ways: Mapping[Code, Callable[[Ids], Why]] = {
        Code.RUN_MISSING: case.missing,
        Code.RUN_PENDING: case.pending,
        Code.RUN_UNDER_WAY: lambda _: Why((Cause.STILL_RUNNING,), False, "they began a short while ago"),
        Code.RUN_UNLINKED: case.unlinked,
        Code.RUN_DUPLICATE: lambda _: certain(
            Cause.RUN_TWICE, "an execution is the only thing that makes a run"
        ),
        Code.VIEW_HIDDEN: lambda _: certain(
            Cause.LAST_WRITER, "runs are there of examples that they leave out"
        ),
        Code.TRACE_HEADLESS: case.cut,
        Code.CHILD_ORPHAN: case.cut,
        Code.CHILD_PENDING: case.cut,
        Code.SCORE_FAILED: lambda _: certain(Cause.EVALUATOR_RAISED, "the error stands on the runs"),
        Code.SCORE_SILENT: lambda _: certain(Cause.RAISED_SILENTLY, "their traces ended in an error"),
        Code.SCORE_LOST: lambda _: certain(Cause.FEEDBACK_LOST, "the evaluators' traces hold what they gave"),
        Code.VIEW_SPLIT: lambda _: certain(
            Cause.ELSEWHERE, "experiments of the same prefix ran at the same time, over other examples"
        ),
        Code.VIEW_NO_DATASET: lambda _: certain(Cause.NO_DATASET, "the project names no dataset"),
        Code.VIEW_INPUTS_HIDDEN: lambda _: certain(Cause.INPUTS_HIDDEN, "their examples have inputs"),
    }
    return [
        Finding(symptom.code, _text(symptom, ids), why, ids)
        for symptom in found
        for why, ids in _divided(symptom.ids, ways.get(symptom.code, lambda _: Why()))
    ]


def _text(symptom: Symptom, ids: Sequence[Ids]) -> str:
    if len(ids) == len(symptom.ids):
        return symptom.text
    return f"{len(ids):,} of {len(symptom.ids):,} ({symptom.text})"


def _divided(ids: Sequence[Ids], way: Callable[[Ids], Why]) -> Iterable[tuple[Why, list[Ids]]]:
    groups: dict[Why, list[Ids]] = {}
    for one in ids:
        groups.setdefault(way(one), []).append(one)
    return groups.items()
