"""How much disk the spools take: their bytes are added up twenty times a second while a run of no-ops goes on.

python -m scripts.bench.spool 10000 --workers 4
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.support.rig import Command, backend_in

WORKLOAD = Path(__file__).resolve().parents[1] / "chaos" / "workload.py"


def size(folder: Path) -> tuple[int, int]:
    """Return how many bytes and files there are."""
    found = []
    for path in folder.glob("*.spool"):
        try:
            found.append(path.stat().st_size)
        except FileNotFoundError:
            continue  # it was let go at this moment
    return sum(found), len(found)


def main() -> None:
    """Measure one run, and print its peak."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", type=int)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, backend_in(Path(place)) as backend:
        folder = Path(place)
        experiment = backend.experiment(backend.dataset(options.items))
        (folder / "noop.py").write_text("def target(inputs): return {'i': inputs['i']}\n")
        began = time.monotonic()
        command = Command(
            [
                *("--experiment", experiment, "--run-dir", str(folder / "run"), "--json"),
                *("--target", "noop.py:target", "--evaluator", f"{WORKLOAD}:right"),
                *("--workers", str(options.workers)),
            ],
            cwd=folder,
            env=backend.environment(CHAOS_LOG=str(folder / "log")),
        )
        peak, files, pause = 0, 0, threading.Event()
        while command.process.poll() is None:
            now, many = size(folder / "run" / "spool")
            peak, files = max(peak, now), max(files, many)
            pause.wait(0.05)
        done = command.finish()
        seconds = time.monotonic() - began
        print(done.err, file=sys.stderr)  # how far the books were apart meanwhile
        print(
            f"items {options.items}, workers {options.workers}: peak {peak / 1e6:.1f} MB in {files} file(s), "
            f"at the end {size(folder / 'run' / 'spool')[0]} bytes; {seconds:.1f} s, exit code {done.code}"
        )


if __name__ == "__main__":
    main()
