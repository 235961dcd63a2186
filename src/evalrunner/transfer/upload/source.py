"""What is sent, trace by trace: recorded runs of a file (plan.py), or an experiment of another LangSmith (push)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from evalrunner.delivery.spool.record import Encoded
from evalrunner.transfer.upload.index import Tree
from evalrunner.transfer.upload.rewrite import Placed
from evalrunner.transfer.upload.there import Known

Traces = Mapping[int, Sequence[Placed]]
"""Where the runs of some traces go, by the traces' numbers in the index."""


class Source(Protocol):
    """The traces of an index, and what becomes of them there. It must say the same every time that it is asked."""

    @property
    def project(self) -> str:
        """The id of the project to which they go."""

    def placed(self, trees: Sequence[Tree]) -> Traces:
        """Return where the runs of some sound traces go."""

    def built(self, traces: Traces, known: Known, boundary: str) -> Iterator[tuple[int, Iterator[Encoded]]]:
        """Build what creates each of some traces, or what it lacks there.

        Args:
            known: what is there of them; a run that has ended since is sent its end.
            boundary: of the requests.

        Raises:
            EvalrunnerError: the source cannot be read any more.
        """

    def score_ids(self, placed: Placed) -> list[str]:
        """Return the ids of a run's feedback."""
