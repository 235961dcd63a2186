"""What is said of an experiment: for people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from evalrunner.doctor.codes import KINDS, NOTES, SCORES, remedy
from evalrunner.doctor.survey import Survey
from evalrunner.doctor.symptoms import Symptom, complete
from evalrunner.exit_codes import ExitCode


def exit_code(found: Sequence[Symptom]) -> ExitCode:
    """Return how `verify` ends: scores alone are the evaluators' affair."""
    wrong = {one.code for one in found} - NOTES
    if wrong - SCORES:
        return ExitCode.INCOMPLETE
    return ExitCode.EVALUATORS if wrong else ExitCode.COMPLETE


def _counts(seen: Survey) -> dict[str, int]:
    counts = complete(seen)
    return {
        "examples": len(seen.meant.examples),
        "repetitions": seen.repetitions,
        "items": len(seen.meant.examples) * seen.repetitions,
        "complete": sum(min(len(runs), seen.repetitions) for runs in counts.values()),
        "roots": len(seen.roots),
        "failed": sum(root.ended and root.failed for root in seen.roots),
        "of_other_examples": sum(
            root.example is not None and root.example not in counts for root in seen.roots
        ),
        "children": len(seen.children),
    }


def document(seen: Survey, found: Sequence[Symptom], *, fresh: bool) -> dict[str, Any]:
    """Return all of it as JSON has it."""
    return {
        "experiment": {"id": seen.experiment_id, "name": seen.experiment},
        "dataset": {"name": seen.dataset},
        "counts": _counts(seen),
        "not_meant": {"examples": seen.meant.left_out, "why": seen.meant.why},
        "doubt": seen.meant.doubt,
        "scores": _scores(seen),
        "symptoms": [
            {
                "code": one.code.value,
                "text": one.text,
                "meaning": KINDS[one.code].meaning,
                "remedy": remedy(one.code, seen.experiment),
                "ids": list(one.ids),
            }
            for one in found
        ],
        "verdict": verdict(seen, found, fresh=fresh),
        "exit_code": int(exit_code(found)),
    }


def _scores(seen: Survey) -> dict[str, int]:
    """Return on how many complete runs each feedback key is."""
    counts: dict[str, int] = {}
    for root in seen.roots:
        for key, given in root.scores.items():
            if root.ended and given > root.errors.get(key, 0):
                counts[key] = counts.get(key, 0) + 1
    return counts


def heading(seen: Survey) -> Iterator[str]:
    """Yield, for people, what was meant and what is there."""
    counts = _counts(seen)
    yield f"experiment {seen.experiment!r} ({seen.experiment_id}) over dataset {seen.dataset!r}"
    times = f" x {seen.repetitions} repetitions" if seen.repetitions > 1 else ""
    yield f"meant: {counts['examples']:,} examples{times} = {counts['items']:,} items"
    if seen.meant.left_out:
        yield f"       without {seen.meant.left_out:,} further examples of the dataset: {seen.meant.why}"
    if seen.meant.doubt:
        yield f"       (in doubt: {seen.meant.doubt})"
    yield (
        f"there: {counts['roots']:,} root runs ({counts['failed']:,} ended in an error), {counts['children']:,} "
        f"runs below them"
    )
    if counts["of_other_examples"]:
        yield f"       {counts['of_other_examples']:,} of them are of examples that were not meant, or are gone"
    for key, number in sorted(_scores(seen).items()):
        yield f"       {key}: on {number:,} of {counts['complete']:,} complete runs"


def lines(seen: Survey, found: Sequence[Symptom], *, ids: bool) -> Iterator[str]:
    """Yield all of it for people; with the ids that each symptom is about, or without."""
    yield from heading(seen)
    for one in found:
        yield f"{one.code.value}: {one.text}"
        yield f"       {remedy(one.code, seen.experiment)}"
        if ids:
            yield from ("       " + " ".join(f"{k}={_text(v)}" for k, v in each.items()) for each in one.ids)


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def verdict(seen: Survey, found: Sequence[Symptom], *, fresh: bool) -> str:
    """Say it in one line; `fresh`: more may come."""
    counts, code = _counts(seen), exit_code(found)
    have = f"{counts['complete']:,} of {counts['items']:,} items have their complete run"
    codes = ", ".join(one.code.value for one in found) or "no symptom was found"
    going_on = (
        "; it, or runs of it, began a short while ago, and more may come"
        if code is ExitCode.INCOMPLETE and fresh
        else ""
    )
    return f"{_word(code)}: {have}; {codes}{going_on}"


def _word(code: ExitCode) -> str:
    return {ExitCode.COMPLETE: "WHOLE", ExitCode.EVALUATORS: "NOT SCORED"}.get(code, "NOT WHOLE")
