"""What can be said of an upload: before it, how it is wanted; after it, what it came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from evalrunner.config import DELIVERY_DEADLINE, VISIBLE_DEADLINE
from evalrunner.exit_codes import ExitCode
from evalrunner.verify.codes import Finding

Verify = Literal["ids", "content", "none"]
OnError = Literal["fail", "skip"]


@dataclass(frozen=True)
class UploadOptions:
    """What is to be uploaded, and how.

    Attributes:
        paths: files and folders; None is stdin.
        project: name of the project there.
        shift: how times move: "now", "trace", "none" or how far ("36h"); None is the project's own way, or "now".
        verify: what is read back: every id, all that runs say, or nothing.
        on_error: what a broken trace does: "fail" keeps everything back, "skip" only itself.
        dry_run: write nothing there, and say what would happen.
        delivery_deadline: seconds without any success after which the rest is not sent.
        visible_deadline: seconds to wait for what was accepted to be readable.
        failed: where the traces are written that are not uploaded; None is the upload's own folder.
        root: where the folders of uploads are.
    """

    paths: tuple[Path | None, ...]
    project: str
    shift: str | None = None
    verify: Verify = "ids"
    on_error: OnError = "fail"
    dry_run: bool = False
    delivery_deadline: float = DELIVERY_DEADLINE
    visible_deadline: float = VISIBLE_DEADLINE
    failed: Path | None = None
    root: Path = Path(".evalrunner/upload")


@dataclass(frozen=True)
class Hole:
    """A trace that is not there as it should be: what the file calls it, where it lies, and why."""

    trace_id: str
    where: dict[str, Any]
    reason: str


@dataclass
class Uploaded:
    """What an upload came to, in traces by id.

    Attributes:
        project: id (None if it does not exist) and name.
        total, sent, already: traces, runs and bytes of the input; what was sent now; traces that were there before.
        confirmed: traces that were read back, by `verify`.
        shift: how times moved, in words.
        broken: traces that cannot be uploaded.
        not_delivered, not_visible, different: traces that the destination did not take, does not show, or shows
            otherwise than they were sent.
        failed: the file that holds the broken and the refused traces, if there are any.
        findings: what should be known beside that.
        estimate: of a dry run: what it would take, in sentences.
    """

    project: dict[str, str | None]
    destination: str
    dry_run: bool
    verify: Verify
    shift: str
    total: dict[str, int]
    sent: dict[str, int] = field(default_factory=dict)
    already: int = 0
    confirmed: int = 0
    broken: list[Hole] = field(default_factory=list)
    not_delivered: list[Hole] = field(default_factory=list)
    not_visible: list[Hole] = field(default_factory=list)
    different: list[Hole] = field(default_factory=list)
    failed: str | None = None
    findings: list[Finding] = field(default_factory=list)
    estimate: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> ExitCode:
        """As the command ends."""
        if self.not_delivered or self.not_visible or self.different:
            return ExitCode.INCOMPLETE
        return ExitCode.FAILED if self.broken else ExitCode.COMPLETE

    @property
    def warnings(self) -> list[str]:
        """The sentences of the findings."""
        return [one.text for one in self.findings]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "warnings": self.warnings, "exit_code": int(self.exit_code)}


def sized(count: float) -> str:
    """Say how many bytes."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"
