"""Files in the current folder that are called like modules which our own processes import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TARGET = """
def double(inputs):
    return {"m": 2 * inputs["n"]}

def right(outputs, reference_outputs):
    return {"key": "right", "score": outputs == reference_outputs}
"""
#: Of the standard library, early and late; of what we use; our own.
STEMS = (
    "json",
    "random",
    "select",
    "queue",
    "types",
    "orjson",
    "langsmith",
    "multiprocess",
    "evalrunner",
    "fastapi",
)


def evalrunner(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    foreign = ("LANGSMITH_", "LANGCHAIN_", "EVALRUNNER_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return subprocess.run(
        [str(Path(sys.executable).with_name("evalrunner")), *arguments], cwd=folder, text=True, check=False,
        env={**kept, "HOME": str(folder)}, capture_output=True, timeout=240,
    )  # fmt: skip


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_folder_full_of_names_that_others_have(tmp_path: Path, method: str) -> None:
    for stem in STEMS:
        (tmp_path / f"{stem}.py").write_text(TARGET)
    rows = [{"inputs": {"n": n}, "outputs": {"m": 2 * n}} for n in range(4)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pushed = evalrunner(tmp_path, "dataset", "push", "rows.jsonl", "--name", "doubles")
    assert pushed.returncode == 0, pushed.stderr
    done = evalrunner(
        tmp_path, "run", "--dataset", "doubles", "--workers", "2", "--start-method", method,
        "--target", "random.py:double", "--evaluator", "langsmith.py:right", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["states"]["visible"] == 4
