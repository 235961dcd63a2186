"""One experiment, and what its evidence leaves of the causes of each symptom. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalrunner.doctor.causes import CUT, LOST, SILENT, UNSEEN, Cause
from evalrunner.doctor.evidence import Evidence
from evalrunner.doctor.inside import Inside
from evalrunner.doctor.survey import Survey
from evalrunner.doctor.symptoms import complete

#: Ids of a symptom: {"example"?, "run"?, "lacks"?, "keys"?}.
Ids = Mapping[str, Any]


@dataclass(frozen=True)
class Why:
    """What is known of the cause.

    Attributes:
        causes: one that is certain, or those that the evidence leaves, likeliest first; none: nothing tells.
        evidence: what says so, as a sentence.
    """

    causes: tuple[Cause, ...] = ()
    certain: bool = False
    evidence: str = ""


def certain(cause: Cause, evidence: str) -> Why:
    """Return that one cause is certain."""
    return Why((cause,), True, evidence)


class Case:
    """One experiment, and all that is known of it.

    Attributes:
        ignored: example that lacks a run -> root run that names none, and has its inputs.
    """

    def __init__(self, seen: Survey, evidence: Evidence, inside: Inside | None) -> None:
        self._seen, self._evidence, self._inside = seen, evidence, inside
        self._roots = {root.id: root for root in seen.roots}
        self._complete = complete(seen)
        self._open = {root.example: root for root in seen.roots if not root.ended}
        self._strays = {one.example: one for one in [*evidence.strays, *evidence.parts]}
        self._absent: dict[str, list[str]] = {}
        for one in evidence.verdicts:
            if one.run not in self._roots and one.example is not None:
                self._absent.setdefault(one.example, []).append(one.run)
        judged = {one.run for one in evidence.verdicts}
        scored = {one.run for one in evidence.scores or ()} - set(self._roots)
        self._unjudged = scored - judged
        self._names = Counter(root.name for root in seen.roots if root.example is not None)
        self._below = {child.name for child in seen.children}
        self.ignored = self._inputs_of_ignored()

    # -- run-missing ---------------------------------------------------------------------------------

    def missing(self, ids: Ids) -> Why:
        """Say why an example has too few complete runs."""
        example = str(ids["example"])
        return (
            self._elsewhere(example)
            or self._kept(example)
            or self._executed(example)
            or self._begun(example)
            or self._not_linked(example)
            or self._fewer(example)
            or self._unseen()
        )

    def _elsewhere(self, example: str) -> Why | None:
        stray = self._strays.get(example)
        if stray is None:
            return None
        return certain(Cause.ELSEWHERE, f"{stray.project!r} has runs of these examples")

    def _kept(self, example: str) -> Why | None:
        cause = self._inside.examples.get(example) if self._inside else None
        if cause is None:
            return None
        return certain(cause, "the requests that failed were kept, and hold these runs")

    def _executed(self, example: str) -> Why | None:
        runs = self._absent.get(example)
        if runs:
            for run in runs:
                if self._inside and run in self._inside.runs:
                    return certain(self._inside.runs[run], "the log names these runs")
            return self._left(LOST, "evaluators left traces over runs that are not there: they were executed")
        if len(self._unjudged) >= max(1, self._lacking()):
            return self._left(
                (Cause.OTEL_ONLY, *LOST), "there are scores of runs that are not there: they were executed"
            )
        return None

    def _lacking(self) -> int:
        return sum(max(0, self._seen.repetitions - len(runs)) for runs in self._complete.values())

    def _begun(self, example: str) -> Why | None:
        root = self._open.get(example)
        return None if root is None else self.pending({"run": root.id, "example": example})

    def _not_linked(self, example: str) -> Why | None:
        run = self.ignored.get(example)
        if run is None:
            return None
        return self.unlinked({"run": run})

    def _fewer(self, example: str) -> Why | None:
        last = self._seen.last_repetitions
        if not last or last >= self._seen.repetitions or len(self._complete[example]) < last:
            return None
        evidence = f"the experiment was made for {self._seen.repetitions} repetitions, and its last writer had {last}"
        if all(len(runs) == last for runs in self._complete.values()):
            return certain(Cause.FEWER_REPETITIONS, evidence)
        return self._left((Cause.FEWER_REPETITIONS, *UNSEEN), evidence)

    def _unseen(self) -> Why:
        nothing = not self._seen.roots and not self._seen.children
        causes = set(UNSEEN)
        evidence = "nothing of these items is there"
        if self._judges():
            evidence += ", and no evaluator looked at them"
        else:
            # Without evaluators' traces, what was executed and lost looks like what never was.
            causes |= {Cause.FORGOTTEN} | ({Cause.OTEL_ONLY} if nothing else set())
        if not nothing:
            causes -= {Cause.FORKED}
            evidence += "; others are"
        elif self._seen.version is not None:
            causes -= {Cause.NEVER_STARTED, Cause.TRACING_OFF}
            evidence += "; a process has written the experiment's metadata all the same"
        else:
            causes -= {Cause.FORKED}
            evidence += ", nor did any process write the experiment's metadata"
        order = (*UNSEEN, Cause.FORGOTTEN, Cause.OTEL_ONLY)
        return self._left(tuple(one for one in order if one in causes), evidence)

    def _judges(self) -> bool:
        """Whether evaluators are known to leave traces in this experiment."""
        return bool(self._evidence.verdicts)

    # -- the others ----------------------------------------------------------------------------------

    def pending(self, ids: Ids) -> Why:
        """Say why a run has no end."""
        run = str(ids["run"])
        if self._inside and run in self._inside.runs:
            return certain(self._inside.runs[run], "the log, or a request that was kept, names these runs")
        if self._evidence.pytest:
            return certain(Cause.PYTEST_UNSYNCED, "the runs bear the mark of LangSmith's pytest plugin")
        return self._left(CUT, "they began, and their end is not there")

    def cut(self, ids: Ids) -> Why:
        """Say why a part of a trace is not there."""
        run = str(ids["run"])
        if self._inside and run in self._inside.runs:
            return certain(self._inside.runs[run], "the log, or a request that was kept, names these runs")
        return self._left(CUT, "a part of the trace is there")

    def unlinked(self, ids: Ids) -> Why:
        """Say why a root run names no example."""
        root = self._roots[str(ids["run"])]
        if self._evidence.pytest:
            return certain(Cause.PYTEST_UNSYNCED, "the runs bear the mark of LangSmith's pytest plugin")
        if root.failed and (root.name in self._names or not self._names):
            return certain(Cause.ERROR_IGNORED, "they ended in an error, and are named as the others are")
        if root.name in self._below:
            return certain(Cause.CONTEXT_LOST, "they are named as runs below other items are")
        return Why((), False, "nothing tells where they come from")

    def _inputs_of_ignored(self) -> dict[str, str]:
        """Return example -> a root run that names none, and has its inputs."""
        found: dict[str, str] = {}
        left = dict(self._evidence.lacking)
        for run, inputs in self._evidence.inputs.items():
            root = self._roots.get(run)
            alike = next((one for one, given in left.items() if inputs and given == inputs), None)
            if root is not None and alike is not None:
                found[alike] = run
                del left[alike]
        return found

    # -- what the evidence leaves --------------------------------------------------------------------

    def _left(self, causes: Sequence[Cause], evidence: str) -> Why:
        """Return those of a class that the rest of the evidence leaves."""
        rate = self._evidence.rate
        if rate is not None:
            causes = (Cause.SAMPLED, *causes)
            evidence += f"; the client was told to send {rate:.0%} of all traces"
        if self._inside is not None:
            return _inside(tuple(dict.fromkeys(causes)), evidence, self._inside)
        return Why(tuple(dict.fromkeys(causes)), False, evidence)


def _inside(causes: tuple[Cause, ...], evidence: str, inside: Inside) -> Why:
    """Narrow a class by what was found where the experiment was made."""
    told = [one for one in causes if one in inside.settings]
    if told:
        return Why((told[0],), True, f"{evidence}; {inside.settings[told[0]]}")
    if not inside.logs:
        return Why(causes, False, evidence)
    vague = tuple(one for one in causes if one in inside.vague)
    if vague:
        times = ", ".join(f"{one.value} {inside.told[one]} x" for one in vague)
        return Why(vague, False, f"{evidence}; the log tells of {times}")
    silent = tuple(one for one in causes if one in SILENT)
    return Why(silent or causes, False, f"{evidence}; the log tells of nothing that would have lost them")
