"""Where a case happens: a dataset, an experiment, processes that do the job well or wrongly, and what they leave.

The stage knows which examples it had evaluated wrongly, and why: what is missing of those is that cause's doing.
"""

from __future__ import annotations

import json
import random
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalrunner.doctor.causes import Cause
from tests.support.rig import Backend

WORKER = Path(__file__).resolve().parent / "cause_worker.py"
BATCHES = "POST /runs/multipart"
#: A worker that takes longer than this hangs.
PATIENCE = 300.0
#: So that what the shell says of a process's end is in the log too, as in a batch system's.
_SHELL = '"$@"; code=$?; [ $code = 0 ] || echo "exit status $code" >&2'


class NotProvoked(Exception):
    """What was to go wrong has gone well: by chance, and another try may do."""


@dataclass(frozen=True)
class Score:
    """What an evaluator did, as it wrote it down."""

    raised: bool
    key: str
    run: str
    evaluator: str


@dataclass
class Log:
    """What the workers of a case wrote down."""

    path: Path
    begun: dict[str, int] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)
    experiments: list[str] = field(default_factory=list)

    def read(self) -> None:
        """Read it again: run id -> number, and its project; scores; experiments that were made."""
        self.begun, self.places, self.scores, self.experiments = {}, {}, [], []
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        for event, *words in map(str.split, lines):
            if event == "begin":
                self.begun[words[1]] = int(words[0])
                self.places[words[1]] = words[2] if len(words) > 2 else "-"
            elif event == "experiment":
                self.experiments.append(words[0])
            else:
                self.scores.append(Score(event == "raise", *words[1:]))


class Stage:
    """One case under way.

    Attributes:
        ids: number -> id of its example; all of these are meant, and `repetitions` times.
        blamed: number -> why its runs may be missing, cut off, hidden, twice or without their scores.
        well: numbers that are still to be done well.
        elsewhere: root runs in other experiments that were meant for this one.
        logs_inputs: the runs have none of themselves.
        logs, dumps, env: what the processes left, for a look from inside.
        waits: what is to be ended when everything has been asked.
        asks: further words for the commands.
    """

    def __init__(self, backend: Backend, rng: random.Random, folder: Path) -> None:
        self.backend, self.rng, self.folder = backend, rng, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.dumps = folder / "failed-traces"
        self.dumps.mkdir()
        self.log = Log(folder / "executions")
        self.logs: list[Path] = []
        self.env: dict[str, str] = {}
        self.ids: dict[int, str] = {}
        self.blamed: dict[int, Cause] = {}
        self.dataset = self.experiment = ""
        self.repetitions = 1
        self.judges: list[str] = []
        self.well: list[int] = []
        self.elsewhere: list[str] = []
        self.logs_inputs = False
        self.waits: list[subprocess.Popen[bytes]] = []
        self.asks: list[str] = []

    # -- what is evaluated -------------------------------------------------------------------------------

    def make(self, count: int, *, split: Any = None, tell: bool | None = None, **session: Any) -> None:
        """Make a dataset, and an experiment over it that several processes may share.

        Args:
            tell: whether the experiment is told for how many examples it is.
        """
        fields = {"split": split} if split else {}
        dataset = self.backend.dataset(count, **fields)
        self.dataset, self.dataset_id = str(dataset.name), dataset.id
        self.learn()
        tell = self.rng.random() < 0.5 if tell is None else tell
        if tell:
            session = {"num_examples": count, "evaluator_keys": self.judges or None, **session}
        session.setdefault("num_repetitions", self.repetitions)
        project = self.backend.client.create_project(
            f"x-{secrets.token_hex(4)}", reference_dataset_id=dataset.id, **session
        )
        self.experiment = str(project.name)

    def learn(self) -> None:
        """Read which example has which number."""
        found = self.backend.client.list_examples(dataset_id=self.dataset_id)
        self.ids = dict(sorted(((one.inputs or {})["i"], str(one.id)) for one in found))

    # -- who does it -------------------------------------------------------------------------------------

    def start(
        self, numbers: Sequence[int], how: str = "well", env: dict[str, str] | None = None, **job: Any
    ) -> subprocess.Popen[bytes]:
        """Start a process that evaluates these examples."""
        told = {
            "how": how, "log": str(self.log.path), "dataset": self.dataset, "numbers": list(numbers),
            "ids": {str(number): one for number, one in self.ids.items()}, "experiment": self.experiment,
            "judges": self.judges, "concurrency": self.rng.choice((1, 2, 4)), "steps": self.rng.choice((1, 2)),
            **job,
        }  # fmt: skip
        if self.repetitions > 1 and "options" not in job:
            told["options"] = {"num_repetitions": self.repetitions}
        path = self.folder / f"job-{len(self.logs)}.json"
        path.write_text(json.dumps(told))
        return self.run([str(WORKER), str(path)], env)

    def run(self, words: Sequence[str], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a Python of its own under a shell, what both say in a log that is kept."""
        self.env |= env or {}
        log = self.folder / f"log-{len(self.logs)}.txt"
        self.logs.append(log)
        whole = self.backend.environment(LANGSMITH_FAILED_TRACES_DIR=str(self.dumps), **(env or {}))
        with log.open("wb") as out:
            return subprocess.Popen(
                ["bash", "-c", _SHELL, "job", sys.executable, *words],
                cwd=self.folder, env=whole, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip

    def work(self, numbers: Sequence[int], how: str = "well", **job: Any) -> int:
        """Let a process evaluate these examples, and wait for its end."""
        return self.end(self.start(numbers, how, **job))

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the end of a process.

        Raises:
            NotProvoked: it hangs.
        """
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.waits.append(process)
            raise NotProvoked(f"a process of {self.folder.name} hangs") from None

    @contextmanager
    def fault(self, *rules: dict[str, Any], **plan: Any) -> Iterator[None]:
        """Break the service for as long as the block lasts.

        Raises:
            NotProvoked: no rule has fired.
        """
        self.backend.faults(*rules, **plan)
        try:
            yield
        finally:
            fired = [rule["fired"] for rule in self.backend.fault_report()["rules"]]
            self.backend.faults()
        if rules and not any(fired):
            raise NotProvoked(f"no fault has struck: {rules}")

    def take_well(self) -> list[int]:
        """Return what is to be done well, if nobody has done it yet: whoever takes it does it."""
        taken, self.well = self.well, []
        return taken

    def blame(self, numbers: Sequence[int], cause: Cause) -> None:
        """Say why these may be wrong."""
        self.blamed.update(dict.fromkeys(numbers, cause))

    def close(self) -> None:
        """End what is still running."""
        for process in self.waits:
            subprocess.run(["kill", "-KILL", "--", f"-{process.pid}"], check=False)
            process.wait(PATIENCE)


def some(rng: random.Random, numbers: Sequence[int], least: int = 1) -> list[int]:
    """Return some of the numbers, in their order."""
    chosen = set(rng.sample(list(numbers), rng.randint(min(least, len(numbers)), len(numbers))))
    return [one for one in numbers if one in chosen]
