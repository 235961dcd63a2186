"""What the benches share: a backend of their own, datasets, commands and what they cost.

Every measurement has a fresh backend process over a fresh store, reached as the service is: by
LANGSMITH_ENDPOINT and LANGSMITH_API_KEY.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import requests
from langsmith import Client

HERE = Path(__file__).resolve().parent
WORKLOAD = HERE / "workload.py"
BIN = Path(sys.executable).parent
DATASET = "bench"
#: Where serve.py tells how many requests there were.
REQUESTS = "/_bench/requests"
PUSH = 500


@dataclass(frozen=True)
class Backend:
    """A running backend: its address, its keys, its process, a folder for whatever belongs to the measurement."""

    url: str
    token: str
    admin: str
    process: psutil.Process
    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Return an environment in which the SDK finds this backend and no other."""
        return neutral_environment(
            LANGSMITH_ENDPOINT=self.url,
            LANGSMITH_API_KEY=self.token,
            BENCH_LOG=str(self.log_folder()),
            **more,
        )

    def log_folder(self) -> Path:
        """Return where the targets write down when they ran."""
        path = self.folder / "log"
        path.mkdir(exist_ok=True)
        return path

    def client(self) -> Client:
        """Return a client that reads."""
        return Client(api_url=self.url, api_key=self.token, auto_batch_tracing=False)

    def arm(self, plan: dict[str, Any]) -> None:
        """Have faults from now on."""
        requests.put(
            f"{self.url}/_admin/faults", json=plan, headers=self._admin(), timeout=10
        ).raise_for_status()

    def fault_report(self) -> dict[str, Any]:
        """Return what the faults have done."""
        answer = requests.get(f"{self.url}/_admin/faults", headers=self._admin(), timeout=10)
        answer.raise_for_status()
        report: dict[str, Any] = answer.json()
        return report

    def truth(self, experiment: str) -> dict[str, Any]:
        """Return what really arrived of an experiment, by id or name."""
        answer = requests.get(
            f"{self.url}/_admin/truth", params={"session": experiment}, headers=self._admin(), timeout=60
        )
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def cpu(self) -> float:
        """Return the CPU seconds that it has taken."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def _admin(self) -> dict[str, str]:
        return {"x-admin-token": self.admin}


def neutral_environment(**more: str) -> dict[str, str]:
    """Return our environment without any LangSmith of the user's, nor a configuration of evalrunner."""
    foreign = ("LANGSMITH_", "LANGCHAIN_", "EVALRUNNER_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(foreign)}, **more}


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder for one measurement."""
    with tempfile.TemporaryDirectory(prefix="evalrunner-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def backend() -> Iterator[Backend]:
    """Run a fresh backend over a fresh store, in a process of its own."""
    with scratch() as folder:
        token, admin = secrets.token_hex(16), secrets.token_hex(16)
        with subprocess.Popen(
            [sys.executable, str(HERE / "serve.py"), str(folder / "store.sqlite")],
            env={**os.environ, "BENCH_TOKEN": token, "BENCH_ADMIN_TOKEN": admin},
            stdout=subprocess.PIPE,
            text=True,
        ) as server:
            try:
                assert server.stdout is not None
                url = server.stdout.readline().strip()
                if not url:
                    raise RuntimeError("the backend did not start")
                yield Backend(url, token, admin, psutil.Process(server.pid), folder)
            finally:
                server.terminate()


def push(client: Client, n: int, name: str = DATASET) -> None:
    """Make a dataset of `n` small examples."""
    dataset = client.create_dataset(name)
    for first in range(0, n, PUSH):
        numbers = range(first, min(n, first + PUSH))
        client.create_examples(
            dataset_id=dataset.id,
            examples=[
                {"id": uuid.uuid5(dataset.id, str(x)), "inputs": {"x": x}, "outputs": {"answer": x}}
                for x in numbers
            ],
        )


@dataclass
class Marks:
    """When the targets and evaluators ran, by the machine's clock."""

    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    @property
    def span(self) -> float:
        """Seconds from the first start to the last end."""
        return max(self.ends) - min(self.starts)


def read_marks(folder: Path) -> Marks:
    """Read what all targets have written down."""
    marks = Marks()
    for path in folder.glob("*.log"):
        one = read_marks_of(path)
        marks.starts += one.starts
        marks.ends += one.ends
    return marks


def read_marks_of(path: Path) -> Marks:
    """Read what one process has written down; a line that is being written is left out."""
    marks = Marks()
    for line in path.read_text().splitlines(keepends=True):
        what, _, at = line.split() if line.endswith("\n") else ("", "", "")
        if what:
            (marks.starts if what == "start" else marks.ends).append(float(at))
    return marks


@dataclass
class Watched:
    """A command that has run: when, how it ended, what it printed, CPU seconds by role, and of the machine."""

    began: float
    ended: float
    code: int
    out: str
    cpu: dict[str, float]
    busy: float

    @property
    def wall(self) -> float:
        """Seconds from the start of its process to its end."""
        return self.ended - self.began


class CpuWatch:
    """Follows the CPU seconds of a process and its descendants, by role, from outside.

    Whoever ends between two looks is counted as of the last one.
    """

    LOOK_S = 0.05
    #: Seconds between two searches for new descendants, in a young command and in an old one: a search costs 1 ms.
    FIND_S, LATER_S, YOUNG_S = 0.25, 2.0, 2.0

    def __init__(self, root: psutil.Process) -> None:
        self._root = root
        self._seen: dict[int, tuple[psutil.Process, str]] = {root.pid: (root, "command")}
        self._cpu: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> dict[str, float]:
        """Stop looking; return CPU seconds by role."""
        self._over.set()
        self._thread.join()
        told: dict[str, float] = {}
        for pid, (_, role) in self._seen.items():
            told[role] = told.get(role, 0.0) + self._cpu.get(pid, 0.0)
        return told

    def _run(self) -> None:
        began, found = time.monotonic(), 0.0
        while not self._over.wait(self.LOOK_S):
            now = time.monotonic()
            if now - found > (self.FIND_S if now - began < self.YOUNG_S else self.LATER_S):
                found = now
                self._find()
            self._look()

    def _find(self) -> None:
        for process, role in family(self._root):
            self._seen.setdefault(process.pid, (process, role))

    def _look(self) -> None:
        for pid, (process, _) in self._seen.items():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            self._cpu[pid] = max(self._cpu.get(pid, 0.0), times.user + times.system)


def family(root: psutil.Process) -> list[tuple[psutil.Process, str]]:
    """Return the descendants of an `evalrunner` process with their roles.

    Workers are children of the forkserver; so is the one that runs the summary evaluators.
    """
    told = []
    try:
        for process in root.children(recursive=True):
            told.append((process, _role(process, root.pid)))
    except psutil.Error:
        pass
    return told


def _role(process: psutil.Process, root: int) -> str:
    try:
        command, parent = " ".join(process.cmdline()), process.ppid()
    except psutil.Error:
        return "other"
    if "forkserver" in command:
        return "forkserver" if parent == root else "worker"
    return "other"


def watch(command: list[str], *, env: dict[str, str], cwd: Path, limit: float = 600.0) -> Watched:
    """Run a command to its end and follow its CPU seconds."""
    with (cwd / f"out-{uuid.uuid4().hex}").open("w+") as out:
        began, busy = time.time(), machine_cpu()
        with subprocess.Popen(command, env=env, cwd=cwd, stdout=out, stderr=subprocess.STDOUT) as process:
            cpu = CpuWatch(psutil.Process(process.pid))
            try:
                code = process.wait(limit)
            finally:
                ended = time.time()
                process.kill()
                told = cpu.end()
        out.seek(0)
        return Watched(began, ended, code, out.read(), told, machine_cpu() - busy)


def machine_cpu() -> float:
    """Return the CPU seconds that all processes of the machine, and its host's other guests, have taken."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def must(run: Watched) -> Watched:
    """Return a command that ended well; RuntimeError with its last words if it did not."""
    if run.code:
        raise RuntimeError(f"exit code {run.code}:\n{run.out[-3000:]}")
    return run


def evalrunner(*arguments: str, target: str | None = None, evaluator: str | None = None) -> list[str]:
    """Return an evalrunner command, over a target and an evaluator of `workload.py`."""
    command = [str(BIN / "evalrunner"), *arguments]
    if target:
        command += ["--target", f"{WORKLOAD}:{target}"]
    if evaluator:
        command += ["--evaluator", f"{WORKLOAD}:{evaluator}"]
    return command


def script(name: str, *arguments: str) -> list[str]:
    """Return the command that runs another script of this folder."""
    return [sys.executable, str(HERE / name), *arguments]


def told(out: str) -> dict[str, Any]:
    """Return the facts that a script of ours has printed."""
    lines = [line for line in out.splitlines() if line.startswith("BENCH ")]
    if not lines:
        raise RuntimeError(f"the measured command failed:\n{out[-3000:]}")
    facts: dict[str, Any] = json.loads(lines[-1][len("BENCH ") :])
    return facts


def cores() -> int:
    """Return how many cores we may use."""
    return len(os.sched_getaffinity(0))


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cores": cores(),
        "python": platform.python_version(),
        "langsmith": version("langsmith"),
        "load": round(os.getloadavg()[0], 2),
    }


def print_machine() -> None:
    """Print it; other people's load is part of the truth."""
    facts = machine()
    say(
        f"{facts['cores']} cores, load {facts['load']:.2f} before, Python {facts['python']}, "
        f"langsmith {facts['langsmith']}"
    )


def say(text: str) -> None:
    """Print a line that may be longer than 80 columns, folded."""
    indent = " " * (len(text) - len(text.lstrip()))
    print(textwrap.fill(text.strip(), 79, initial_indent=indent, subsequent_indent=indent + "  "), flush=True)


def listed(values: Sequence[float], digits: int = 1) -> str:
    """Return samples as one short text."""
    return " ".join(f"{value:.{digits}f}" for value in values)


def write_json(path: Path | None, document: dict[str, Any]) -> None:
    """Write the figures where the user wants them."""
    if path is not None:
        path.write_text(json.dumps(document, indent=2) + "\n")
