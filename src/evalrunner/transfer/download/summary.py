"""What can be said of a download: before it, what is wanted; after it, what it came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from evalrunner.verify import transfers
from evalrunner.verify.codes import Finding

#: Seconds without any answer after which a download ends.
READ_DEADLINE = 300.0


@dataclass(frozen=True)
class DownloadOptions:
    """What is to be downloaded, and where to.

    Attributes:
        file: where to write; None is stdout. `.zst` and `.gz` at its end are heeded.
        project: id or name of any project; exclusive with `experiment`.
        experiment: id or name of an experiment.
        filter: of root runs, in the service's language; the whole traces of those that match.
        force: replace the file if there is one.
        read_deadline: seconds without any answer of the service after which the download ends.
    """

    file: Path | None
    project: str | None = None
    experiment: str | None = None
    filter: str | None = None
    force: bool = False
    read_deadline: float = READ_DEADLINE


@dataclass
class Downloaded:
    """What a download came to: the receipt.

    Attributes:
        project: id and name of what was downloaded.
        source: host of the LangSmith that it is from.
        file: where it lies; "-" is stdout.
        runs, traces, feedback, attachments: how many are in the file.
        open_runs: of `runs`, those without an end.
        bytes: of the lines, before any compression.
        left_out: feedback of the project itself, which belongs to no run and has no place in the form.
        appeared: how many runs had appeared by the end that are not in the file.
        changed: how many runs had ended, or changed their status or end, since they were read.
        vanished: how many runs of those that were found at first were deleted before they could be read.
        compared: the project could be looked at once more in the end; else the three before say nothing.
        missing: what the service says it has, and does not give: {kind, run, name, reason}.
        findings: what should be known beside that.
    """

    project: dict[str, str]
    source: str
    file: str
    filter: str | None = None
    runs: int = 0
    traces: int = 0
    feedback: int = 0
    attachments: int = 0
    open_runs: int = 0
    bytes: int = 0
    left_out: int = 0
    appeared: int = 0
    changed: int = 0
    vanished: int = 0
    compared: bool = True
    missing: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """All that the service had when the download began, and still has in the end, is in the file."""
        return self.compared and not self.missing

    @property
    def warnings(self) -> list[str]:
        """The sentences of the findings."""
        return [one.text for one in self.findings]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "warnings": self.warnings, "complete": self.complete}


def remarks(done: Downloaded) -> list[Finding]:
    """Return what should be known of a download beside its numbers."""
    found = [] if done.runs else [transfers.project_empty(done.filter)]
    for count, say in (
        (done.appeared, transfers.runs_appeared),
        (done.changed, transfers.runs_changed),
        (done.vanished, transfers.runs_vanished),
        (done.open_runs, transfers.runs_open_in_file),
        (done.left_out, transfers.scores_left_out),
    ):
        if count:
            found.append(say(count))
    return found
