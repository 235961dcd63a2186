"""`--plan`: what would be evaluated with what, what is missing and why; nothing is executed, and nothing is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from evalrunner.report.receipt import Receipt
from tests.support.rig import Backend, Command, ExecutionLog, Finished, wait_until

SUBJECT = """
import os
open(os.environ["EXECUTIONS"], "a").write("imported\\n")

def sync(inputs):
    raise SystemExit("a plan calls nothing")

async def waits(inputs):
    raise SystemExit

class Model:
    def __init__(self):
        raise SystemExit("a plan builds nothing")

    def __call__(self, inputs):
        return {}

def make():
    raise SystemExit("a plan builds nothing")

def right(outputs, reference_outputs):
    return {"key": "right", "score": 1}

def macro(outputs):
    return {"key": "macro", "score": 1}
"""
BOTH = ("--evaluator", "subject.py:right", "--summary-evaluator", "subject.py:macro")
Run = Callable[..., Finished]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "subject.py").write_text(SUBJECT)
    return tmp_path


def left(folder: Path) -> list[str]:
    """Return what stands in the folder that the test has not put there."""
    kept = (".out", ".err", ".py")
    return sorted(
        path.name for path in folder.iterdir() if path.suffix not in kept and path.name != "__pycache__"
    )


@pytest.mark.parametrize(
    ("target", "workers"),
    [
        ("sync", "3 processes; 1 item at a time in each"),
        ("waits", "3 processes; 8 items at once in each"),
        ("Model", "3 processes; 1 item at a time in each"),
        ("make --factory", "3 processes; 1 item at a time in each if the target is sync, else 8"),
    ],
)
def test_it_says_what_would_run_with_what(
    backend: Backend, command: Run, inside: Run, folder: Path, log: ExecutionLog, target: str, workers: str
) -> None:
    dataset = backend.dataset(25, split=lambda number: ["hard"] if number < 4 else ["base"])
    where = (
        "--dataset",
        dataset.name,
        "--workers",
        "3",
        "--split",
        "hard",
        "--split",
        "base",
        "--limit",
        "22",
    )
    target, *factory = target.split()
    ask = (
        command if target == "sync" else inside
    )  # once in a process of its own, where "nothing is left" says more
    done = ask(*where, "--target", f"subject.py:{target}", *factory, *BOTH, "--plan")
    assert done.code == 0, done.err
    told = done.out.splitlines()
    assert told[0] == "PLAN  22 of 22 items would be executed; nothing has been."
    for line in (
        f"  experiment  {dataset.name}-... (a new one)",
        f"  target      subject.py:{target}" + "  (built once per worker)" * len(factory),
        "  evaluators  subject.py:right",
        "  at the end  subject.py:macro",
        f"  workers     {workers}",
        "  splits      hard, base  the first 22 examples only",
        "  items       22 have no run",
    ):
        assert line in told
    assert "receipt.json" not in done.out
    assert str(dataset.id) in done.out
    assert len(told) < 20, "no list of ids"
    assert log.path.read_text() == "imported\n", "in one process, and nothing else"
    assert left(folder) == ["executions"]
    projects = [one.name for one in backend.client.list_projects(reference_dataset_id=dataset.id)]
    assert projects == []


def test_json_has_the_same_facts(backend: Backend, inside: Run, folder: Path) -> None:
    dataset = backend.dataset(2)
    done = inside("--dataset", dataset.name, "--target", "subject.py:Model", *BOTH, "--plan", "--json")
    plan = done.receipt["plan"]
    assert plan == {
        "examples": 2,
        "repetitions": 1,
        "items": 2,
        "already_complete": 0,
        "to_run": 2,
        "to_score": 0,
        "target": "subject.py:Model",
        "factory": False,
        "evaluators": ["subject.py:right"],
        "feedback_keys": ["right"],
        "summary_evaluators": ["subject.py:macro"],
        "workers": 4,
        "max_concurrency": 1,
        "splits": [],
        "limit": None,
        "why": [{"items": 2, "what": "have no run"}],
    }
    assert (done.receipt["experiment"]["id"], done.receipt["run_dir"]) == (None, "")


EVALUATES = "from langsmith import evaluate\ndef f(inputs): return {}\nevaluate(f, data='d')\n"


@pytest.mark.parametrize(
    ("target", "evaluator", "text", "words"),
    [
        ("subject.py:snyc", "subject.py:right", "", "has no 'snyc'; did you mean sync?"),
        ("subject.py:sync", "subject.py:wrong", "", "has no 'wrong'"),
        ("none.py:f", "subject.py:right", "", "there is no file"),
        ("no_such_module:f", "subject.py:right", "", "there is no module 'no_such_module'"),
        ("own.py:f", "subject.py:right", "f = 3\n", "cannot be called"),
        ("own.py:f", "subject.py:right", "def f(): pass\n", "argument"),
        ("own.py:f", "subject.py:right", "\n\nimport nothing_like_it\n", "own.py, line 3"),
        ("own.py:f", "subject.py:right", "def f(inputs):\n  return {}\n raise\n", "own.py"),
        ("own.py:f", "subject.py:right", "import os\nos._exit(7)\n", "exited with status 7"),
        (
            "own.py:f",
            "subject.py:right",
            EVALUATES,
            "own.py, line 3: evaluate() is called when the file is imported",
        ),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(
    backend: Backend, inside: Run, folder: Path, target: str, evaluator: str, text: str, words: str
) -> None:
    (folder / "own.py").write_text(text)
    dataset = backend.dataset(1)
    done = inside("--dataset", dataset.name, "--target", target, "--evaluator", evaluator, "--plan")
    assert done.code == 2, done.err
    (sentence,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert words in sentence
    assert "Traceback" not in done.err
    assert "/evalrunner-plan" not in done.err, "what is named is there"
    assert left(folder) in (["executions"], [])


def test_what_is_missing_is_counted_by_its_reason(backend: Backend, run: Callable[..., Receipt]) -> None:
    first = run("troubles.py:raises", "judges.py:right", dataset=backend.dataset(6).name)
    assert first.exit_code == 1
    experiment = first.experiment["name"]
    gone = [item.run_id for item in first.items if not item.error][:1]
    project = backend.client.read_project(project_name=experiment)
    backend.delete_traces(project, [str(one) for one in gone])

    def why(**options: object) -> dict[str, int]:
        receipt = run("troubles.py:raises", "judges.py:right", experiment=experiment, plan=True, **options)
        return {one["what"]: one["items"] for one in receipt.plan["why"]}

    assert why() == {
        "has no run": 1,
        "ended in an error (not run again: --retry-errors)": 3,
        "are complete": 2,
    }
    assert why(retry_errors=True) == {
        "has no run": 1,
        "ended in an error, and are run again": 3,
        "are complete": 2,
    }


def test_ctrl_c_ends_it_at_once(backend: Backend, folder: Path) -> None:
    gate = folder / "gate"
    os.mkfifo(gate)
    (folder / "own.py").write_text(
        f"open({str(folder / 'begun')!r}, 'w').close()\nopen({str(gate)!r}).read()\n"
    )
    arguments = ["--dataset", backend.dataset(1).name, "--target", "own.py:f", "--plan"]
    started = Command(arguments, cwd=folder, env=backend.environment())
    try:
        wait_until((folder / "begun").exists, timeout=60, what="the import")
        started.signal(signal.SIGINT)
        done = started.finish(60)
    finally:
        started.process.kill()
    assert done.code == 4
    assert "error: interrupted" in done.err
    assert "Traceback" not in done.err


def test_an_import_that_never_ends_has_the_limit_of_a_set_up(
    backend: Backend, command: Run, folder: Path
) -> None:
    (folder / "hangs.py").write_text("import threading\nthreading.Event().wait()\n")
    options = ("--target", "hangs.py:target", "--setup-timeout", "0.5", "--plan")
    done = command("--dataset", str(backend.dataset(1).name), *options)
    assert done.code == 2, done.err
    assert "target and evaluators were still loading after 0.5 s (--setup-timeout)" in done.err
    assert left(folder) == []
