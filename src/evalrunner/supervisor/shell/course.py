"""What changes while a run goes on: the experiment that it is about, and what holds it up at the moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from evalrunner.supervisor.core.events import DatasetGone, ExperimentGone, Renamed, TakenOver
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.verify import findings
from evalrunner.verify.codes import Finding


@dataclass
class Course:
    """The course of one run; the supervisor's thread alone writes it, but for notes.

    Attributes:
        scope: `session` in it is None until the experiment exists.
        notes: who -> what holds things up, for people.
        findings: what belongs in the receipt.
        gone: that the experiment was deleted while the run went on, or "".
        taken: which command has taken the experiment over, or "".
        old_name: what the experiment was called before it was renamed, or "".
    """

    scope: Scope
    notes: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    gone: str = ""
    taken: str = ""
    old_name: str = ""

    def note(self) -> str:
        """Return the first two of the notes, or ""."""
        return "; ".join([text for text in self.notes.values() if text][:2])

    def noting(self, who: str) -> Callable[[str], None]:
        """Return what takes somebody's notes, from any thread; "" when nothing holds him up any more."""

        def note(text: str) -> None:
            self.notes[who] = text

        return note

    def take(self, event: Renamed | ExperimentGone | TakenOver | DatasetGone) -> str:
        """Take in what somebody has done to the experiment or its dataset; return it in words."""
        if isinstance(event, Renamed):
            self.scope, self.old_name = replace(self.scope, name=event.new), event.old
            found = findings.experiment_renamed(event.old, event.new)
        elif isinstance(event, ExperimentGone):
            found = findings.experiment_deleted(
                event.name, self.scope.dataset_name if event.dataset else None
            )
            self.gone = found.text
        elif isinstance(event, TakenOver):
            found = findings.taken_over(event.by)
            self.taken = event.by
        else:
            found = findings.dataset_deleted(self.scope.dataset_name)
        self.findings.append(found)
        return found.text
