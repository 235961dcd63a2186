"""Kill workers, or the supervisor, at random moments, and see what was lost.

    python scripts/chaos/kills.py [--seeds 20] [--mode worker|supervisor|both] [--first-seed 1] [--smoke]

Every seed is a run of its own over an experiment of its own. `worker`: one worker is killed (SIGKILL) when a
random number of items have begun, and the same run has to end complete. `supervisor`: the command itself is
killed, at any moment up to its last one, every process that it had started has to be gone within 2 s, and the
same command again has to complete the experiment. What became of it is asked with nothing but the SDK; how
often an item was executed is told by the target, which writes down every execution.

Exit code 1 if anything was lost, doubled, left pending, executed again without need, or survived.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.rig import (  # noqa: E402 - after the path is set
    Backend,
    Command,
    ExecutionLog,
    TimedOut,
    alive,
    backend_in,
    read_experiment,
    wait_until,
)

WORKLOAD = Path(__file__).resolve().parent / "workload.py"
#: No worker may live longer than this without its supervisor.
SURVIVAL = 2.0
HEADER = (
    f"{'seed':>4} {'killed at':>10} {'visible':>9} {'dupl.':>5} {'pending':>7} {'again':>5} {'bound':>5} "
    f"{'survivors':>10}"
)


@dataclass(frozen=True)
class Setup:
    """One kind of trial."""

    mode: str
    items: int
    workers: int
    concurrency: int
    seconds: float

    @property
    def bound(self) -> int:
        """How many items may be executed once more: those in flight in whatever was killed."""
        return self.concurrency * (1 if self.mode == "worker" else self.workers)


@dataclass(frozen=True)
class Trial:
    """What one seed came to."""

    seed: int
    killed_at: str
    items: int
    lost: int
    duplicates: int
    pending: int
    scores_lost: int
    again: int
    bound: int
    survived: float
    survivors: int
    exit_code: int

    @property
    def good(self) -> bool:
        """Whether everything that was promised was kept."""
        losses = self.lost + self.duplicates + self.pending + self.scores_lost + self.survivors
        return losses == 0 and self.again <= self.bound and self.exit_code == 0

    def row(self) -> str:
        """Return its line in the table."""
        visible = f"{self.items - self.lost}/{self.items}"
        survivors = f"{self.survivors} ({self.survived:.2f} s)"
        return (
            f"{self.seed:>4} {self.killed_at:>10} {visible:>9} {self.duplicates:>5} {self.pending:>7} "
            f"{self.again:>5} {self.bound:>5} {survivors:>10}{'' if self.good else f'  <-- exit {self.exit_code}'}"
        )


def main() -> int:
    """Run the programme; return 0 if every promise was kept."""
    options = _options()
    modes = ["worker", "supervisor"] if options.mode == "both" else [options.mode]
    trials: dict[str, list[Trial]] = {}
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, backend_in(Path(folder)) as backend:
        for mode in modes:
            setup = Setup(
                mode,
                items=options.items or (40 if options.smoke else 150),
                workers=options.workers,
                concurrency=options.concurrency,
                seconds=options.seconds,
            )
            print(
                f"{mode}: {setup.items} items of {setup.seconds * 1000:g} ms, {setup.workers} workers with "
                f"{setup.concurrency} at once, {os.cpu_count()} cores"
            )
            print(HEADER, flush=True)
            trials[mode] = []
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                trial = run_trial(backend, setup, seed, Path(folder))
                trials[mode].append(trial)
                print(trial.row(), flush=True)
    for mode, done in trials.items():
        print(f"{mode}: {summary(done)}")
    return 0 if all(trial.good for done in trials.values() for trial in done) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--mode", choices=["worker", "supervisor", "both"], default="both")
    parser.add_argument("--items", type=int, default=0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--smoke", action="store_true", help="few items: seconds instead of minutes")
    return parser.parse_args()


def summary(trials: list[Trial]) -> str:
    """Return the totals as one line."""
    return (
        f"{len(trials)} kills: lost {sum(t.lost for t in trials)} of {sum(t.items for t in trials)}, "
        f"duplicates {sum(t.duplicates for t in trials)}, pending {sum(t.pending for t in trials)}, "
        f"scores lost {sum(t.scores_lost for t in trials)}, "
        f"re-executed max {max(t.again for t in trials)} (bound {trials[0].bound}), "
        f"survivors {sum(t.survivors for t in trials)} (longest {max(t.survived for t in trials):.2f} s)"
    )


def run_trial(backend: Backend, setup: Setup, seed: int, folder: Path) -> Trial:
    """Run, kill, bring to an end, and look."""
    random_ = random.Random(f"{setup.mode}-{seed}")
    dataset = backend.dataset(setup.items)
    experiment = backend.experiment(dataset)
    place = folder / f"{setup.mode}-{seed}-{experiment}"
    log = ExecutionLog(place / "executions")
    environment = backend.environment(CHAOS_LOG=str(log.path), CHAOS_SECONDS=str(setup.seconds))
    arguments = [
        *("--experiment", experiment, "--workers", str(setup.workers)),
        *("--max-concurrency", str(setup.concurrency), "--json"),
        *("--target", f"{WORKLOAD}:{'target' if setup.concurrency == 1 else 'async_target'}"),
        *("--evaluator", f"{WORKLOAD}:right"),
    ]
    command = Command(arguments, cwd=place, env=environment)
    # A worker is killed while there is work; the supervisor at any moment, the last of all included.
    when = random_.randint(1, setup.items if setup.mode == "supervisor" else int(0.95 * setup.items))
    if not log.reach(when, command=command):
        raise TimedOut(f"seed {seed}: the run ended before {when} items had begun: {command.finish().err}")
    # At any instant of an item's life, not only right after its beginning.
    time.sleep(random_.uniform(0, 2 * setup.seconds))
    if setup.mode == "worker":
        descendants = command.descendants()
        os.kill(random_.choice(_workers(log)), signal.SIGKILL)
        code = command.finish().code
        survived, survivors = 0.0, _survivors(descendants)
    else:
        descendants = command.descendants()
        command.kill()
        began = time.monotonic()
        survivors = _survivors(descendants)
        survived = time.monotonic() - began
        code = Command(arguments, cwd=place, env=environment).finish().code
    return _judge(backend, setup, seed, log, experiment, f"{when} begun", survived, survivors, code)


def _workers(log: ExecutionLog) -> list[int]:
    """Return the pids of workers that live."""
    return sorted(pid for pid in {line.pid for line in log.begun()} if alive(pid))


def _survivors(pids: list[int]) -> int:
    """Wait for these processes to be gone, and return how many are not in time."""
    try:
        wait_until(lambda: not any(map(alive, pids)), SURVIVAL)
    except TimedOut:
        return sum(map(alive, pids))
    return 0


def _judge(
    backend: Backend,
    setup: Setup,
    seed: int,
    log: ExecutionLog,
    experiment: str,
    killed_at: str,
    survived: float,
    survivors: int,
    code: int,
) -> Trial:
    seen = read_experiment(backend.client, experiment)
    scores_lost = sum(
        [score.key for score in seen.feedback.get(run.id, [])] != ["right"] for run in seen.roots
    )
    return Trial(
        seed=seed,
        killed_at=killed_at,
        items=setup.items,
        lost=seen.lost(),
        duplicates=seen.duplicates(),
        pending=len(seen.pending),
        scores_lost=scores_lost,
        again=sum(count - 1 for count in log.counts().values()),
        bound=setup.bound,
        survived=survived,
        survivors=survivors,
        exit_code=code,
    )


if __name__ == "__main__":
    sys.exit(main())
