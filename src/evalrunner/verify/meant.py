"""What an experiment was meant to hold, where no run of ours has said so: which examples, and how often. Pure.

Plain `evaluate` writes down how many examples it was given (`num_examples`, where it could count them) and which
splits they are in, and neither for certain: of several processes that share an experiment, each overwrites what the
others wrote (langsmith/evaluation/_arunner.py, `_aend`). So what is believed is what the linked runs bear out:

    the runs are of as many examples as it was made for        those were meant
    it was made for fewer examples than the dataset had        those of its splits, if they are as many and hold
                                                               all that were run; else the first ones, likewise
    nobody knows for how many it was made                      those of its splits, if they hold all that were run
    otherwise                                                  all that existed when its last run began

An experiment without a run was meant for the whole dataset. Examples and splits are those that there were when its
last run began, where that can be read: what has left the dataset since is not missing, as nobody can evaluate it any
more, and what has left a split was meant all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

#: The split of an example that is in none (langsmith/evaluation/_arunner.py:1103).
BASE = "base"


@dataclass(frozen=True)
class Example:
    """What is looked at of an example; times as the service writes them."""

    id: str
    created: str = ""
    modified: str = ""
    splits: tuple[str, ...] = (BASE,)


def example(row: Mapping[str, Any]) -> Example:
    """Read an example as `GET /examples` gives it; its splits as the SDK reads them: no list is the default split."""
    created = row.get("created_at") or ""
    split = (row.get("metadata") or {}).get("dataset_split")
    splits = [part for part in split if isinstance(part, str)] if isinstance(split, list) else [BASE]
    return Example(row["id"], created, row.get("modified_at") or created, tuple(splits))


@dataclass(frozen=True)
class Told:
    """What an experiment says of its examples.

    Attributes:
        examples: for how many it was made, or None.
        splits: those of the examples that its last writer had.
        until: when its examples existed already: its start, or what an earlier run of ours took for its end.
        fixed: an earlier run of ours has settled `until`.
    """

    examples: int | None = None
    splits: tuple[str, ...] = ()
    until: str = ""
    fixed: bool = False


@dataclass(frozen=True)
class Meant:
    """Which examples.

    Attributes:
        examples: in the dataset's order.
        until: when they existed, for the next run.
        splits: those that they are of, where that is what tells them from the others.
        left_out: how many others the dataset has.
        why: they are left out, in words; "" if there are none.
        doubt: what is not known of those that are meant, in words, or "".
    """

    examples: Sequence[Example]
    until: str
    left_out: int = 0
    why: str = ""
    doubt: str = ""
    splits: tuple[str, ...] = ()


def repetitions(session: Mapping[str, Any], metadata: Mapping[str, Any]) -> int:
    """Return how often each example was meant to be evaluated.

    The session has what its maker said, the metadata what the last writer did: of processes that share an
    experiment, one that was asked for less makes it no smaller.
    """
    return max(positive(session.get("num_repetitions")) or 1, positive(metadata.get("num_repetitions")) or 1)


def made_for(session: Mapping[str, Any], times: int) -> int | None:
    """Return for how many examples an experiment was made, if the service says so.

    Args:
        session: as `GET /sessions/{id}` answers; the hosted service tells the number of runs that it expects.
        times: repetitions.
    """
    told = positive(session.get("num_examples"))
    progress = session.get("experiment_progress")
    expected = positive(progress.get("expected_run_count")) if isinstance(progress, Mapping) else None
    if told is None and expected is not None and expected % times == 0:
        return expected // times
    return told


def positive(value: Any) -> int | None:
    """Return a whole number above 0, or None for whatever else stands there."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def choose(
    told: Told,
    examples: Sequence[Example],
    linked: Collection[str],
    last: str,
    then: Callable[[str], Sequence[Example]] = lambda _: (),
) -> Meant:
    """Return which examples an experiment was meant to hold.

    Args:
        examples: of the dataset as it is now, in its order.
        linked: ids of examples that root runs of the experiment name.
        last: when its last root run began, or "".
        then: gives the examples of a time, as they were; none if the dataset has not changed since.
    """
    run = [one for one in examples if one.id in linked]
    if not run:
        return Meant(examples, told.until)
    end = until(told, last, *(one.created for one in run))
    if told.examples == len(linked):
        return _only(run, examples, end, f"it was made for {told.examples:,} examples, and those have runs")
    past = then(end)
    if not {one.id for one in run}.issubset(one.id for one in past):
        past = examples
    return _still(_chosen(told, past, linked, end), examples)


def _still(meant: Meant, examples: Sequence[Example]) -> Meant:
    """Return those that are still there, as they are now."""
    wanted = {one.id for one in meant.examples}
    some = [one for one in examples if one.id in wanted]
    left_out = len(examples) - len(some)
    return replace(meant, examples=some, left_out=left_out, why=meant.why if left_out else "")


def _chosen(told: Told, examples: Sequence[Example], linked: Collection[str], end: str) -> Meant:
    run = [one for one in examples if one.id in linked]
    there = [one for one in examples if one.id in linked or not later(one.created, end)]
    if (split := _of_splits(told, there, run)) is not None:
        why = f"its runs are of split {', '.join(told.splits)}"
        return replace(_only(split, examples, end, why), splits=told.splits)
    if (first := _first(told, there, run)) is not None:
        why = f"it was made for {told.examples:,} examples, and its runs are of the first ones"
        return _only(first, examples, end, why)
    doubt = ""
    if told.examples is not None and len(linked) < told.examples < len(there):
        doubt = (
            f"it was made for {told.examples:,} examples, and which those are besides the {len(linked):,} that have "
            "runs is not known"
        )
    return _only(there, examples, end, f"added after its last run began ({end})", doubt)


def until(told: Told, *times: str) -> str:
    """Return when the examples existed that were meant: what was settled, or the latest of its start and `times`."""
    return told.until if told.fixed else _latest([told.until, *times])


def _of_splits(told: Told, there: Sequence[Example], run: Sequence[Example]) -> Sequence[Example] | None:
    split = [one for one in there if not set(one.splits).isdisjoint(told.splits)]
    if not set(run).issubset(split) or len(split) == len(there):
        return None
    return split if told.examples in (None, len(split)) else None


def _first(told: Told, there: Sequence[Example], run: Sequence[Example]) -> Sequence[Example] | None:
    first = there[: told.examples]
    return first if len(first) < len(there) and set(run).issubset(first) else None


def _only(
    some: Sequence[Example], examples: Sequence[Example], until: str, why: str, doubt: str = ""
) -> Meant:
    left_out = len(examples) - len(some)
    return Meant(some, until, left_out, why if left_out else "", doubt)


def _latest(times: Sequence[str]) -> str:
    return max((one for one in times if moment(one)), key=lambda one: moment(one) or _NEVER, default="")


def later(one: str, than: str) -> bool:
    """Tell whether a time is later than another; what is no time is never later."""
    left, right = moment(one), moment(than)
    return left is not None and right is not None and left > right


_NEVER = datetime.min.replace(tzinfo=timezone.utc)


def moment(text: str) -> datetime | None:
    """Read a time as the service writes it, or None."""
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
