"""What is wrong with an experiment, as far as can be told from what it holds. Pure.

What has begun within the last minutes may still be under way, and is called nothing worse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from evalrunner.doctor.codes import Code
from evalrunner.doctor.survey import Root, Survey
from evalrunner.verify.meant import later, moment

#: What began so recently may still be under way.
RECENT = timedelta(minutes=10)


@dataclass(frozen=True)
class Symptom:
    """One symptom.

    Attributes:
        text: the sentence that people read.
        ids: what it is about: {"dataset"?, "example"?, "run"?, "lacks"?, "keys"?}.
    """

    code: Code
    text: str
    ids: Sequence[dict[str, Any]]


def symptoms(seen: Survey, now: datetime, recent: timedelta = RECENT) -> list[Symptom]:
    """Return all that is wrong, worst first.

    Args:
        recent: what has no end and began within this time may still be under way.
    """
    found = [
        _nothing(seen),
        _missing(seen),
        *_open(seen, now, recent),
        _unlinked(seen),
        _duplicates(seen),
        _hidden(seen),
        _no_dataset(seen),
        *_traces(seen),
        _failed_scores(seen),
    ]
    return [one for one in found if one.ids]


def complete(seen: Survey) -> dict[str, list[Root]]:
    """Return the complete root runs of each example that was meant: those without an error first, then in time."""
    found: dict[str, list[Root]] = {one.id: [] for one in seen.meant.examples}
    for root in sorted(seen.roots, key=lambda one: (one.failed, one.started, one.id)):
        if root.ended and root.example is not None and root.example in found:
            found[root.example].append(root)
    return found


def fresh(seen: Survey, now: datetime, recent: timedelta = RECENT) -> bool:
    """Tell whether more may come: a root run, or the experiment itself, began so recently."""
    began = moment(seen.began)
    return under_way(seen, now, recent) or (began is not None and now - began < recent)


def unscored(seen: Survey) -> list[Root]:
    """Return the complete runs that lack a score that others have, or, where none has one, all."""
    keys = {
        key for root in seen.roots for key, given in root.scores.items() if given > root.errors.get(key, 0)
    }
    if not keys:
        return [root for root in seen.roots if root.ended and root.example is not None]
    return [
        root
        for root in seen.roots
        if root.ended and root.example is not None and not keys <= set(root.scores)
    ]


def under_way(seen: Survey, now: datetime, recent: timedelta = RECENT) -> bool:
    """Tell whether a root run began so recently that more may come."""
    return any(_recent(root, now, recent) for root in seen.roots)


def _nothing(seen: Survey) -> Symptom:
    about = [] if seen.meant.examples else [{"dataset": seen.dataset}]
    return Symptom(Code.NOTHING_MEANT, f"the dataset {seen.dataset!r} has no examples that were meant", about)


def _missing(seen: Survey) -> Symptom:
    lacks = {
        one: seen.repetitions - len(runs)
        for one, runs in complete(seen).items()
        if len(runs) < seen.repetitions
    }
    items = seen.repetitions * len(seen.meant.examples)
    text = f"{sum(lacks.values()):,} of {items:,} items have no complete run"
    return Symptom(
        Code.RUN_MISSING, text, [{"example": one, "lacks": number} for one, number in lacks.items()]
    )


def _open(seen: Survey, now: datetime, within: timedelta) -> Iterator[Symptom]:
    pending = [root for root in seen.roots if not root.ended]
    recent = [root for root in pending if _recent(root, now, within)]
    old = [root for root in pending if not _recent(root, now, within)]
    yield Symptom(Code.RUN_PENDING, f"{len(old):,} root runs have no end", _of_roots(old))
    yield Symptom(
        Code.RUN_UNDER_WAY,
        f"{len(recent):,} root runs have no end yet, and began within the last {_minutes(within)}: look again",
        _of_roots(recent),
    )


def _minutes(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds / 60:g} minutes" if seconds % 60 == 0 else f"{seconds:g} s"


def _recent(root: Root, now: datetime, within: timedelta) -> bool:
    began = moment(root.started)
    return began is not None and now - began < within


def _unlinked(seen: Survey) -> Symptom:
    found = [root for root in seen.roots if root.ended and root.example is None]
    return Symptom(Code.RUN_UNLINKED, f"{len(found):,} complete root runs name no example", _of_roots(found))


def _duplicates(seen: Survey) -> Symptom:
    times = seen.repetitions
    extra = [
        root
        for runs in complete(seen).values()
        for root in runs[times:]
        # An attempt that failed, beside one that did not and took its place, is no duplicate.
        if not root.failed or runs[times - 1].failed
    ]
    return Symptom(
        Code.RUN_DUPLICATE, f"{len(extra):,} complete root runs are more than were meant", _of_roots(extra)
    )


def _hidden(seen: Survey) -> Symptom:
    splits = set(seen.splits)
    outside = {
        one.id
        for one in seen.meant.examples
        if (seen.version and later(one.created, seen.version))
        # Which splits one that was changed since was in, as of the view's version, is not known here.
        or (
            splits.isdisjoint(one.splits)
            and splits
            and not (seen.version and later(one.modified, seen.version))
        )
    }
    found = [root for root in seen.roots if root.ended and root.example in outside]
    return Symptom(
        Code.VIEW_HIDDEN,
        f"{len(found):,} complete root runs are hidden by the experiment's metadata: LangSmith's view does not show "
        "them",
        _of_roots(found),
    )


def _no_dataset(seen: Survey) -> Symptom:
    about = [] if seen.linked else [{"dataset": seen.dataset}]
    text = f"the project names no dataset, and its runs are over examples of {seen.dataset!r}"
    return Symptom(Code.VIEW_NO_DATASET, text, about)


def _traces(seen: Survey) -> Iterator[Symptom]:
    roots = {root.id: root for root in seen.roots}
    there = {*roots, *(child.id for child in seen.children)}
    headless = dict.fromkeys(child.trace for child in seen.children if child.trace not in roots)
    yield Symptom(
        Code.TRACE_HEADLESS,
        f"{len(headless):,} traces have runs and no root run",
        [{"run": trace} for trace in headless],
    )
    orphans = [child for child in seen.children if child.trace in roots and child.parent not in there]
    yield Symptom(
        Code.CHILD_ORPHAN,
        f"{len(orphans):,} runs hang below a run that is not there",
        [{"run": child.id, "trace": child.trace} for child in orphans],
    )
    ended = {root.id for root in seen.roots if root.ended}
    pending = [child for child in seen.children if not child.ended and child.trace in ended]
    yield Symptom(
        Code.CHILD_PENDING,
        f"{len(pending):,} runs have no end below a root run that has one",
        [{"run": child.id, "trace": child.trace} for child in pending],
    )


def _failed_scores(seen: Survey) -> Symptom:
    found = [(root, sorted(root.errors)) for root in seen.roots if root.errors]
    keys = sorted({key for _, names in found for key in names})
    return Symptom(
        Code.SCORE_FAILED,
        f"evaluators raised on {len(found):,} runs: {', '.join(keys)}",
        [{"run": root.id, "example": root.example, "keys": names} for root, names in found],
    )


def _of_roots(roots: Sequence[Root]) -> list[dict[str, Any]]:
    return [{"run": root.id, "example": root.example} for root in roots]
