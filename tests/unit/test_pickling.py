"""Carrying functions into workers: what works, and what is said where it does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dill
import pytest

from evalrunner.errors import TargetError
from evalrunner.pickling import pickle_objects


def factor(by: int) -> Callable[[dict[str, int]], dict[str, int]]:
    return lambda inputs: {"y": by * inputs["x"]}


def test_lambdas_and_closures_are_carried_by_value() -> None:
    data = pickle_objects(factor(3), [lambda outputs: outputs["y"] > 2], [len])
    target, evaluators, summaries = dill.loads(data)
    assert target({"x": 2}) == {"y": 6}
    assert evaluators[0]({"y": 3})
    assert summaries == [len]


def holding(value: Any) -> Callable[[Any], Any]:
    def target(inputs: Any) -> Any:
        return value, inputs

    return target


def test_what_cannot_be_carried_is_named() -> None:
    generator = (number for number in range(3))
    with pytest.raises(TargetError) as caught:
        pickle_objects(holding(generator), [], [])
    said = str(caught.value)
    assert said.startswith(
        "the target cannot be carried into a worker process: it uses 'value' (a generator)"
    )
    assert "name it as module:name" in said
    assert "\n" not in said


def test_the_evaluator_that_cannot_be_carried_is_named() -> None:
    def strict(outputs: Any, lock: Any = None) -> Any:
        return generator, outputs

    generator = (number for number in range(3))
    with pytest.raises(
        TargetError, match=r"^evaluator 'strict' cannot be carried .* 'generator' \(a generator\)"
    ):
        pickle_objects(factor(1), [factor(2), strict], [])


def test_a_traceable_of_main_is_carried_with_the_globals_that_it_uses(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from langsmith import traceable\n"
        "from evalrunner.pickling import pickle_objects\n"
        "factor = 3\n"
        "@traceable\n"
        "def target(inputs): return {'y': factor * inputs['x']}\n"
        "sys.stdout.buffer.write(pickle_objects(target, [], []))\n"
    )
    data = subprocess.run([sys.executable, script], capture_output=True, check=True).stdout
    target, *_ = dill.loads(data)
    assert target({"x": 2}) == {"y": 6}
