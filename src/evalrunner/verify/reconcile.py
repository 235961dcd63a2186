"""Whose run is it? The experiment's root runs, assigned to the plan's (example, repetition), by id. Pure.

Runs that another tool made count too: they fill the repetitions that none of our own ids name, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from evalrunner.verify.readback import RootRun

Key = tuple[str, int]
"""(example id, repetition)"""
Trial = tuple[int, tuple[int, int], str]
"""(repetition, rank, run id) of one attempt: of two attempts of a repetition, the later has the higher rank."""


@dataclass
class Assignment:
    """What the experiment holds, seen from the plan.

    Attributes:
        runs: the complete root run of each (example, repetition) that has one.
        duplicates: further complete root runs of an example, beyond the planned repetitions.
        superseded: runs of earlier attempts that a later one replaced.
        strangers: root runs of the experiment that are no complete run of a planned example: id -> why.
    """

    runs: dict[Key, RootRun] = field(default_factory=dict)
    duplicates: list[tuple[Key, RootRun]] = field(default_factory=list)
    superseded: list[tuple[Key, RootRun]] = field(default_factory=list)
    strangers: dict[str, str] = field(default_factory=dict)


def assign(
    examples: Collection[str],
    repetitions: int,
    roots: Iterable[RootRun],
    trials: Callable[[str], Iterator[Trial]],
    counted: Mapping[Key, str] | None = None,
    may_be_ours: Callable[[str], bool] = lambda _: True,
) -> Assignment:
    """Assign root runs to the plan.

    Args:
        examples: ids of the planned examples.
        repetitions: runs wanted per example.
        roots: every root run of the experiment.
        trials: works out, one by one and the likely ones first, the ids that the attempts of an example have.
        counted: the run that counts of each (example, repetition), as far as a ledger knows; it saves
            working out ids where an example has no other runs.
        may_be_ours: False for a run id that no attempt of ours can have; it saves the same.
    """
    found = Assignment()
    by_example: dict[str, list[RootRun]] = {}
    for root in roots:
        why = _strange(root, examples)
        if why:
            found.strangers[root.id] = why
        else:
            by_example.setdefault(str(root.example_id), []).append(root)
    for example, runs in by_example.items():
        if not _assign_known(found, example, repetitions, runs, counted or {}):
            ours = _ours(example, repetitions, runs, trials, may_be_ours)
            _assign_example(found, example, repetitions, runs, ours)
    return found


def _assign_known(
    found: Assignment, example: str, repetitions: int, runs: list[RootRun], counted: Mapping[Key, str]
) -> bool:
    """Assign an example all of whose runs the ledger knows; False, and nothing done, if it is not so."""
    places = {counted.get((example, repetition)): repetition for repetition in range(repetitions)}
    if any(run.id not in places for run in runs):
        return False
    found.runs.update(((example, places[run.id]), run) for run in runs)
    return True


def _strange(root: RootRun, examples: Collection[str]) -> str | None:
    if not root.ended:
        return "pending: it has no end"
    if root.example_id is None:
        return "not linked to an example"
    if root.example_id not in examples:
        return "its example is not in the plan"
    return None


def _ours(
    example: str,
    repetitions: int,
    runs: list[RootRun],
    trials: Callable[[str], Iterator[Trial]],
    may_be_ours: Callable[[str], bool],
) -> dict[int, list[str]]:
    """Return the ids of our runs of each repetition, earlier attempts first."""
    if repetitions == len(runs) == 1:
        return {}  # whoever made it, it is the one that counts
    candidates = {run.id for run in runs if may_be_ours(run.id)}
    found: dict[int, list[tuple[tuple[int, int], str]]] = {}
    attempts = trials(example)
    while candidates and (trial := next(attempts, None)) is not None:
        repetition, rank, run_id = trial
        if run_id in candidates and repetition < repetitions:
            candidates.remove(run_id)
            found.setdefault(repetition, []).append((rank, run_id))
    return {repetition: [run_id for _, run_id in sorted(ranked)] for repetition, ranked in found.items()}


def _assign_example(
    found: Assignment, example: str, repetitions: int, runs: list[RootRun], our_ids: dict[int, list[str]]
) -> None:
    left = {run.id: run for run in runs}
    for repetition, ids in sorted(our_ids.items()):
        # A run without error counts before one with; then the later attempt.
        ours = sorted((left.pop(run_id) for run_id in ids), key=lambda run: run.error is None)
        found.runs[(example, repetition)] = ours[-1]
        found.superseded.extend(((example, repetition), run) for run in ours[:-1])
    foreign = sorted(left.values(), key=lambda run: (run.error is not None, run.id))
    for repetition in range(repetitions):
        if foreign and (example, repetition) not in found.runs:
            found.runs[(example, repetition)] = foreign.pop(0)
    found.duplicates.extend(((example, 0), run) for run in foreign)
