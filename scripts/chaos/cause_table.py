"""What came of the cases, in a table, and what of it falls short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.chaos.cause_score import Outcome

#: The share of cases in which all ids have to be exactly the true ones.
EXACT = 0.99
COLUMNS = ("N", "provoked", "symptom", "listed", "narrow", "ids", "inside")


@dataclass
class Trial:
    """One case, and what came of it."""

    name: str
    seed: int
    outcomes: list[Outcome] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    refused: str = ""
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def faults(self) -> list[str]:
        """Return everything that is not as it should be."""
        mine = [f"ids of {one}" for one in self.differences]
        mine += [f"{count} x {fault}" for one in self.outcomes for fault, count in one.faults.items()]
        mine += [f"{one.cause.value}: not provoked" for one in self.outcomes if not one.provoked]
        return [*([self.refused] if self.refused else []), *mine]


def table(trials: Sequence[Trial], *, causes: bool) -> Iterator[str]:
    """Yield a line for each cause."""
    yield f"{'cause':>20} " + " ".join(f"{name:>8}" for name in COLUMNS)
    found: dict[str, list[Outcome]] = {}
    for trial in trials:
        for one in trial.outcomes:
            found.setdefault(one.cause.value, []).append(one)
    for name in dict.fromkeys(trial.name for trial in trials if not trial.outcomes):
        mine = [trial for trial in trials if trial.name == name]
        yield f"{name:>20} {len(mine):>8} healthy, {sum(bool(trial.faults) for trial in mine)} with false findings"
    for name, outcomes in found.items():
        shares = [sum(one.provoked for one in outcomes), sum(one.symptom for one in outcomes)]
        judged = [one for one in outcomes if one.provoked]
        listed = [sum(all(getattr(one, what)) for one in judged) for what in ("listed", "narrow", "named")]
        told = [str(one) if causes else "-" for one in listed]
        exact = sum(one.exact for one in outcomes)
        cells = [len(outcomes), *shares, *told[:2], exact, told[2]]
        yield f"{name:>20} " + " ".join(f"{cell!s:>8}" for cell in cells)


def short(trials: Sequence[Trial], *, causes: bool) -> list[str]:
    """Return what falls short of what is wanted."""
    exact = sum(not trial.differences and not trial.refused for trial in trials)
    found = []
    if trials and exact < EXACT * len(trials):
        found.append(f"ids exact in {exact} of {len(trials)}")
    outcomes = [one for trial in trials for one in trial.outcomes]
    wanted = ("listed", "narrow", "named") if causes else ()
    for what in wanted:
        wrong = sum(not all(getattr(one, what)) for one in outcomes)
        found += [f"not {what}: {wrong} of {len(outcomes)}"] if wrong else []
    for what in ("provoked", "symptom"):
        wrong = sum(not getattr(one, what) for one in outcomes)
        found += [f"not {what}: {wrong} of {len(outcomes)}"] if wrong else []
    return found
