"""What the chaos programmes and the tests of whole runs share.

A backend in a process of its own that can be broken and killed, the command in a process of its own, and what
really became of an experiment, asked with nothing but the SDK.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psutil
import requests
from langsmith import Client
from langsmith.schemas import Dataset, Example, Feedback, Run, TracerSession

from evalrunner.config import Endpoint

#: A command that takes longer than this hangs.
PATIENCE = 180.0
#: Seconds that a test hears late of what it waits for, as if something else had the processor (scripts/again.py).
LATE = float(os.environ.get("EVALRUNNER_TESTS_LATE", "0"))
_SERVE = """
import os, sys
from pathlib import Path
from evalbackend.serve import serve
serve(Path(sys.argv[1]), port=int(sys.argv[2]), token=os.environ["RIG_TOKEN"],
      admin_token=os.environ["RIG_ADMIN"], ready=lambda url: print(url, flush=True))
"""


class TimedOut(AssertionError):
    """Something that was waited for did not happen."""


def wait_until(condition: Callable[[], Any], timeout: float = 60.0, what: str = "it") -> Any:
    """Ask until the answer is true, and return it: for events that this process is not told of.

    Raises:
        TimedOut: it was not within `timeout` seconds.
    """
    end = time.monotonic() + timeout
    pause = threading.Event()
    while not (answer := condition()):
        if time.monotonic() > end:
            raise TimedOut(f"{what} did not happen within {timeout:g} s")
        pause.wait(0.005)
    if LATE:
        time.sleep(LATE)
    return answer


def alive(pid: int) -> bool:
    """Tell whether a process lives; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's environment without anything that configures LangSmith or evalrunner."""
    foreign = ("LANGSMITH_", "LANGCHAIN_", "EVALRUNNER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "PYTHONWARNINGS": "default", **more}


class Backend:
    """A local backend in a process of its own, over a store that outlives it."""

    def __init__(self, folder: Path) -> None:
        self._store = folder / "store.sqlite"
        self._token, self._admin = secrets.token_hex(8), secrets.token_hex(8)
        self._port = 0
        self.start()
        self.client = Client(api_url=self.url, api_key=self._token, auto_batch_tracing=False)

    def start(self) -> None:
        """Start it, at the same address as before if it was stopped."""
        secret = {"RIG_TOKEN": self._token, "RIG_ADMIN": self._admin}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(self._store), str(self._port)],
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment(**secret),
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the backend did not start"
        self._port = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        """Kill it: whoever asks now is refused the connection."""
        self._process.kill()
        self._process.wait(timeout=20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def freeze(self) -> None:
        """Stop it with SIGSTOP: the system still accepts connections for it, and nobody answers."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop for good."""
        self.client.close()
        self.stop()

    @property
    def token(self) -> str:
        """The key that it wants."""
        return self._token

    @property
    def endpoint(self) -> Endpoint:
        """Where it is, for the Python API."""
        return Endpoint(self.url, key=self._token)

    def environment(self, **more: str) -> dict[str, str]:
        """Return an environment in which the SDK finds this backend and no other."""
        return clean_environment(**{"LANGSMITH_ENDPOINT": self.url, "LANGSMITH_API_KEY": self._token, **more})

    def faults(self, *rules: dict[str, Any], **plan: Any) -> None:
        """Replace the plan of faults, and arm it."""
        self._ask("PUT", "/_admin/faults", {**plan, "fault": list(rules)})

    def flags(self, **flags: bool) -> None:
        """Set what GET /info says of this backend."""
        self._ask("PUT", "/_admin/flags", flags)

    def fault_report(self) -> dict[str, Any]:
        """Return what the plan of faults has done."""
        return self._ask("GET", "/_admin/faults")

    def truth(self, session: str) -> dict[str, Any]:
        """Return what really arrived for an experiment."""
        return self._ask("GET", f"/_admin/truth?session={session}")

    def delete_traces(self, experiment: TracerSession, run_ids: list[str]) -> None:
        """Delete whole traces, as a user does in the service's pages."""
        body = {"session_id": str(experiment.id), "trace_ids": run_ids}
        headers = {"x-api-key": self._token}
        answer = requests.post(f"{self.url}/runs/delete", json=body, headers=headers, timeout=30)
        assert answer.status_code == 202, answer.text

    def dataset(self, count: int, **fields: Callable[[int], Any]) -> Dataset:
        """Make a dataset of `count` examples {"i": 0 ..}, with the outputs {"i": ...} too.

        Args:
            fields: further fields of an example, each made from its number (split, metadata, ...).
        """
        dataset = self.client.create_dataset(f"d-{secrets.token_hex(4)}")
        for start in range(0, count, 500):
            self.client.create_examples(
                dataset_id=dataset.id,
                examples=[
                    {
                        "inputs": {"i": number},
                        "outputs": {"i": number},
                        **{name: make(number) for name, make in fields.items()},
                    }
                    for number in range(start, min(count, start + 500))
                ],
            )
        return dataset

    def experiment(self, dataset: Dataset) -> str:
        """Make an empty experiment over a dataset, as the SDK would; return its name."""
        project = self.client.create_project(f"x-{secrets.token_hex(4)}", reference_dataset_id=dataset.id)
        return str(project.name)

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = {"x-admin-token": self._admin}
        answer = requests.request(method, self.url + path, json=body, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@contextlib.contextmanager
def backend_in(folder: Path) -> Iterator[Backend]:
    """A backend for as long as the block lasts."""
    backend = Backend(folder)
    try:
        yield backend
    finally:
        backend.close()


@contextlib.contextmanager
def shared_backend_in(folder: Path) -> Iterator[Backend]:
    """One that tests with other flags share: its client, which asks but once, knows it as it is without them."""
    with backend_in(folder) as backend:
        assert backend.client.info.instance_flags is not None
        yield backend


# -- the command -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def receipt(self) -> dict[str, Any]:
        """What --json printed: one document, and nothing else."""
        return dict(orjson.loads(self.out))


class Command:
    """A running `evalrunner`, in a session of its own, its output in files so that no pipe can fill up."""

    def __init__(self, arguments: list[str], *, cwd: Path, env: dict[str, str]) -> None:
        cwd.mkdir(parents=True, exist_ok=True)
        self._paths = [cwd / f".{secrets.token_hex(4)}.{name}" for name in ("out", "err")]
        with self._paths[0].open("wb") as out, self._paths[1].open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "evalrunner", *arguments],
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.pid = self.process.pid

    def finish(self, timeout: float = PATIENCE) -> Finished:
        """Wait for its end."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            said = self._said()
            raise TimedOut(f"evalrunner still ran after {timeout:g} s; it had said:\n{said[1]}") from None
        return Finished(code, *self._said())

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(timeout=20)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def said(self) -> str:
        """Return what it has said on stderr so far."""
        return self._said()[1]

    def descendants(self) -> list[int]:
        """Return the processes that it has started, and theirs."""
        try:
            return [child.pid for child in psutil.Process(self.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _said(self) -> tuple[str, str]:
        out, err = (path.read_text(encoding="utf-8", errors="replace") for path in self._paths)
        return out, err


def evalrunner(*arguments: str, cwd: Path, env: dict[str, str], timeout: float = PATIENCE) -> Finished:
    """Run the command to its end."""
    return Command(list(arguments), cwd=cwd, env=env).finish(timeout)


# -- what the targets wrote down -------------------------------------------------------------------------


@dataclass(frozen=True)
class Execution:
    """One line of the log of executions: who began, or ended, which item."""

    pid: int
    item: str
    event: str


class ExecutionLog:
    """The file that a target appends a line to whenever it begins and ends an item."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[Execution]:
        """Return what has been written so far."""
        if not self.path.exists():
            return []
        whole = self.path.read_text().rpartition("\n")[0]
        return [Execution(int(pid), item, event) for pid, item, event in map(str.split, whole.splitlines())]

    def begun(self) -> list[Execution]:
        """Return the beginnings."""
        return [line for line in self.lines() if line.event == "begin"]

    def counts(self) -> Counter[str]:
        """Return how often each item was begun."""
        return Counter(line.item for line in self.begun())

    def reach(self, count: int, timeout: float = PATIENCE, command: Command | None = None) -> bool:
        """Wait until so many executions have begun; False if the command ended before."""

        def there() -> str | None:
            if len(self.begun()) >= count:
                return "there"
            return "ended" if command is not None and command.process.poll() is not None else None

        return bool(wait_until(there, timeout, f"execution {count}") == "there")


# -- what the experiment holds, asked with nothing but the SDK -------------------------------------------


@dataclass
class Reading:
    """An experiment as any user of the SDK sees it."""

    project: TracerSession
    examples: dict[UUID, Example]
    roots: list[Run]
    runs: list[Run]
    feedback: dict[UUID, list[Feedback]] = field(default_factory=dict)

    @property
    def pending(self) -> list[Run]:
        """Runs without an end."""
        return [run for run in self.runs if run.end_time is None]

    def per_example(self) -> Counter[UUID]:
        """Return the number of complete root runs of each example."""
        found = Counter(dict.fromkeys(self.examples, 0))
        found.update(
            run.reference_example_id
            for run in self.roots
            if run.reference_example_id is not None and run.end_time is not None
        )
        return found

    def lost(self, repetitions: int = 1) -> int:
        """Return how many complete root runs are missing."""
        return sum(max(0, repetitions - count) for count in self.per_example().values())

    def duplicates(self, repetitions: int = 1) -> int:
        """Return how many complete root runs there are too many."""
        return sum(max(0, count - repetitions) for count in self.per_example().values())

    def children(self, root: Run) -> list[Run]:
        """Return the runs of a root's trace but itself."""
        return [run for run in self.runs if run.trace_id == root.id and run.id != root.id]


def read_experiment(client: Client, name: str, *, as_of: datetime | str | None = None) -> Reading:
    """Read an experiment through Client.read_project, list_runs, list_examples and list_feedback."""
    project = client.read_project(project_name=name)
    assert project.reference_dataset_id is not None
    examples = {
        example.id: example
        for example in client.list_examples(dataset_id=project.reference_dataset_id, as_of=as_of)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        runs = list(client.list_runs(project_id=project.id))
        roots = list(client.list_runs(project_id=project.id, is_root=True))
    reading = Reading(project, examples, roots, runs)
    ids = [run.id for run in roots]
    for start in range(0, len(ids), 100):
        for score in client.list_feedback(run_ids=ids[start : start + 100]):
            if score.run_id is not None:
                reading.feedback.setdefault(score.run_id, []).append(score)
    return reading


def assert_whole(
    client: Client,
    name: str,
    *,
    keys: list[str],
    repetitions: int = 1,
    children: int | None = None,
    examples: int | None = None,
) -> Reading:
    """Assert that an experiment is whole for everybody who reads it with the SDK; return what was read.

    Args:
        keys: the feedback keys that every root run has, each once.
        children: runs below every root run, or None if that differs.
        examples: examples in the plan, or None for all of the dataset.
    """
    seen = read_experiment(client, name)
    counts = {example: count for example, count in seen.per_example().items() if count}
    assert len(counts) == (len(seen.examples) if examples is None else examples)
    assert set(counts.values()) == {repetitions}, counts
    assert seen.pending == []
    assert len(seen.roots) == repetitions * len(counts)
    ids = {run.id for run in seen.runs}
    for root in seen.roots:
        assert root.parent_run_id is None
        assert root.trace_id == root.id
        below = seen.children(root)
        assert children is None or len(below) == children
        assert all(run.parent_run_id in ids for run in below)
        found = sorted(score.key for score in seen.feedback.get(root.id, []))
        assert found == sorted(keys), found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        results = client.get_experiment_results(name=name)
        assert len(list(results["examples_with_runs"])) == len(counts)
    metadata = seen.project.metadata or {}
    modified = [example.modified_at for example in seen.examples.values() if example.modified_at]
    assert datetime.fromisoformat(str(metadata["dataset_version"])) == max(modified)
    assert metadata["num_repetitions"] == repetitions
    return seen
