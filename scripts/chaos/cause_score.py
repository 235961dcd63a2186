"""What the command says of an experiment, beside what is true of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalrunner.doctor.causes import CUT, LOST, SILENT, UNSEEN, Cause
from evalrunner.doctor.codes import Code
from scripts.chaos.cause_stage import Stage
from scripts.chaos.cause_truth import WHOLE, Truth, by_cause
from tests.support.cli import in_process

CLASSES = tuple(frozenset(one) for one in (UNSEEN, LOST, CUT))
#: Where no evaluator leaves a trace, what was executed and lost looks like what never was.
_UNTRACED = frozenset({*UNSEEN, Cause.FORGOTTEN, Cause.OTEL_ONLY})
#: Nothing tells these for certain: they stand beside whatever else it may have been, and no log knows more.
_MAYBE = frozenset({Cause.STILL_RUNNING, Cause.READ_LAG, Cause.DATASET_CHANGED})
#: So do these, which leave a mark: in the experiment, or in the environment.
_MARKED = frozenset({Cause.SAMPLED, Cause.OTEL_ONLY, *_MAYBE})
#: What need not be named from inside.
_UNNAMED = SILENT | _MAYBE
#: What a score that was given and is not there may be called besides what is to blame for the run.
_SCORES = frozenset({*LOST, Cause.FEEDBACK_LOST})


@dataclass(frozen=True)
class Command:
    """What is asked: `doctor` where there is one, or `verify`, which knows symptoms and no causes.

    Attributes:
        recent: it can be told that nothing is still under way (`--recent 0`).
    """

    name: str
    recent: bool

    @classmethod
    def found(cls, folder: Path) -> Command:
        """Return what this version of the product has."""
        helped = {name: in_process(name, "--help", cwd=folder).out for name in ("doctor", "verify")}
        name = "doctor" if "--inside" in helped["doctor"] else "verify"
        return cls(name, "--recent" in helped[name])

    def knows(self, code: str) -> bool:
        """Tell whether it has a word for a symptom; `verify` is not asked for what only `doctor` can tell."""
        return self.name == "doctor" or code in {one.value for one in Code}

    def ask(self, stage: Stage, *, inside: bool, recent: bool = False) -> dict[str, Any]:
        """Return its document.

        Args:
            inside: it may look at what the processes left.
            recent: what has just begun may still be under way; else nothing is.
        """
        words = [self.name, stage.experiment, "--json"]
        if self.recent and not recent:
            words += ["--recent", "0"]
        env = stage.backend.environment()
        if inside:
            words += ["--inside", *(word for log in stage.logs for word in ("--logs", str(log)))]
            env |= {"LANGSMITH_FAILED_TRACES_DIR": str(stage.dumps), **stage.env}
        done = in_process(*words, cwd=stage.folder, env=env)
        if "error: interrupted" in done.err:
            raise KeyboardInterrupt
        try:
            return dict(done.receipt)
        except ValueError:
            return {"refused": done.err.strip() or done.out.strip(), "findings": []}


@dataclass(frozen=True)
class Finding:
    """One finding, as the document has it."""

    code: str
    causes: frozenset[Cause]
    certain: bool
    ids: frozenset[str]


def findings(document: dict[str, Any]) -> list[Finding]:
    """Read a document of either command."""
    return [
        Finding(
            one["code"],
            frozenset(Cause(code) for code in one.get("causes", ())),
            bool(one.get("certain")),
            frozenset(_id(one["code"], each) for each in one["ids"]),
        )
        for one in document.get("findings", document.get("symptoms", []))
    ]


def _id(code: str, told: dict[str, Any]) -> str:
    about = "example" if code in ("run-missing", "run-duplicate") else "run"
    return str(told.get(about) or told.get("example") or "")


@dataclass
class Outcome:
    """What became of one cause in one case.

    Attributes:
        faults: what is not as it should be -> of how many ids.
        listed, narrow, named: for each id, whether the cause is in the list, the list is no wider than its class,
            and it is the only one from inside (in the list, if it leaves nothing behind).
    """

    cause: Cause
    provoked: bool = False
    symptom: bool = False
    exact: bool = False
    listed: list[bool] = field(default_factory=list)
    narrow: list[bool] = field(default_factory=list)
    named: list[bool] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)


class Score:
    """Compares what is said with what is true."""

    def __init__(
        self, truth: Truth, outside: Sequence[Finding], inside: Sequence[Finding], *, traced: bool
    ) -> None:
        self.truth = truth
        self.classes = CLASSES if traced else (*CLASSES, _UNTRACED)
        self.outside, self.inside = outside, inside

    def differences(self) -> Iterator[str]:
        """Yield every symptom whose ids are not exactly the true ones."""
        true = {code: set(ids) for code, ids in self.truth.items()}
        said: dict[str, set[str]] = defaultdict(set)
        for one in self.outside:
            said[self._code(one.code)] |= one.ids
        for code in sorted(true.keys() | said.keys()):
            there, told = true.get(code, set()), said.get(code, set())
            if (code in WHOLE or there == told) and bool(code in true) == bool(code in said):
                continue
            yield f"{code}: {len(there)} true, {len(told)} said, {len(there & told)} of both"

    def _code(self, code: str) -> str:
        """Without `--recent` what has just begun is called by another name."""
        return "run-pending" if code == "run-under-way" else code

    def outcome(
        self, cause: Cause, symptoms: Sequence[str], within: frozenset[Cause], *, causes: bool
    ) -> Outcome:
        """Return what became of a cause."""
        mine = by_cause(self.truth).get(cause, {})
        wanted = {self._code(code) for code in symptoms}
        outcome = Outcome(cause, provoked=bool(wanted & mine.keys()))
        said = {self._code(one.code) for one in self.outside}
        outcome.symptom = bool(wanted & mine.keys() & said)
        if causes:
            for code, ids in mine.items():
                for one in ids:
                    self._judge(outcome, code, one, within)
        return outcome

    def _judge(self, outcome: Outcome, code: str, one: str, within: frozenset[Cause]) -> None:
        about = [each for each in self.outside if self._about(each, code, one)]
        named = [each for each in self.inside if self._about(each, code, one)]
        good = accepted(code, outcome.cause)
        listed = any(good & each.causes for each in about)
        narrow = all(self._narrow(code, each.causes, outcome.cause, within) for each in about)
        known = bool(named) and all(each.causes and each.causes <= good for each in named)
        wrong = any(each.certain and not each.causes & good for each in (*about, *named))
        outcome.listed.append(listed)
        outcome.narrow.append(narrow)
        silent = outcome.cause in _UNNAMED and any(good & each.causes for each in named)
        outcome.named.append(known or silent)
        for fine, text in ((listed, "not listed"), (narrow, "too wide"), (not wrong, "certain and wrong")):
            if not fine:
                told = _said(named if wrong and text.startswith("certain") else about)
                outcome.faults[f"{code} of {outcome.cause.value}: {text}: {told}"] += 1
        if not known and not silent:
            outcome.faults[f"{code} of {outcome.cause.value}: not named from inside: {_said(named)}"] += 1

    def _narrow(self, code: str, said: frozenset[Cause], cause: Cause, within: frozenset[Cause]) -> bool:
        """Tell whether a list is no wider than the class of the cause: one of those that hold it, or it alone."""
        if code == "score-lost":
            return said <= _SCORES
        marked = _MARKED & {*by_cause(self.truth), *_MAYBE}
        if cause in _MARKED:
            return any(said <= one | marked for one in self.classes)
        classes = [within] if within else [one for one in self.classes if cause in one]
        return any(said <= one | (marked - _MAYBE) for one in classes or [frozenset({cause})])

    def _about(self, each: Finding, code: str, one: str) -> bool:
        return self._code(each.code) == code and (code in WHOLE or one in each.ids)


def accepted(code: str, cause: Cause) -> frozenset[Cause]:
    """Return what a symptom of this cause may be put down to."""
    return frozenset({cause, Cause.FEEDBACK_LOST} if code == "score-lost" else {cause})


def _said(about: Sequence[Finding]) -> str:
    causes = sorted({cause.value for each in about for cause in each.causes})
    return ", ".join(causes) or "nothing"
