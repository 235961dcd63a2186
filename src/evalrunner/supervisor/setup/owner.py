"""Who runs an experiment: what a command writes of itself into the experiment's metadata, and whether it lives.

A service has no compare-and-set, and two commands may share nothing but the experiment: so each writes who it is,
looks whether that still stands, and says again and again that it lives.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from evalrunner.engines.processes import alive, born

#: In the experiment's metadata, while somebody runs it.
CLAIM = "evalrunner_owner"
#: Seconds between two signs of life; of silence after which an owner may be taken for dead.
BEAT, SILENT = 30.0, 150.0
#: Tokens of this process's own commands, which may be several in turn: it lives, and they need not.
HELD_HERE: set[str] = set()


@dataclass(frozen=True)
class Owner:
    """A command that runs an experiment.

    Attributes:
        token: drawn at random: no other command has it.
        host, pid, birth: its process; `birth` in seconds since 1970.
        kernel: of which boot of which machine, and of which container, that is a process; "" if not known.
        job, restart: the batch job, and how often that was started again; "" and 0 outside of one.
        folder: where its ledger and spools are.
        since, seen: ISO times of its begin and of its last sign of life, by its own clock.
    """

    token: str
    host: str
    pid: int
    birth: float
    kernel: str
    job: str
    restart: int
    folder: str
    since: str
    seen: str

    @classmethod
    def myself(cls, folder: Path, now: datetime, environment: Mapping[str, str]) -> Owner:
        """Describe this process."""
        restart = environment.get("SLURM_RESTART_COUNT", "")
        return cls(
            token=secrets.token_hex(8),
            host=socket.gethostname(),
            pid=os.getpid(),
            birth=born(),
            kernel=_kernel(),
            job=environment.get("SLURM_JOB_ID", ""),
            restart=int(restart) if restart.isdecimal() else 0,
            folder=str(folder.absolute()),
            since=now.isoformat(),
            seen=now.isoformat(),
        )

    @classmethod
    def found_in(cls, metadata: Mapping[str, Any]) -> Owner | None:
        """Read it out of an experiment's metadata; None if nobody claims it, or in words that we do not know."""
        facts = metadata.get(CLAIM)
        if not isinstance(facts, dict):
            return None
        with contextlib.suppress(TypeError, ValueError):
            one = cls(**{field.name: facts[field.name] for field in fields(cls) if field.name in facts})
            if (
                isinstance(one.pid, int)
                and isinstance(one.birth, (int, float))
                and _time(one.seen)
                and _time(one.since)
            ):
                return one
        return None

    def to_json(self) -> dict[str, Any]:
        """Return what stands in the metadata."""
        return asdict(self)

    def again(self, now: datetime) -> Owner:
        """Return it with a fresh sign of life."""
        return replace(self, seen=now.isoformat())

    def is_dead(self, me: Owner) -> bool:
        """Whether it is known for certain that this one has ended.

        On the same machine by its process; of a job that was queued again, the system has ended the run before.
        """
        if self.kernel and self.kernel == me.kernel:
            if self.pid == me.pid:
                return self.token not in HELD_HERE
            return not alive(self.pid, self.birth)
        return bool(self.job) and self.job == me.job and self.restart < me.restart

    def silence(self, now: datetime) -> float:
        """Return the seconds since its last sign of life; by two clocks, so that it may be below 0."""
        return (now - _time(self.seen)).total_seconds()

    def words(self, now: datetime) -> str:
        """Say who it is, since when, and when it was last heard of."""
        ago = _rounded(max(0.0, self.silence(now)))
        since = _time(self.since).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"pid {self.pid} on {self.host}, since {since}, last sign of life {ago} ago"


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.astimezone(timezone.utc) if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _rounded(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _kernel() -> str:
    """Return what names this boot of this machine and, in it, the container whose process numbers we see."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
