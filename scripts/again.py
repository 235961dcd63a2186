"""The tests again and again, beside a busy neighbour: whatever relies on a moment, an order or a quiet machine shows.

    python scripts/again.py --times 20 tests/browser
    python scripts/again.py --seeds 1-20 tests/unit tests/contract
    python scripts/again.py --times 1 --late 3 tests/process tests/e2e

Each pass is one line; the output of a pass that failed is kept, and its name is printed. Exits with 1 if one did.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_SPIN = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nwhile True: pass"


def main() -> int:
    """Run every pass, and say how many were good."""
    asked = _arguments()
    seeds = range(1, asked.times + 1) if asked.seeds is None else _span(asked.seeds)
    folder = Path(tempfile.mkdtemp(prefix="evalrunner-again-"))
    spread = ["-n", str(asked.jobs), "--dist", "loadfile"] if asked.jobs > 1 else []
    os.environ["EVALRUNNER_TESTS_LATE"] = str(asked.late)
    bad = 0
    with contextlib.nullcontext() if asked.quiet else _neighbour():
        for place, seed in enumerate(seeds, start=1):
            order = ["-p", "no:randomly"] if asked.seeds is None else [f"--randomly-seed={seed}"]
            log = folder / f"{place:03d}.log"
            which = f"{place:>3} of {len(seeds)}" + (f", seed {seed}" if asked.seeds else "")
            bad += not _pass([*asked.paths, *order, *spread], which, log)
    print(f"{len(seeds) - bad} of {len(seeds)} passes without a failure: {' '.join(asked.paths)}", flush=True)
    return 1 if bad else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", help="tests, as pytest takes them")
    parser.add_argument("--times", type=int, default=20, help="passes in the order of the files")
    parser.add_argument("--seeds", help="passes in the orders of these seeds of pytest-randomly, FIRST-LAST")
    parser.add_argument(
        "--jobs", type=int, default=1, help="processes of pytest, which are each other's neighbours"
    )
    parser.add_argument(
        "--late", type=float, default=0.0, help="seconds that a test hears late of what it waits for"
    )
    parser.add_argument("--quiet", action="store_true", help="without a busy neighbour on the first core")
    return parser.parse_args()


def _span(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


@contextlib.contextmanager
def _neighbour() -> Iterator[None]:
    """Keep one core busy, at the tests' own priority."""
    with subprocess.Popen([sys.executable, "-c", _SPIN]) as process:
        try:
            yield
        finally:
            process.kill()


def _pass(arguments: list[str], which: str, log: Path) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    with log.open("wb") as file:
        code = subprocess.run(command, cwd=ROOT, stdout=file, stderr=file, check=False).returncode
    said = re.findall(r"\d+ (?:passed|failed|error).*", log.read_text(errors="replace"))
    good = code == 0
    print(
        f"{which}: {said[-1] if said else f'exit {code}'}{'' if good else f'  see {log}'}",
        flush=True,
    )
    if good:
        log.unlink()
    return good


if __name__ == "__main__":
    sys.exit(main())
