"""What belongs to no item and passes our client all the same: traces of background threads, scores on other runs.

It is in the books like the rest: promised when it is durable, accepted at 2xx, visible when it comes back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class LooseState(IntEnum):
    """How far a record has come. The numbers stand in ledgers on disk."""

    PROMISED = 0
    """It lies in a spool, or it was about to be sent."""
    ACCEPTED = 1
    """The server answered 2xx for all of it."""
    VISIBLE = 2
    """Every id of it came back, as far as it can be asked for."""
    REFUSED = 3
    """It will not be sent again in this run."""
    NOT_VISIBLE = 4
    """Accepted, and not read back by the deadline."""


@dataclass(frozen=True)
class About:
    """What one operation of a loose record is.

    Attributes:
        kind, id: as in `delivery.record.Op`.
        name: the run's name or the feedback's key, for people.
        project: where its run is, or "" if the operation does not say.
        run: the run that a feedback is about, or "".
        ended: it carries the run's end.
    """

    kind: str
    id: str
    name: str = ""
    project: str = ""
    run: str = ""
    ended: bool = False


@dataclass(frozen=True)
class LooseRecord:
    """News of one record.

    Attributes:
        seq: its number in its spool; negative for what was sent without one.
        about: its operations; with the first news at least.
        segment: which of the spool's files it lies in.
    """

    seq: int
    state: LooseState
    reason: str = ""
    about: list[About] = field(default_factory=list)
    segment: int = 1

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> LooseRecord:
        """Read what `orjson.dumps` wrote.

        Raises:
            LookupError, TypeError, ValueError: it is no such record.
        """
        about = [About(**each) for each in facts["about"]]
        seq, segment = int(facts["seq"]), int(facts["segment"])
        return cls(seq, LooseState(facts["state"]), str(facts["reason"]), about, segment)
