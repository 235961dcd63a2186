"""Break the service in mid-run, and see what the run makes of it.

    python scripts/chaos/outage.py [--fault NAME]... [--smoke]

    503        every request is answered 503 for 30 s
    429        every batch is answered 429 with Retry-After for 20 s
    refused    the service is killed, and back after 5 s
    cut        one answer in three is cut off after the request was carried out
    forgotten  the service accepts everything and forgets 1 % of the traces

After each of them everything has to be there, executed once, and nothing twice; after `forgotten` the receipt's
"not visible" has to name exactly those runs that the service says that it forgot, and the exit code has to be 3.
What became of it is asked with nothing but the SDK; executions are counted by the target.

Exit code 1 if any of this is not so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.rig import (  # noqa: E402 - after the path is set
    Backend,
    Command,
    ExecutionLog,
    Finished,
    backend_in,
    read_experiment,
    wait_until,
)

WORKLOAD = Path(__file__).resolve().parent / "workload.py"
BATCHES = "POST /runs/multipart"
HEADER = (
    f"{'fault':>10} {'lasted':>7} {'struck':>6} {'visible':>9} {'dupl.':>5} {'pending':>7} {'again':>5} "
    f"{'forgotten':>9} {'named':>6} {'exit':>4} {'run took':>8}"
)


@dataclass(frozen=True)
class Trial:
    """What one fault came to."""

    fault: str
    lasted: float
    struck: int
    items: int
    lost: int
    duplicates: int
    pending: int
    again: int
    forgotten: set[str]
    named: set[str]
    exit_code: int
    took: float

    @property
    def good(self) -> bool:
        """Whether everything that was promised was kept."""
        return (
            self.struck > 0
            and self.duplicates == self.pending == self.again == 0
            and self.lost == len(self.forgotten)
            and self.named == self.forgotten
            and self.exit_code == (3 if self.forgotten else 0)
            and (bool(self.forgotten) or self.fault != "forgotten")
        )

    def row(self) -> str:
        """Return its line in the table."""
        visible = f"{self.items - self.lost}/{self.items}"
        return (
            f"{self.fault:>10} {self.lasted:>5.1f} s {self.struck:>6} {visible:>9} {self.duplicates:>5} "
            f"{self.pending:>7} {self.again:>5} {len(self.forgotten):>9} {len(self.named):>6} "
            f"{self.exit_code:>4} {self.took:>6.1f} s{'' if self.good else '  <-- not as promised'}"
        )


@dataclass
class Stage:
    """A run under way, and the backend that it talks to."""

    backend: Backend
    command: Command
    log: ExecutionLog
    short: bool
    struck: int = 0

    def strike(self, seconds: float, *rules: dict[str, Any]) -> float:
        """Break the backend for a while; return for how long."""
        self.backend.faults(*({**rule, "for_s": seconds} for rule in rules))
        return seconds


def _unavailable(stage: Stage) -> float:
    return stage.strike(3.0 if stage.short else 30.0, {"match": "*", "action": "status", "status": 503})


def _too_many(stage: Stage) -> float:
    seconds = 2.0 if stage.short else 20.0
    rule = {"match": BATCHES, "action": "status", "status": 429, "retry_after": 1 if stage.short else 5}
    return stage.strike(seconds, rule)


def _refused(stage: Stage) -> float:
    seconds = 2.0 if stage.short else 5.0
    stage.backend.stop()
    stage.struck = 1
    time.sleep(seconds)  # the outage itself
    stage.backend.start()
    return seconds


def _cut(stage: Stage) -> float:
    return stage.strike(600.0, {"match": BATCHES, "action": "cut_after", "fraction": 0.34})


#: What is done when a part of the items has begun.
MIDWAY: dict[str, Callable[[Stage], float]] = {
    "503": _unavailable,
    "429": _too_many,
    "refused": _refused,
    "cut": _cut,
}
FAULTS = (*MIDWAY, "forgotten")


def main() -> int:
    """Run the programme; return 0 if every promise was kept."""
    options = _options()
    trials = []
    print(HEADER, flush=True)
    for fault in options.fault or FAULTS:
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder, backend_in(Path(folder)) as backend:
            trials.append(run_trial(backend, fault, Path(folder) / "run", short=options.smoke))
        print(trials[-1].row(), flush=True)
    kept = [trial for trial in trials if trial.fault != "forgotten"]
    print(
        f"lost {sum(t.lost for t in kept)} of {sum(t.items for t in kept)}, "
        f"duplicates {sum(t.duplicates for t in trials)}, pending {sum(t.pending for t in trials)}, "
        f"executed twice {sum(t.again for t in trials)}, "
        f"forgotten by the service {sum(len(t.forgotten) for t in trials)}, "
        f"of them named in the receipt {sum(len(t.forgotten & t.named) for t in trials)}"
    )
    return 0 if all(trial.good for trial in trials) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fault", action="append", choices=FAULTS, help="only these; all unless given")
    parser.add_argument("--smoke", action="store_true", help="few items, short outages")
    return parser.parse_args()


def run_trial(backend: Backend, fault: str, place: Path, *, short: bool) -> Trial:
    """Run, break, wait for the end, and look."""
    items = (200 if short else 2000) if fault == "forgotten" else (120 if short else 400)
    experiment = backend.experiment(backend.dataset(items))
    log = ExecutionLog(place / "executions")
    seconds = "0.002" if fault == "forgotten" else "0.02"
    if fault == "forgotten":
        # From the start; a short run has too few items for 1 %.
        backend.faults({"match": BATCHES, "action": "forget", "fraction": 0.05 if short else 0.01}, seed=7)
    began = time.monotonic()
    command = Command(
        [
            *("--experiment", experiment, "--workers", "4", "--json", "--visible-deadline", "5"),
            *("--target", f"{WORKLOAD}:target", "--evaluator", f"{WORKLOAD}:right"),
        ],
        cwd=place,
        env=backend.environment(CHAOS_LOG=str(log.path), CHAOS_SECONDS=seconds),
    )
    stage = Stage(backend, command, log, short)
    log.reach(items // 4, command=command)
    lasted = MIDWAY[fault](stage) if fault in MIDWAY else 0.0
    done = command.finish(timeout=240)
    return _judge(stage, fault, items, experiment, lasted, done, time.monotonic() - began)


def _judge(
    stage: Stage, fault: str, items: int, experiment: str, lasted: float, done: Finished, took: float
) -> Trial:
    report = wait_until(stage.backend.fault_report, what="the report")
    struck = stage.struck + sum(rule["fired"] for rule in report["rules"])
    stage.backend.faults()
    seen = read_experiment(stage.backend.client, experiment)
    return Trial(
        fault=fault,
        lasted=lasted,
        struck=struck,
        items=items,
        lost=seen.lost(),
        duplicates=seen.duplicates(),
        pending=len(seen.pending),
        again=sum(count - 1 for count in stage.log.counts().values()),
        # Evaluators' traces are forgotten too; the receipt counts what the experiment was to show.
        forgotten=_roots(done, set(report["forgotten"])),
        named={item["run_id"] for item in done.receipt["items"] if item["state"] == "not visible"},
        exit_code=done.code,
        took=took,
    )


def _roots(done: Finished, forgotten: set[str]) -> set[str]:
    return forgotten & {item["run_id"] for item in done.receipt["items"]}


if __name__ == "__main__":
    sys.exit(main())
