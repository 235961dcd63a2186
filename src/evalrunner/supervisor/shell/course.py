"""What changes while a run goes on: the experiment that it is about, and what holds it up at the moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from evalrunner.supervisor.core.events import DatasetGone, ExperimentGone, Renamed
from evalrunner.supervisor.setup.scope import Scope


@dataclass
class Course:
    """The course of one run; the supervisor's thread alone writes it, but for notes.

    Attributes:
        scope: `session` in it is None until the experiment exists.
        notes: who -> what holds things up, for people.
        warnings: what belongs in the receipt.
        gone: that the experiment was deleted while the run went on, or "".
        old_name: what the experiment was called before it was renamed, or "".
    """

    scope: Scope
    notes: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    gone: str = ""
    old_name: str = ""

    def note(self) -> str:
        """Return the first two of the notes, or ""."""
        return "; ".join([text for text in self.notes.values() if text][:2])

    def noting(self, who: str) -> Callable[[str], None]:
        """Return what takes somebody's notes, from any thread; "" when nothing holds him up any more."""

        def note(text: str) -> None:
            self.notes[who] = text

        return note

    def take(self, event: Renamed | ExperimentGone | DatasetGone) -> str:
        """Take in what somebody has done to the experiment or its dataset; return it in words."""
        if isinstance(event, Renamed):
            self.scope, self.old_name = replace(self.scope, name=event.new), event.old
            told = f"the experiment {event.old!r} was renamed to {event.new!r} while the run went on"
        elif isinstance(event, ExperimentGone):
            lost = f"the dataset {self.scope.dataset_name!r} and with it the" if event.dataset else "the"
            self.gone = told = f"{lost} experiment {event.name!r} was deleted while the run went on"
        else:
            told = f"the dataset {self.scope.dataset_name!r} was deleted while the run went on"
        self.warnings.append(told)
        return told
