"""What each stage of `evalrunner upload` takes of the processor, and what nobody can do without.

    python scripts/bench/upload_stages.py [--runs N] [--size 2400] [--reps 3]

Stages, one after the other in this process: reading the file (and its fingerprint), the index, the traces, ids and
places, the bodies of the requests. Then the bound: packing those bodies with zstd, and giving them to a socket.
The least of all repetitions counts: whatever else runs here takes none of it.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from evalrunner.delivery.spool.record import closing
from evalrunner.transfer.files import Inputs
from evalrunner.transfer.upload.confirm import together
from evalrunner.transfer.upload.forest import resolve
from evalrunner.transfer.upload.hashing import Hashing
from evalrunner.transfer.upload.index import SOUND, Index, Row
from evalrunner.transfer.upload.outbox import BATCH_BYTES
from evalrunner.transfer.upload.plan import Plan
from evalrunner.transfer.upload.rewrite import Placed
from evalrunner.transfer.upload.scan import rows
from evalrunner.transfer.upload.shift import Shift
from tests.support.recorded import Recorder, write_array

BOUNDARY = f"evalrunner-{'0' * 32}"
SIZE_LIMIT = 20 << 20
Made = TypeVar("Made")


class Clock:
    """Adds up the processor's time, stage by stage."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def of(self, stage: str, work: Callable[[], Made]) -> Made:
        """Do some work of a stage."""
        began = time.process_time()
        made = work()
        self.spent[stage] = self.spent.get(stage, 0.0) + time.process_time() - began
        return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=2400, help="bytes of a run")
    parser.add_argument("--reps", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evalrunner-bench-") as name:
        file = Path(name) / "traces.json"
        runs = write_array(file, Recorder(7, size=asked.size).traces(asked.runs))
        taken = [measured(file, Path(name) / str(number)) for number in range(asked.reps)]
        megabytes = file.stat().st_size / 1e6
    print(f"{runs:,} runs, {megabytes:,.1f} MB, the least of {asked.reps}")
    for stage in taken[0]:
        least = min(one[stage] for one in taken)
        print(f"  {stage:10} {1e6 * least / runs:8.2f} us a run {1e3 * least / megabytes:8.2f} ms a MB")


def measured(file: Path, folder: Path) -> dict[str, float]:
    """Return the seconds of each stage."""
    folder.mkdir()
    clock = Clock()
    with Inputs([file], folder) as inputs:
        with Hashing() as hashing:
            found = clock.of("reading", lambda: _all(inputs, hashing))
        index = Index(folder / "index.sqlite", fresh=True)
        clock.of("index", lambda: index.fill(found))
        found.clear()
        clock.of("traces", lambda: resolve(index.db, SIZE_LIMIT))
        plan = Plan(inputs, index, "0" * 36, "bench", Shift("delta", to=86_400_000_000))
        sink = Sink()
        batch: list[bytes] = []
        for some in together(index.trees(SOUND)):
            placed = clock.of("placing", partial(plan.placed, some))
            for runs in placed.values():
                batch.append(clock.of("building", partial(_body, plan, runs)))
                if sum(map(len, batch)) >= BATCH_BYTES:
                    _post(batch, clock, sink)
                    batch = []
        _post(batch, clock, sink)
        sink.close()
        index.close()
    return clock.spent


def _all(inputs: Inputs, hashing: Hashing) -> list[Row | tuple[object, ...]]:
    found = list(rows(inputs, hashing, lambda text: None))
    hashing.hexdigest()
    return found


def _body(plan: Plan, runs: list[Placed]) -> bytes:
    return b"".join([data for _, _, data in plan.encoded(BOUNDARY, runs)])


def _post(batch: list[bytes], clock: Clock, sink: Sink) -> None:
    body = clock.of("joining", lambda: b"".join([*batch, closing(BOUNDARY)]))
    packed = clock.of("zstd", lambda: zstandard.ZstdCompressor(level=1).compress(body))
    clock.of("socket", lambda: sink.take(packed))


class Sink:
    """A socket whose other end takes everything, on a thread; its reading counts as well."""

    def __init__(self) -> None:
        self._here, there = socket.socketpair()
        self._thread = threading.Thread(target=self._drain, args=(there,), daemon=True)
        self._thread.start()

    def take(self, data: bytes) -> None:
        """Send."""
        self._here.sendall(data)

    def close(self) -> None:
        """End."""
        self._here.close()
        self._thread.join()

    @staticmethod
    def _drain(there: socket.socket) -> None:
        with there:
            while there.recv(1 << 20):
                pass


if __name__ == "__main__":
    main()
