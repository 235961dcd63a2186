"""`evalrunner.run` from a script: functions of `__main__`, lambdas and closures reach the workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.rig import Backend, assert_whole

SCRIPT = Path(__file__).resolve().parent / "targets" / "script.py"


CARRIED = ["lambda", "closure", "class", "traced", "async traced", "closure over an RLock", "loop lambda"]
NOT_CARRIED = ["generator", "database", "thread"]


def script(backend: Backend, folder: Path, kinds: list[str], dataset: str) -> tuple[int, list[Any], str]:
    """Have the script evaluate each kind, one after the other; return its exit code, what it told, and stderr."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *(word for kind in kinds for word in (kind, dataset))],
        cwd=folder,
        env=backend.environment(),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "this script runs once", done.stderr
    assert len(lines) == 1 + len(kinds), done.stdout + done.stderr
    return done.returncode, [json.loads(line) for line in lines[1:]], done.stderr


@pytest.fixture(scope="module")
def carried(backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a script was told by `run` of each kind of target that can be carried."""
    dataset = str(backend.dataset(6).name)
    code, told, said = script(backend, tmp_path_factory.mktemp("carried"), CARRIED, dataset)
    assert code == 0, said
    return dict(zip(CARRIED, told, strict=True))


@pytest.mark.parametrize("kind", CARRIED)
def test_what_is_carried_by_value(backend: Backend, carried: dict[str, Any], kind: str) -> None:
    exit_code, name, summary = carried[kind]
    assert exit_code == 0
    seen = assert_whole(backend.client, name, keys=["right", "whole"])
    assert sorted((root.outputs or {})["sum"] for root in seen.roots) == [1, 2, 3, 4, 5, 6]
    assert summary == {"mean": 3.5}


def test_what_it_cannot_carry_is_named(backend: Backend, tmp_path: Path) -> None:
    dataset = backend.dataset(2)
    kinds = [f"closure over a {thing}" for thing in NOT_CARRIED]
    code, each, said = script(backend, tmp_path, kinds, str(dataset.name))
    assert code == 2, said
    for told in each:
        assert told["kind"] == "TargetError"
        assert "it uses 'thing' (a " in told["error"]
        assert "\n" not in told["error"]
        assert "module:name" in told["error"], "and says what to do"
    assert list(backend.client.list_projects(reference_dataset_id=dataset.id)) == []
    assert list(tmp_path.iterdir()) == [], "nothing was begun"


def python(backend: Backend, folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code as a notebook has it: `__main__` without a file."""
    return subprocess.run(
        [sys.executable, "-"],
        input=code,
        cwd=folder,
        env=backend.environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_main_without_a_file_and_names_beside_objects(backend: Backend, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("def target(inputs): return {'sum': inputs['i'] + 1}\n")
    dataset = backend.dataset(2)
    done = python(
        backend,
        tmp_path,
        "from evalrunner import run\nfrom langsmith import Client\none = 1\n"
        f"dataset = Client().read_dataset(dataset_id={str(dataset.id)!r})\n"
        "for target in ('shop:target', 'shop.py:target', lambda inputs: {'sum': inputs['i'] + one}):\n"
        "    receipt = run(target, data=dataset, evaluators=[lambda outputs: outputs['sum'] > 0],\n"
        "        experiment_prefix='mine', num_repetitions=2, max_concurrency=0, split=None, client=Client(),\n"
        "        description='d', metadata={'a': 1}, upload_results=True, blocking=True, workers=1)\n"
        "    print(receipt.exit_code, receipt.states, receipt.experiment['name'].startswith('mine'))\n",
    )
    assert done.stdout == 3 * "0 {'visible': 4} True\n", done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("data='no such'", "ServiceError: no dataset"),
        ("data=[1]", "UsageError: data= is a list"),
        (
            "dataset='x', repetition=2",
            "TypeError: run() has no argument 'repetition'; did you mean 'repetitions'?",
        ),
        ("dataset='x', workers=0", "UsageError: --workers is 0"),
    ],
)
def test_a_users_mistake_comes_without_our_frames(
    backend: Backend, tmp_path: Path, arguments: str, said: str
) -> None:
    done = python(backend, tmp_path, f"from evalrunner import run\nrun('json:loads', {arguments})\n")
    lines = done.stderr.splitlines()
    assert said in lines[-1]
    assert len([line for line in lines if line.lstrip().startswith("File ")]) == 2, (
        "the user's line, and run's"
    )
    assert "The above exception" not in done.stderr


def test_a_script_that_a_pool_imports_again_does_not_evaluate_again(backend: Backend, tmp_path: Path) -> None:
    """multiprocessing refuses its own processes there; ours would go on for ever."""
    (tmp_path / "pooled.py").write_text(
        "import multiprocessing, evalrunner\n"
        "def target(inputs): return inputs\n"
        "if __name__ != '__main__': evalrunner.run(target, dataset='x')\n"
        "else: multiprocessing.get_context('spawn').Process(target=target, args=(1,)).start()\n"
    )
    done = subprocess.run(
        [sys.executable, "pooled.py"],
        cwd=tmp_path, env=backend.environment(), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert "pooled.py, line 3: evalrunner.run() is called when the file is imported" in done.stderr
