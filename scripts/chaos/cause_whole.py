"""What goes wrong with whole experiments, and how their datasets are made for it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from evalrunner.doctor.causes import Cause
from scripts.chaos.cause_stage import NotProvoked, Stage


def fewer(stage: Stage, numbers: list[int]) -> None:
    stage.work(numbers, options={"num_repetitions": stage.rng.randint(1, stage.repetitions - 1)})


def make_repeated(stage: Stage, count: int) -> None:
    stage.repetitions = stage.rng.choice((2, 3))
    stage.make(count)


def last_writer(stage: Stage, numbers: list[int]) -> None:
    first = len(stage.ids) // 2
    parts = [[one for one in numbers if one < first], [one for one in numbers if one >= first]]
    for part in reversed(parts):
        if part:
            stage.work(part)
    stage.blame(list(stage.ids), Cause.LAST_WRITER)


def make_parted(stage: Stage, count: int) -> None:
    """A dataset in two splits, or one that was written in two goes."""
    if stage.rng.random() < 0.5:
        stage.make(count, split=lambda number: ["old" if number < count // 2 else "new"])
        return
    stage.make(count // 2, tell=False)
    grow(stage, count - count // 2)


def grow(stage: Stage, more: int) -> None:
    first = len(stage.ids)
    rows = [
        {"inputs": {"i": number}, "outputs": {"i": number}, "metadata": {"i": number}}
        for number in range(first, first + more)
    ]
    stage.backend.client.create_examples(dataset_id=stage.dataset_id, examples=rows)
    stage.learn()


def changed(stage: Stage, numbers: list[int]) -> None:
    """Examples come while it runs: those that it had read are all that it evaluates."""
    before = list(stage.ids)
    half = before[: max(1, len(before) // 2)]
    stage.work(half)
    grow(stage, stage.rng.randint(1, 5))
    stage.work(before[len(half) :] or before[:1])
    stage.blamed.clear()
    stage.blame(list(stage.ids), Cause.DATASET_CHANGED)


def split_up(stage: Stage, numbers: list[int]) -> None:
    """Every process makes an experiment of its own, at the same time, of its part of the examples."""
    cut = stage.rng.randint(2, len(numbers) - 2)
    parts = numbers[:cut], numbers[cut:]
    job: dict[str, Any] = {"experiment": "", "prefix": "split", "seconds": 0.1, "concurrency": 1}
    running = [stage.start(part, **job) for part in parts]
    for one in running:
        stage.end(one)
    stage.log.read()
    owner = {stage.log.begun[run]: name for run, name in stage.log.places.items()}
    stage.experiment = owner[parts[0][0]]
    stage.elsewhere = [run for run, name in stage.log.places.items() if name != stage.experiment]
    stage.ids = {number: stage.ids[number] for number in parts[0]}


def make_untold(stage: Stage, count: int) -> None:
    stage.make(count, tell=False)


def no_dataset(stage: Stage, numbers: list[int]) -> None:
    stage.experiment, stage.repetitions = f"p-{secrets.token_hex(4)}", 1  # a tracing project tells no other
    stage.work(numbers, "loop", env={"LANGSMITH_TRACING": "true"})


def pytest(stage: Stage, numbers: list[int]) -> None:
    """The plugin's look at the examples fails: no run gets its end, nor its link; all tests pass."""
    fraction = stage.rng.choice((0.5, 1.0))
    rule = {"match": "GET /examples/*", "action": "status", "status": 422, "fraction": fraction}
    with stage.fault(rule, seed=stage.rng.randint(0, 99)):
        suite(stage)
    stage.blame(list(stage.ids), Cause.PYTEST_UNSYNCED)


def suite(stage: Stage, skips: Sequence[int] = (), *, logs: bool = False) -> None:
    """Run a suite of tests over the dataset, a test for each example, and learn its experiment.

    Args:
        skips: numbers whose tests skip themselves.
        logs: inputs are logged by the tests, and are no arguments of theirs.
    """
    lines = ["import pytest", "from langsmith import get_current_run_tree, testing"]
    for number, one in stage.ids.items():
        lines += [
            f"@pytest.mark.langsmith(id={one!r})",
            *([] if logs else [f"@pytest.mark.parametrize('i', [{number}])"]),
            f"def test_{number}({'' if logs else 'i'}):",
            *([f"    testing.log_inputs({{'i': {number}}})"] if logs else []),
            "    tree = get_current_run_tree()",
            f"    with open({str(stage.log.path)!r}, 'a') as log:",
            f"        log.write(f'experiment {{tree.session_name}}\\nbegin {number} {{tree.id}}\\n')",
            # A user's suite, as it is written to a file: a test that skips itself is healthy, and no run is missing.
            *(["    pytest.skip('not now')"] if number in skips else []),
        ]
    file = stage.folder / "test_suite.py"
    file.write_text("\n".join(lines) + "\n")
    env = {"LANGSMITH_TEST_SUITE": stage.dataset, "LANGSMITH_TRACING": "true"}
    words = ["-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", str(file)]
    stage.logs_inputs = logs
    code = stage.end(stage.run(words, env))
    stage.log.read()
    if code or not stage.log.experiments:
        raise NotProvoked(f"pytest ended with {code}")
    stage.experiment, stage.repetitions = stage.log.experiments[0], 1
