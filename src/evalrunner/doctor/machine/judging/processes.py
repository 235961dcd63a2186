"""How workers start, and what forking would cost."""

from __future__ import annotations

from collections.abc import Iterator

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.looking.processes import Processes


def judge(seen: Processes, method: str) -> Iterator[Check]:
    """Yield what there is to say of starting processes.

    Args:
        method: the one that a run would use.
    """
    if method == "forkserver" and not seen.sockets:
        yield Check(
            "start-method",
            Status.NOTE,
            "no folder takes a socket of the forkserver's (TMPDIR, /tmp, /var/tmp, /dev/shm): workers are spawned, "
            "which costs about 0.4 s each",
            "name a short path on a local disk in TMPDIR",
        )
        return
    hazard = ""
    if seen.methods and seen.methods[0] == "fork":
        hazard = (
            ", never by fork (as this Python's own pools do: what they trace with a LangSmith client that was used "
            "before is lost)"
        )
    yield Check("start-method", Status.OK, f"workers start by {method}{hazard}")
