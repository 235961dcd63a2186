"""A script that evaluates when it is imported is refused, with the place in it; nothing is asked of any service."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from langsmith.evaluation import evaluate

from evalrunner import importing
from evalrunner.errors import TargetError
from evalrunner.worker.code.loading import find
from evalrunner.worker.code.refusal import WAYS_IN, no_evaluations

HEAD = """\
import asyncio, contextlib, threading
from concurrent.futures import ThreadPoolExecutor
import evalrunner, langsmith
from langsmith import Client, aevaluate, evaluate, evaluate_existing, aevaluate_existing
from langsmith.evaluation import evaluate as judged, evaluate_comparative
client = Client(api_url="http://127.0.0.1:9", api_key="none", auto_batch_tracing=False)
def target(inputs): return inputs
def helper(): evaluate(target, data="d")
async def main(): return await aevaluate(target, data="d")
"""
LINE = len(HEAD.splitlines()) + 1


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path, modules, finders = list(sys.path), set(sys.modules), list(sys.meta_path)
    yield tmp_path
    sys.path[:] = path
    sys.meta_path[:] = finders
    for name in set(sys.modules) - modules:
        if Path(str(getattr(sys.modules[name], "__file__", None))).is_relative_to(tmp_path):
            del sys.modules[name]


def refused(folder: Path, code: str) -> str:
    script = folder / "quick_start.py"
    script.write_text(HEAD + code + "\n")
    with pytest.raises(TargetError) as caught, no_evaluations():
        find("quick_start.py:target", folder, folder / "modules")
    said = str(caught.value)
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("evaluate(target, data='d')", "evaluate"),
        ("langsmith.evaluate(target, data='d')", "evaluate"),
        ("judged(target, data='d')", "evaluate"),
        ("langsmith.evaluation.evaluate(target)", "evaluate"),
        ("client.evaluate(target, data='d')", "evaluate"),
        ("evaluate_existing('name')", "evaluate_existing"),
        ("evaluate_comparative(('a', 'b'), evaluators=[target])", "evaluate_comparative"),
        ("asyncio.run(aevaluate(target, data='d'))", "aevaluate"),
        ("asyncio.run(client.aevaluate(target, data='d'))", "aevaluate"),
        ("asyncio.run(main())", "aevaluate"),
        ("asyncio.run(aevaluate_existing('name'))", "aevaluate_existing"),
        ("evalrunner.run(target, dataset='d')", "evalrunner.run"),
        ("evalrunner.run('quick_start:target', data='d')", "evalrunner.run"),
        ("helper()", "evaluate"),
        ("with contextlib.suppress(Exception): evaluate(target, data='d')", "evaluate"),
        ("with ThreadPoolExecutor() as pool: pool.submit(evaluate, target).result()", ""),
    ],
)
def test_it_names_file_line_and_guard(folder: Path, code: str, what: str) -> None:
    said = refused(folder, code)
    if what:
        assert said.startswith(
            f"{folder}/quick_start.py, line {LINE}: {what}() is called when the file is imp"
        )
        assert 'if __name__ == "__main__":' in said
    assert "every worker would run that evaluation" in said


def test_the_line_that_needs_the_guard_is_the_modules_and_the_call_is_named_too(folder: Path) -> None:
    said = refused(folder, "\n\nhelper()")
    assert said.startswith(f"{folder}/quick_start.py, line {LINE + 2}: evaluate()")
    assert f"(by way of {folder}/quick_start.py, line 8)" in said


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_the_script_started_is_refused_too(folder: Path) -> None:
    said = refused(folder, "t = threading.Thread(target=helper)\nt.start()\nt.join()")
    assert said.startswith(f"{folder}/quick_start.py, line 8: evaluate() is called while a worker sets up")


def test_set_up_is_told_that_a_guard_is_no_help() -> None:
    class Model:
        def __init__(self) -> None:
            evaluate(lambda inputs: inputs, data="d")

    with pytest.raises(
        TargetError, match=r"test_refusal\.py, line \d+: evaluate\(\) is called .* sets up"
    ) as caught:
        with no_evaluations():
            Model()
    assert "__main__" not in str(caught.value)


def test_with_the_guard_it_loads_and_afterwards_everything_is_as_it_was(folder: Path) -> None:
    (folder / "guarded_start.py").write_text(HEAD + 'if __name__ == "__main__":\n    helper()\n')
    before = [function.__code__ for function in WAYS_IN]
    with no_evaluations():
        find("guarded_start.py:target", folder, folder / "modules")
    assert [function.__code__ for function in WAYS_IN] == before
    importing.refuse("evaluate")  # says nothing now
