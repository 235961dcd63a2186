"""Carrying functions into workers: what works, and what is said where it does not."""

from __future__ import annotations

import importlib.util
import logging
import os
import pickle
import queue
import ssl
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalrunner.errors import TargetError
from evalrunner.pickling.carry import pickle_objects


def factor(by: int) -> Callable[[dict[str, int]], dict[str, int]]:
    return lambda inputs: {"y": by * inputs["x"]}


def test_lambdas_and_closures_are_carried_by_value() -> None:
    data = pickle_objects(factor(3), [lambda outputs: outputs["y"] > 2], [len])
    target, evaluators, summaries = pickle.loads(data)
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
        "from evalrunner.pickling.carry import pickle_objects\n"
        "factor = 3\n"
        "@traceable\n"
        "def target(inputs): return {'y': factor * inputs['x']}\n"
        "sys.stdout.buffer.write(pickle_objects(target, [], []))\n"
    )
    data = subprocess.run([sys.executable, script], capture_output=True, check=True).stdout
    target, *_ = pickle.loads(data)
    assert target({"x": 2}) == {"y": 6}


SCRIPT = Path(__file__).resolve().parents[1] / "e2e" / "targets" / "script.py"
LOAD = """
import asyncio, inspect, pickle, sys
target, *_ = pickle.loads(sys.stdin.buffer.read())
made = target() if inspect.isclass(target) else target
answer = made({"i": 2})
print((asyncio.run(answer) if inspect.isawaitable(answer) else answer)["sum"])
"""
KINDS = [
    "lambda", "function", "closure", "class", "instance with a lock", "traced",
    "closure over an RLock", "closure over a Condition", "closure over a handler", "async traced", "pydantic inside",
    "decorated", "client", "HTTP client", "singledispatch", "environment",
]  # fmt: skip


#: Appended to the script: every kind into a file of its own, or why it could not be carried.
CARRY = """
import pathlib, traceback
from evalrunner.pickling.carry import pickle_objects
for kind in KINDS:
    path = pathlib.Path(sys.argv[1]) / kind
    try:
        path.with_suffix(".pickle").write_bytes(pickle_objects(TARGETS[kind], [], []))
    except Exception:
        path.with_suffix(".err").write_text(traceback.format_exc())
        path.with_suffix(".out").touch()
"""
#: As a worker is made: forked, for each kind, from a process that has the SDK and never saw the script.
ASK = f"""
import os, pathlib, sys, langsmith
for path in pathlib.Path(sys.argv[1]).glob("*.pickle"):
    if not os.fork():
        streams = path.open("rb"), path.with_suffix(".out").open("wb"), path.with_suffix(".err").open("wb")
        for descriptor, stream in enumerate(streams):
            os.dup2(stream.fileno(), descriptor)
        exec({LOAD!r})
        sys.exit()
    os.wait()
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each kind of target answered in a process of its own, carried there from a script: files by kind."""
    folder = tmp_path_factory.mktemp("carried")
    code = SCRIPT.read_text().partition("if __name__ ==")[0]
    script = folder / "script.py"
    script.write_text(f"{code}\nKINDS = {KINDS}\n{CARRY}")
    env = {**os.environ, "LANGSMITH_TRACING": "false"}
    for asked in ([script, folder], ["-c", ASK, folder]):
        done = subprocess.run(
            [sys.executable, *asked], env=env, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_script_defines_works_in_a_process_that_never_saw_it(said: Path, kind: str) -> None:
    assert (said / f"{kind}.out").read_text() == "3\n", (said / f"{kind}.err").read_text()


def test_a_module_that_no_worker_can_import_is_carried_by_value(tmp_path: Path) -> None:
    """A notebook's helper file, loaded by hand."""
    path = tmp_path / "by_hand.py"
    path.write_text(
        "factor = 3\nclass Model:\n    def __call__(self, inputs): return {'sum': factor * inputs['i']}\n"
    )
    spec = importlib.util.spec_from_file_location("by_hand", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["by_hand"] = module
    try:
        spec.loader.exec_module(module)
        data = pickle_objects(module.Model(), [], [])
    finally:
        del sys.modules["by_hand"]
    done = subprocess.run(
        [sys.executable, "-c", LOAD], input=data, capture_output=True, timeout=240, check=False
    )
    assert done.stdout == b"6\n", done.stderr.decode()


def test_a_log_file_is_opened_again_at_its_end(tmp_path: Path) -> None:
    handler = logging.FileHandler(tmp_path / "log", mode="w")
    handler.handle(logging.makeLogRecord({"msg": "before"}))
    again = pickle.loads(pickle_objects(handler, [], []))[0]
    again.handle(logging.makeLogRecord({"msg": "after"}))
    for each in (handler, again):
        each.close()
    assert (tmp_path / "log").read_text() == "before\nafter\n"


def test_tls_settings_are_those_of_the_script() -> None:
    usual, lenient = ssl.create_default_context(), ssl.create_default_context()
    lenient.check_hostname, lenient.verify_mode = False, ssl.CERT_NONE
    lenient.minimum_version = ssl.TLSVersion.TLSv1_3
    for each in (usual, lenient):
        again = pickle.loads(pickle_objects(each, [], []))[0]
        for name in (
            "check_hostname",
            "verify_mode",
            "verify_flags",
            "options",
            "minimum_version",
            "protocol",
        ):
            assert getattr(again, name) == getattr(each, name)
        assert again.get_ca_certs() == each.get_ca_certs()


def test_weak_references_point_to_what_is_carried_with_them() -> None:
    kept = factor(2)
    weak = weakref.WeakSet([kept]), weakref.WeakValueDictionary({"kept": kept}), weakref.ref(kept)
    again, (members, named, reference) = pickle.loads(pickle_objects((kept, weak), [], []))[0]
    assert list(members) == [again]
    assert dict(named) == {"kept": again}
    assert reference() is again
    gone = weakref.ref(factor(3))
    assert pickle.loads(pickle_objects(gone, [], []))[0]() is None


def test_the_content_of_a_queue_that_cannot_be_read_is_not_left_behind_silently() -> None:
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    assert pickle.loads(pickle_objects(waiting, [], []))[0].empty()
    waiting.put(1)
    with pytest.raises(TargetError, match="holds 1"):
        pickle_objects(holding(waiting), [], [])
