"""What a replay came to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Replayed:
    """The receipt of a replay.

    Attributes:
        folder: where the envelopes were.
        destination: host of the LangSmith that took them.
        envelopes: how many there were that could be read.
        done: how many of them the service has taken whole, now or before; they lie in `done/` now.
        operations: what was in these, by kind: "post" (runs), "patch" (their ends), "feedback".
        kept: {file, reason} of those that it has not taken, or not all of: they stay where they are.
        unread: {file, reason} of what is no envelope, or only a piece of one.
    """

    folder: str
    destination: str
    envelopes: int = 0
    done: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    kept: list[dict[str, str]] = field(default_factory=list)
    unread: list[dict[str, str]] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Everything in the folder was taken."""
        return not self.kept and not self.unread
