"""What tells one cause from another, beside the experiment itself: read only where a symptom asks for it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_RESULT = ("key", "score", "value", "comment", "correction")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The trace of an evaluator over a run of the experiment, in the project `evaluators`.

    Attributes:
        run: the root run that it looked at, whether that is there or not.
        example: which that run was of, or None.
        gave: it returned something that becomes feedback.
    """

    id: str
    name: str
    run: str
    example: str | None
    ended: bool
    failed: bool
    gave: bool


@dataclass(frozen=True, slots=True)
class Score:
    """A feedback of the experiment; `source` is the evaluator's trace that gave it, or None."""

    run: str
    key: str
    source: str | None
    failed: bool


@dataclass(frozen=True, slots=True)
class Stray:
    """A root run in another project that names an example of ours."""

    run: str
    example: str
    project: str
    started: str


@dataclass(frozen=True)
class Evidence:
    """What was read.

    Attributes:
        verdicts: evaluators' traces of the experiment, as far as they were asked for.
        scores: feedback, as far as it was asked for; None where it was not.
        strays: runs in tracing projects, of the examples that lack one here.
        parts: runs of experiments that look like parts of this one.
        rate: share of traces that the client was told to send, if runs say so.
        pytest: runs bear the mark of LangSmith's pytest plugin.
        hidden: root runs without inputs, of examples that have some.
        inputs: of runs that name no example.
        lacking: inputs of the examples that lack a run.
    """

    verdicts: Sequence[Verdict] = ()
    scores: Sequence[Score] | None = None
    strays: Sequence[Stray] = ()
    parts: Sequence[Stray] = ()
    rate: float | None = None
    pytest: bool = False
    hidden: frozenset[str] = frozenset()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    lacking: Mapping[str, Any] = field(default_factory=dict)


def verdict(row: Mapping[str, Any], experiment: Collection[str]) -> Verdict | None:
    """Read an evaluator's trace; None for one of another experiment.

    Args:
        experiment: name and id: plain `evaluate` writes either (langsmith/evaluation/evaluator.py:352,
            _runner.py:1607).
    """
    metadata = metadata_of(row)
    run = metadata.get("target_run_id")
    if metadata.get("experiment") not in experiment or not isinstance(run, str):
        return None
    example = metadata.get("reference_example_id")
    return Verdict(
        str(row["id"]),
        str(row.get("name") or ""),
        run,
        example if isinstance(example, str) else None,
        row.get("end_time") is not None,
        bool(row.get("error")),
        any(True for _ in results(str(row.get("name") or ""), row.get("outputs"))),
    )


def metadata_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the metadata of a run."""
    extra = row.get("extra")
    found = extra.get("metadata") if isinstance(extra, dict) else None
    return found if isinstance(found, dict) else {}


def results(name: str, outputs: Any) -> Iterator[dict[str, Any]]:
    """Yield the feedback that an evaluator returned, as the SDK reads it (langsmith/evaluation/evaluator.py:760).

    Args:
        name: of the evaluator: the key where it gives none.
        outputs: of its trace.
    """
    if not isinstance(outputs, dict):
        return
    told = outputs.get("output") if set(outputs) == {"output"} else outputs
    if isinstance(told, dict) and isinstance(told.get("results"), list):
        told = told["results"]
    for one in told if isinstance(told, list) else [told]:
        if isinstance(one, bool | int | float):
            yield {"key": name, "score": one}
        elif isinstance(one, str):
            yield {"key": name, "value": one}
        elif isinstance(one, dict):
            found = {field: one[field] for field in _RESULT if one.get(field) is not None}
            if set(found) - {"key"}:
                yield {"key": name, **found}


def score(row: Mapping[str, Any]) -> Score:
    """Read a feedback as `GET /feedback` gives it."""
    source = row.get("feedback_source")
    metadata = source.get("metadata") if isinstance(source, dict) else None
    run = metadata.get("__run") if isinstance(metadata, dict) else None
    trace = run.get("run_id") if isinstance(run, dict) else None
    return Score(
        str(row.get("run_id") or ""),
        str(row.get("key") or ""),
        str(trace) if trace else None,
        bool((row.get("extra") or {}).get("error") or row.get("error")),
    )


def rate(rows: Iterable[Mapping[str, Any]]) -> float | None:
    """Return the smallest sampling rate that runs were sent under, or None if none of them tells of one below 1."""
    told = [metadata_of(row).get("ls_tracing_sample_rate") for row in rows]
    return min((float(one) for one in told if isinstance(one, int | float) and 0 <= one < 1), default=None)
