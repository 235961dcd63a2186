"""The command without a process of its own: its `main`, with its words, folder, environment and streams.

What is the same in a process (help, usage errors, refusals, small reports) is asked here, because an interpreter
and the imports cost a second each time. That exit codes and streams of a real process are these stands in
tests/e2e/test_cli_help.py and test_cli_output.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from langsmith.utils import get_env_var

from evalrunner.cli.main import main
from tests.support.rig import Finished, clean_environment


@dataclass(frozen=True)
class Done:
    """A command that has ended, with the names that `subprocess` has for it."""

    returncode: int
    stdout: str
    stderr: str


def in_process(*arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> Finished:
    """Run the command to its end, in this process.

    Args:
        cwd: its folder.
        env: its whole environment; by default ours, without anything that configures LangSmith or evalrunner.
    """
    with _streams() as (out, err), _place(cwd, clean_environment() if env is None else env):
        code = _main(arguments)
    return Finished(code, out[0], err[0])


def done(folder: Path, *arguments: str, **environment: str) -> Done:
    """Run it in an environment without any LangSmith, whose home is its folder; 120 columns."""
    env = clean_environment(**{"HOME": str(folder), "COLUMNS": "120", **environment})
    ended = in_process(*arguments, cwd=folder, env=env)
    return Done(ended.code, ended.out, ended.err)


def _main(arguments: tuple[str, ...]) -> int:
    sys.argv = ["evalrunner", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


@contextlib.contextmanager
def _place(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Stand in its folder and environment, and undo what a command does to the process that it has for itself."""
    folder.mkdir(parents=True, exist_ok=True)
    before = Path.cwd(), dict(os.environ), sys.argv, sys.path[:], sys.excepthook
    hears = signal.getsignal(signal.SIGINT)
    os.chdir(folder)
    _environ(environment)
    try:
        yield
    finally:
        os.chdir(before[0])
        _environ(before[1])
        sys.argv, sys.path[:], sys.excepthook = before[2:]
        signal.signal(signal.SIGINT, hears)


def _environ(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    cast(Any, get_env_var).cache_clear()  # the SDK reads the environment once per process


@contextlib.contextmanager
def _streams() -> Iterator[tuple[list[str], list[str]]]:
    """Files as stdout and stderr, and an empty stdin; what was written is in the lists when the block has ended."""
    out: list[str] = []
    err: list[str] = []
    before = sys.stdin, sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(2)]
        sys.stdin = stack.enter_context(open(os.devnull, encoding="utf-8"))
        sys.stdout, sys.stderr = files
        try:
            yield out, err
        finally:
            sys.stdin, sys.stdout, sys.stderr = before
            out.append(_written(files[0]))
            err.append(_written(files[1]))


def _written(file: TextIO) -> str:
    file.seek(0)
    return file.read()
