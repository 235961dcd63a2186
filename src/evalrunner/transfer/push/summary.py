"""What can be said of a push: before it, how it is wanted; after it, what it came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evalrunner.config import DELIVERY_DEADLINE, VISIBLE_DEADLINE
from evalrunner.verify.codes import Finding


@dataclass(frozen=True)
class PushOptions:
    """What is to be pushed, and how.

    Attributes:
        experiment: id or name, at the source.
        dataset_name, experiment_name: of the copies; None keeps the names.
        time_shift: move the times into the destination's ingest window.
        delivery_deadline: seconds without any success after which the rest is not sent.
        visible_deadline: seconds to wait for what was accepted to be readable.
        root: where the folders of pushes are.
    """

    experiment: str
    dataset_name: str | None = None
    experiment_name: str | None = None
    time_shift: bool = True
    delivery_deadline: float = DELIVERY_DEADLINE
    visible_deadline: float = VISIBLE_DEADLINE
    root: Path = Path(".evalrunner/push")


@dataclass
class Pushed:
    """What a push came to.

    Attributes:
        sent: what this push sent, by kind.
        total: what the experiment has, by kind.
        shift: seconds that every time was moved by.
        not_delivered, not_visible: {kind, id, source_id, reason} of each hole.
        findings: what should be known beside that.
    """

    experiment: dict[str, str]
    dataset: dict[str, str]
    destination: str
    shift: int
    total: dict[str, int]
    sent: dict[str, int]
    not_delivered: list[dict[str, str]] = field(default_factory=list)
    not_visible: list[dict[str, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Everything was read back."""
        return not self.not_delivered and not self.not_visible

    @property
    def warnings(self) -> list[str]:
        """The sentences of the findings."""
        return [one.text for one in self.findings]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "warnings": self.warnings, "complete": self.complete}
