"""Symptoms that only evaluators' traces, or other experiments, show. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from evalrunner.doctor.codes import Code
from evalrunner.doctor.evidence import Evidence, Verdict
from evalrunner.doctor.survey import Root, Survey
from evalrunner.doctor.symptoms import Symptom, unscored

_LOST = "{} runs were scored, and the score is not there: {}"


def further(seen: Survey, evidence: Evidence) -> list[Symptom]:
    """Return them, worst first."""
    roots = {root.id: root for root in seen.roots if root.ended and root.example is not None}
    found = [
        _by_run(Code.SCORE_LOST, _LOST, lost(seen, evidence), roots),
        _silent(roots, evidence),
        _split(seen, evidence),
        _hidden(seen, evidence),
    ]
    return [one for one in found if one.ids]


def lost(seen: Survey, evidence: Evidence) -> list[Verdict]:
    """Return the evaluators' traces over complete runs whose score is not there."""
    if evidence.scores is None:
        return []
    # Of the others' scores not all have been read, though evaluators' traces over them may have been.
    roots = {root.id for root in unscored(seen)}
    given = {one.source for one in evidence.scores if one.source}
    # An evaluator whose trace its feedback does not name: by its name, which is its key unless it says otherwise.
    named = {(one.run, one.key) for one in evidence.scores if not one.source}
    return [
        one
        for one in evidence.verdicts
        if one.gave and one.ended and not one.failed and one.run in roots
        and one.id not in given and (one.run, one.name) not in named
    ]  # fmt: skip


def _silent(roots: Mapping[str, Root], evidence: Evidence) -> Symptom:
    failed: dict[str, list[Verdict]] = {}
    for one in evidence.verdicts:
        if one.failed and one.run in roots:
            failed.setdefault(one.run, []).append(one)
    silent = [
        one
        for run, verdicts in failed.items()
        # An error that was recorded stands under the evaluator's keys, which need not be its name.
        if len(roots[run].errors) < len(verdicts)
        for one in verdicts
        if one.name not in roots[run].errors
    ]
    text = "evaluators raised on {} runs, and no feedback says so: {}"
    return _by_run(Code.SCORE_SILENT, text, silent, roots)


def _by_run(code: Code, text: str, verdicts: list[Verdict], roots: Mapping[str, Root]) -> Symptom:
    names: dict[str, list[str]] = {}
    for one in verdicts:
        names.setdefault(one.run, []).append(one.name)
    keys = ", ".join(sorted({one.name for one in verdicts}))
    ids = [
        {"run": run, "example": roots[run].example, "keys": sorted(set(told))} for run, told in names.items()
    ]
    return Symptom(code, text.format(f"{len(ids):,}", keys), ids)


def _split(seen: Survey, evidence: Evidence) -> Symptom:
    mine = {one.id for one in seen.meant.examples}
    parts = [one for one in evidence.parts if one.example not in mine]
    names = sorted({one.project for one in parts})
    text = f"{len(parts):,} runs over other examples are in {', '.join(map(repr, names))}"
    return Symptom(Code.VIEW_SPLIT, text, [{"run": one.run, "example": one.example} for one in parts])


def _hidden(seen: Survey, evidence: Evidence) -> Symptom:
    # Tests that log their inputs: the SDK's pytest plugin writes these on the examples, and not on the runs.
    hidden = frozenset() if evidence.pytest else evidence.hidden
    about = [{"run": root.id, "example": root.example} for root in seen.roots if root.id in hidden]
    text = f"{len(about):,} root runs have no inputs, and their examples have"
    return Symptom(Code.VIEW_INPUTS_HIDDEN, text, about)
