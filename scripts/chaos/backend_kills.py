"""Kill the backend under load, and see whether anything that it had answered 202 to is gone.

    python scripts/chaos/backend_kills.py [--kills 100] [--writers 8] [--first-seed 1] [--smoke]

The server is a process of its own and is killed (SIGKILL) at a random moment while the writers send creates and
updates of small runs, compressed, over raw connections. It is started again over the same store, and asked what
it has. Every operation that was answered 202 has to be there once, of a request that got no answer all operations
or none; at the end everything of all rounds is looked for again, and SQLite looks through the whole file.

Exit code 1 if anything was lost, kept in halves, or if the store is damaged.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import sqlite3
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts import wire  # noqa: E402 - after the path is set
from tests.support.rig import Backend  # noqa: E402 - after the path is set

RUNS = 5  # per request
LONGEST = 0.25  # seconds of load before the kill, at most
SMOKE = 5
HEADER = (
    f"{'kill':>4} {'after ms':>8} {'202':>6} {'ops':>7} {'lost':>5} {'cut off':>7} {'kept':>5} {'halves':>6}"
)

Op = tuple[str, str]  # ("post" or "patch", run id)


@dataclass
class Heard:
    """What one writer sent: requests that were answered 202, and those that got no answer at all."""

    accepted: list[list[Op]] = field(default_factory=list)
    silent: list[list[Op]] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Round:
    """What one kill came to."""

    after: float
    session: str
    requests: int
    ops: list[Op]
    lost: int
    silent: int
    kept: int
    halves: int
    refused: int

    @property
    def good(self) -> bool:
        """Whether what was answered is there, and nothing is there in halves."""
        return self.lost == self.halves == self.refused == 0 and self.requests > 0

    def row(self, number: int) -> str:
        """Return its line in the table."""
        told = (
            f"{number:>4} {self.after * 1000:>8.0f} {self.requests:>6} {len(self.ops):>7} {self.lost:>5} "
            f"{self.silent:>7} {self.kept:>5} {self.halves:>6}"
        )
        return told if self.good else f"{told}  <--"


def main() -> int:
    """Run the programme; return 0 if every promise was kept."""
    options = _options()
    kills = SMOKE if options.smoke else options.kills
    print(f"{kills} kills under {options.writers} writers, {os.cpu_count()} cores\n{HEADER}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        backend = Backend(Path(folder))
        try:
            rounds = _all(backend, kills, options.writers, options.first_seed)
            late = sum(_missing(backend, one.session, one.ops) for one in rounds)
        finally:
            backend.close()
        verdict = integrity(Path(folder) / "store.sqlite")
    print(f"{summary(rounds)}, {time.monotonic() - began:.0f} s")
    print(f"at the end: lost {late}, integrity_check {verdict}")
    return 0 if all(one.good for one in rounds) and not late and verdict == "ok" else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--smoke", action="store_true", help=f"{SMOKE} kills: seconds instead of minutes")
    return parser.parse_args()


def _all(backend: Backend, kills: int, writers: int, first: int) -> list[Round]:
    rounds = []
    for number in range(1, kills + 1):
        rounds.append(run_round(backend, writers, random.Random(first + number - 1)))
        print(rounds[-1].row(number), flush=True)
    return rounds


def summary(rounds: list[Round]) -> str:
    """Return the totals as one line."""
    return (
        f"{len(rounds)} kills: lost {sum(r.lost for r in rounds)} of {sum(len(r.ops) for r in rounds)} "
        f"operations answered 202, in {sum(r.requests for r in rounds)} requests; "
        f"{sum(r.silent for r in rounds)} requests cut off, {sum(r.kept for r in rounds)} of them kept whole, "
        f"halves {sum(r.halves for r in rounds)}, refused {sum(r.refused for r in rounds)}"
    )


def run_round(backend: Backend, writers: int, lots: random.Random) -> Round:
    """Write, kill, start again, and look."""
    session, after = f"round-{wire.new_id()}", lots.uniform(0.02, LONGEST)
    heard = [Heard() for _ in range(writers)]
    working = threading.Event()
    threads = [threading.Thread(target=_write, args=(backend, session, one, working)) for one in heard]
    for thread in threads:
        thread.start()
    assert working.wait(30), "no writer was ever answered"
    time.sleep(after)  # under load, up to the kill
    backend.stop()
    for thread in threads:
        thread.join(60)
    backend.start()
    return _judge(backend, session, after, heard)


def _write(backend: Backend, session: str, heard: Heard, working: threading.Event) -> None:
    """Send creates, and the updates of the creates before them, until the server is gone."""
    line = wire.Line(backend.url, backend.token)
    open_runs: list[str] = []
    try:
        while True:
            ids = [wire.new_id() for _ in range(RUNS)]
            ops = [("post", one) for one in ids] + [("patch", one) for one in open_runs]
            parts = [part for one in ids for part in wire.post(one, session)]
            parts += [part for one in open_runs for part in wire.patch(one)]
            if not _sent(line, wire.packed(parts), ops, heard):
                return
            working.set()
            open_runs = ids
    finally:
        line.close()


def _sent(line: wire.Line, body: bytes, ops: list[Op], heard: Heard) -> bool:
    try:
        status = line.send(body)
    except (OSError, http.client.HTTPException):
        heard.silent.append(ops)
        return False
    if status != 202:
        heard.refused.append(status)
        return False
    heard.accepted.append(ops)
    return True


def _judge(backend: Backend, session: str, after: float, heard: list[Heard]) -> Round:
    there = _there(backend, session)
    accepted = [ops for one in heard for ops in one.accepted]
    silent = [ops for one in heard for ops in one.silent]
    found = [sum(op in there for op in ops) for ops in silent]
    return Round(
        after=after,
        session=session,
        requests=len(accepted),
        ops=[op for ops in accepted for op in ops],
        lost=sum(op not in there for ops in accepted for op in ops),
        silent=len(silent),
        kept=sum(count == len(ops) for count, ops in zip(found, silent, strict=True)),
        halves=sum(0 < count < len(ops) for count, ops in zip(found, silent, strict=True)),
        refused=sum(len(one.refused) for one in heard),
    )


def _there(backend: Backend, session: str) -> set[Op]:
    """Return the operations that the server has, each of them once; a doubled one counts as lost."""
    runs = backend.truth(session)["runs"].items()
    return {(kind, run) for run, told in runs for kind in ("post", "patch") if told[kind] == 1}


def _missing(backend: Backend, session: str, ops: list[Op]) -> int:
    there = _there(backend, session)
    return sum(op not in there for op in ops)


def integrity(store: Path) -> str:
    """Return what SQLite says of the whole file."""
    connection = sqlite3.connect(store)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
