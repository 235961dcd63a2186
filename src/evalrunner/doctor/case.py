"""One experiment, and what its evidence leaves of the causes of each symptom. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from evalrunner.doctor.causes import CUT, LOST, UNSEEN, Cause
from evalrunner.doctor.evidence import Evidence
from evalrunner.doctor.inside import Inside
from evalrunner.doctor.survey import Survey
from evalrunner.doctor.symptoms import complete
from evalrunner.doctor.why import Why, certain, narrowed
from evalrunner.verify.meant import later

#: Ids of a symptom: {"example"?, "run"?, "lacks"?, "keys"?}.
Ids = Mapping[str, Any]


class Case:
    """One experiment, and all that is known of it.

    Attributes:
        ignored: example that lacks a run -> root run that names none, and has its inputs.
    """

    def __init__(
        self, seen: Survey, evidence: Evidence, inside: Inside | None, *, fresh: bool = False
    ) -> None:
        self._seen, self._evidence, self._inside, self._fresh = seen, evidence, inside, fresh
        self._created = {one.id: one.created for one in seen.meant.examples}
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
        self._linked = [root for root in seen.roots if root.example is not None]
        self._names = {root.name for root in self._linked}
        self._below = {child.name for child in seen.children}
        self.ignored = self._inputs_of_ignored()

    # -- run-missing ---------------------------------------------------------------------------------

    def missing(self, ids: Ids) -> Why:
        """Say why an example has too few complete runs."""
        example = str(ids["example"])
        return (
            self._elsewhere(example)
            or self._kept(example)
            or self._booked(example)
            or self._executed(example)
            or self._begun(example)
            or self._not_linked(example)
            or self._fewer(example)
            or self._unsynced()
            or self._unseen(example)
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

    def _booked(self, example: str) -> Why | None:
        told = self._inside.books.get(example) if self._inside else None
        return None if told is None else certain(told[0], f"the run's ledger: {told[1]}")

    def _executed(self, example: str) -> Why | None:
        runs = self._absent.get(example)
        if runs:
            for run in runs:
                if self._inside and run in self._inside.runs:
                    return certain(self._inside.runs[run], "the log names these runs")
            evidence = "evaluators left traces over runs that are not there: they were executed"
            return self._left(self._maybe(LOST), evidence)
        if len(self._unjudged) >= max(1, self._unexplained):
            evidence = "there are scores of runs that are not there: they were executed"
            return self._left(self._maybe((Cause.OTEL_ONLY, *LOST)), evidence)
        return None

    def _lacking(self) -> int:
        return sum(max(0, self._seen.repetitions - len(runs)) for runs in self._complete.values())

    @cached_property
    def _unexplained(self) -> int:
        """How many runs are missing of which nothing tells by itself where they are."""
        told = (self._elsewhere, self._kept, self._booked, self._begun, self._not_linked, self._fewer)
        return sum(
            max(0, self._seen.repetitions - len(runs))
            for example, runs in self._complete.items()
            if example not in self._absent and not any(one(example) for one in told)
        )

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

    def _unsynced(self) -> Why | None:
        """Say so where as many runs of pytest's plugin lack their example as examples lack their run."""
        if not self._evidence.pytest:
            return None
        loose = sum(root.example is None for root in self._seen.roots)
        causes = (Cause.PYTEST_UNSYNCED,) if loose >= self._lacking() else (Cause.PYTEST_UNSYNCED, *UNSEEN)
        return self._left(causes, "the runs bear the mark of LangSmith's pytest plugin, and name no example")

    def _unseen(self, example: str) -> Why:
        nothing = not self._seen.roots and not self._seen.children
        causes = list(UNSEEN)
        evidence = "nothing of these items is there"
        if self._evidence.verdicts:
            evidence += ", and no evaluator looked at them"
        told = self._inside is not None and Cause.OTEL_ONLY in self._inside.settings
        if told or self._unjudged or (nothing and not self._evidence.verdicts):
            causes.append(Cause.OTEL_ONLY)
        if self._unjudged:
            # Fewer than are missing (`_executed`): nothing tells which of them, nor what became of the others.
            evidence += f"; there are scores of {len(self._unjudged)} runs that are not there"
        if not nothing:
            evidence += "; others are"
        elif self._seen.version is not None:
            evidence += "; a process has written the experiment's metadata all the same"
        else:
            evidence += ", nor did any process write the experiment's metadata"
        if later(self._created.get(example, ""), self._seen.began):
            causes.insert(0, Cause.DATASET_CHANGED)
            evidence += "; these examples are younger than the experiment"
        return self._left(self._maybe(causes), evidence, partly=bool(self._unjudged))

    def _maybe(self, causes: Sequence[Cause]) -> tuple[Cause, ...]:
        """Return the causes of what is not there, with those that a short while mends."""
        return (Cause.STILL_RUNNING, Cause.READ_LAG, *causes) if self._fresh else tuple(causes)

    # -- the others ----------------------------------------------------------------------------------

    def pending(self, ids: Ids) -> Why:
        """Say why a run has no end."""
        run = str(ids["run"])
        if self._inside and run in self._inside.runs:
            return certain(self._inside.runs[run], "the log, or a request that was kept, names these runs")
        if self._evidence.pytest:
            return certain(Cause.PYTEST_UNSYNCED, "the runs bear the mark of LangSmith's pytest plugin")
        causes = (Cause.STILL_RUNNING, *CUT) if self._fresh else CUT
        return self._left(causes, "they began, and their end is not there")

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
        if any(one.started <= root.started <= one.ended_at for one in self._linked):
            return Why((Cause.CONTEXT_LOST,), False, "they began while items were being executed")
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

    def _left(self, causes: Sequence[Cause], evidence: str, *, partly: bool = False) -> Why:
        """Return those of a class that the rest of the evidence leaves.

        Args:
            partly: whatever was found inside accounts for some of the items, and not for all.
        """
        rate = self._evidence.rate
        if rate is not None:
            causes = (Cause.SAMPLED, *causes)
            evidence += f"; the client was told to send {rate:.0%} of all traces"
        if self._inside is not None:
            return narrowed(tuple(dict.fromkeys(causes)), evidence, self._inside, partly=partly)
        return Why(tuple(dict.fromkeys(causes)), False, evidence)
