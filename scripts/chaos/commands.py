"""Start several commands over one experiment, kill some, and see what is executed or stands there twice.

    python scripts/chaos/commands.py [--seeds 20] [--first-seed 1] [--commands 3] [--smoke]

Each seed is an experiment of its own: the commands, each with a run folder of its own, begin within two seconds of
each other; some with `--wait`. In half of the seeds one that executes is killed (SIGKILL) at a random moment. When
all have ended, one more completes what is left, in the folder of the one that was killed: what lies there finished
and not sent has been executed again by then, and must not stand there twice. Wanted: every item visible once; no
item executed twice where none was killed; no command that ends otherwise than complete (0) or busy (75).

Exit code 1 if any of this is not so.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from evalrunner.exit_codes import ExitCode  # noqa: E402 - after the path is set
from tests.support.rig import Backend, Command, ExecutionLog, backend_in, read_experiment  # noqa: E402 - likewise

WORKLOAD = Path(__file__).resolve().parent / "workload.py"
WORKERS = 2
#: Seconds within which the commands begin.
WITHIN = 2.0
HEADER = f"{'seed':>4} {'killed':>6} {'codes':>14} {'visible':>9} {'dupl.':>5} {'pending':>7} {'again':>5}"


@dataclass(frozen=True)
class Trial:
    """What one seed came to."""

    seed: int
    killed: bool
    codes: tuple[int, ...]
    items: int
    lost: int
    duplicates: int
    pending: int
    again: int

    @property
    def good(self) -> bool:
        """Whether everything was as it should be."""
        ends = set(self.codes) <= {ExitCode.COMPLETE, ExitCode.BUSY}
        twice = 0 if self.killed else self.again
        return ends and self.lost + self.duplicates + self.pending + twice == 0

    def row(self) -> str:
        """Return its line in the table."""
        visible, codes = f"{self.items - self.lost}/{self.items}", " ".join(map(str, self.codes))
        return (
            f"{self.seed:>4} {'yes' if self.killed else 'no':>6} {codes:>14} {visible:>9} {self.duplicates:>5} "
            f"{self.pending:>7} {self.again:>5}{'' if self.good else '  <--'}"
        )


def main() -> int:
    """Run the programme; return 0 if all was as it should be."""
    options = _options()
    print(f"{options.commands} commands within {WITHIN:g} s over one experiment, {os.cpu_count()} cores")
    print(HEADER, flush=True)
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, backend_in(Path(folder)) as backend:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            trials.append(run_trial(backend, options, seed, Path(folder)))
            print(trials[-1].row(), flush=True)
    print(summary(trials))
    return 0 if all(trial.good for trial in trials) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--commands", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="few items: seconds instead of minutes")
    return parser.parse_args()


def summary(trials: list[Trial]) -> str:
    """Return the totals as one line."""
    ends = Counter(code for trial in trials for code in trial.codes)
    told = ", ".join(f"{count} x {ExitCode(code).name.lower()}" for code, count in sorted(ends.items()))
    return (
        f"{len(trials)} trials ({sum(t.killed for t in trials)} with a kill): lost {sum(t.lost for t in trials)} of "
        f"{sum(t.items for t in trials)}, duplicates {sum(t.duplicates for t in trials)}, pending "
        f"{sum(t.pending for t in trials)}, executed again {sum(t.again for t in trials)}; {told}"
    )


def run_trial(backend: Backend, options: argparse.Namespace, seed: int, folder: Path) -> Trial:
    """Start them, maybe kill one, complete it, and look."""
    dice = random.Random(seed)
    items = 20 if options.smoke else 60
    experiment = backend.experiment(backend.dataset(items))
    place = folder / f"{seed}-{experiment}"
    log = ExecutionLog(place / "executions")
    environment = backend.environment(CHAOS_LOG=str(log.path), CHAOS_SECONDS="0.05")

    def start(number: int, *more: str) -> Command:
        words = [
            *(
                "--experiment",
                experiment,
                "--workers",
                str(WORKERS),
                "--run-dir",
                str(place / f"run-{number}"),
            ),
            *("--target", f"{WORKLOAD}:target", "--evaluator", f"{WORKLOAD}:right", "--json", *more),
        ]
        return Command(words, cwd=place, env=environment)

    pause = threading.Event()
    started: list[Command] = []
    for number in range(options.commands):
        started.append(start(number, *(["--wait"] if dice.random() < 0.5 else [])))
        pause.wait(dice.uniform(0, WITHIN / max(1, options.commands - 1)))
    killed = _kill_one(started, log, dice.randint(1, items - 5)) if seed % 2 == 0 else None
    codes = [
        one.finish().code for one in started if one.process.returncode is None or one.process.returncode >= 0
    ]
    last = options.commands if killed is None else started.index(killed)
    codes.append(start(last, "--wait").finish().code)
    seen = read_experiment(backend.client, experiment)
    return Trial(
        seed=seed,
        killed=killed is not None,
        codes=tuple(codes),
        items=items,
        lost=seen.lost(),
        duplicates=seen.duplicates(),
        pending=len(seen.pending),
        again=sum(count - 1 for count in log.counts().values()),
    )


def _kill_one(started: list[Command], log: ExecutionLog, when: int) -> Command | None:
    """Kill the one that executes when so many items have begun; None if none does any more."""
    log.reach(when)
    workers = {line.pid for line in log.begun()}
    for one in started:
        if one.process.poll() is None and workers & set(one.descendants()):
            one.kill()
            return one
    return None


if __name__ == "__main__":
    sys.exit(main())
