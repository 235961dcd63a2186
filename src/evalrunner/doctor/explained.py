"""What is said of why: for people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from evalrunner.doctor.causes import ABOUT, Cause
from evalrunner.doctor.codes import KINDS, Code, remedy
from evalrunner.doctor.diagnose import Finding


def findings_document(findings: Sequence[Finding], experiment: str) -> list[dict[str, Any]]:
    """Return findings as JSON has them."""
    return [
        {
            "code": one.code.value,
            "text": one.text,
            "meaning": KINDS[one.code].meaning,
            "causes": [cause.value for cause in one.why.causes],
            "certain": one.why.certain,
            "evidence": [one.why.evidence] if one.why.evidence else [],
            "remedy": remedy(one.code, experiment),
            "ids": list(one.ids),
        }
        for one in findings
    ]


def finding_lines(findings: Sequence[Finding], experiment: str, *, ids: bool) -> Iterator[str]:
    """Yield findings for people; with the ids that each is about, or without."""
    for one in findings:
        yield f"{one.code.value}: {one.text}"
        yield f"       why: {_why(one)}"
        if one.why.evidence:
            yield f"       seen: {one.why.evidence}"
        yield f"       do: {remedy(one.code, experiment)}"
        for cause in one.why.causes[:1] if one.why.certain else ():
            yield f"       next time: {ABOUT[cause].next_time}"
        if ids:
            yield from ("       " + " ".join(f"{k}={_shown(v)}" for k, v in each.items()) for each in one.ids)


def explained(code: str) -> list[str] | None:
    """Return what `--explain` says of a code, of a symptom or a cause; None if there is none."""
    if code in {one.value for one in Code}:
        kind = KINDS[Code(code)]
        return [f"{code}: {kind.meaning}", f"do: {kind.remedy}"]
    if code in {one.value for one in Cause}:
        about = ABOUT[Cause(code)]
        return [f"{code}: {about.meaning}", f"next time: {about.next_time}"]
    return None


def _why(one: Finding) -> str:
    causes = one.why.causes
    if not causes:
        return "not known"
    if one.why.certain:
        return f"{causes[0].value}: {ABOUT[causes[0]].meaning}"
    if len(causes) == 1:
        return f"most likely {causes[0].value}: {ABOUT[causes[0]].meaning}"
    return "one of " + ", ".join(cause.value for cause in causes)


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
