"""The command as a user first meets it: help, version, default command, and how errors end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

import pytest

from evalrunner import __version__
from evalrunner.exit_codes import TEXTS, ExitCode
from tests.support.cli import Done
from tests.support.cli import done as run
from tests.support.rig import clean_environment


def spawn(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, in an environment without any LangSmith."""
    env = clean_environment(HOME=str(folder), COLUMNS="120", **environ)
    command = [sys.executable, "-m", "evalrunner", *arguments]
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False
    )


def real(folder: Path, *arguments: str, **environ: str) -> Done:
    """Run it so, see that it says and ends as it does without a process, and return that."""
    inside = run(folder, *arguments, **environ)
    outside = spawn(folder, *arguments, **environ)
    assert (outside.returncode, outside.stdout, outside.stderr) == astuple(inside)
    return inside


def test_help_says_the_main_use_the_commands_and_the_exit_codes(tmp_path: Path) -> None:
    done = real(tmp_path, "--help")
    assert done.returncode == 0
    assert "evalrunner --workers 8 --experiment ID" in done.stdout
    for command in ("run", "resume", "report", "story", "config", "init", "serve", "dataset"):
        assert f" {command} " in done.stdout
    for code, text in TEXTS.items():
        assert f"{int(code)}  {text}" in done.stdout
    assert "--install-completion" in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "",
        "run",
        "resume",
        "report",
        "story",
        "config",
        "init",
        "serve",
        "push",
        "dataset",
        "dataset push",
        "dataset list",
    ],
)
def test_the_help_of_a_switch_names_no_value(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, *command.split(), "--help")
    assert done.returncode == 0
    assert "bool" not in done.stdout.lower()
    for line in done.stdout.splitlines():
        assert not re.search(r" -.*<(str|int|float|path)", line), line


def complete(folder: Path, line: str, *flags: str) -> Done:
    """Ask as bash does when the tabulator is pressed at the end of `line`."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    return run(folder, *flags, _EVALRUNNER_COMPLETE="complete_bash", **words)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("evalrunner ru", ["run"]),
        ("evalrunner --wor", ["--workers"]),
        ("evalrunner --workers 3 --exp", ["--experiment"]),
        ("evalrunner dataset pu", ["push"]),
        ("evalrunner dataset push --keep", ["--keep-ids"]),
        ("evalrunner run --start-method sp", ["spawn"]),
    ],
)
def test_the_shell_completes(tmp_path: Path, line: str, found: list[str]) -> None:
    done = complete(tmp_path, line)
    assert (done.stdout.split(), done.stderr) == (found, "")
    assert list(tmp_path.iterdir()) == []


def test_completion_loads_no_sdk_and_no_backend(tmp_path: Path) -> None:
    done = spawn(tmp_path, "--show-completion", SHELL="/bin/bash", PYTHONPROFILEIMPORTTIME="1")
    for name in ("langsmith", "starlette", "evalrunner.supervisor", "multiprocess"):
        assert not re.search(rf"\| +{name}", done.stderr), f"{name} is imported for a press of a key"


def test_without_anything_it_is_the_help(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert "evalrunner --workers 8 --experiment ID" in done.stdout + done.stderr
    assert not (tmp_path / ".evalrunner").exists()


def test_version(tmp_path: Path) -> None:
    assert real(tmp_path, "--version").stdout == f"evalrunner {__version__}\n"


@pytest.mark.parametrize("command", ["run", "resume"])
def test_help_of_run_promises_what_execution_means(tmp_path: Path, command: str) -> None:
    done = run(tmp_path, command, "--help")
    words = " ".join(done.stdout.replace("│", " ").split())
    assert "--max-attempts" in words
    assert "Worker processes. Default: 4." in words
    if command == "run":
        assert "executed at least once per item and at most --max-attempts times" in words


def test_options_without_a_command_are_those_of_run(tmp_path: Path) -> None:
    named = real(tmp_path, "run", "--workers", "0")
    bare = run(tmp_path, "--workers", "0")
    assert (bare.returncode, bare.stdout, bare.stderr) == (named.returncode, named.stdout, named.stderr)
    assert bare.returncode == ExitCode.USAGE
    assert bare.stderr == "error: --workers must be at least 1, not 0\n"
    assert "--experiment" in run(tmp_path, "--workers", "2", "--help").stdout


def test_a_word_that_is_no_command_is_told_apart(tmp_path: Path) -> None:
    done = run(tmp_path, "reprot")
    assert done.returncode == ExitCode.USAGE
    assert "Did you mean 'report'" in " ".join(done.stderr.split())


def test_usage_errors_are_one_sentence_and_leave_nothing_behind(tmp_path: Path) -> None:
    done = run(tmp_path, "--experiment", "e")
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith("error: no target: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_with_json_an_error_is_a_document_too(tmp_path: Path) -> None:
    done = real(tmp_path, "--json", "--workers", "0")
    assert json.loads(done.stdout) == {"error": "--workers must be at least 1, not 0", "exit_code": 2}
    assert done.stderr.startswith("error: ")


def test_an_internal_error_names_the_file_with_its_traceback(tmp_path: Path) -> None:
    key = "lsv2-secret-secret"
    folder = tmp_path / "evalrunner_broken"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import os\n"
        "import evalrunner.cli.settings.gather as settings\n"
        "def gather(*args, **kwargs):\n"
        "    raise RuntimeError('the key is ' + os.environ['LANGSMITH_API_KEY'])\n"
        "settings.gather = gather\n"
    )
    done = spawn(tmp_path, "config", PYTHONPATH=str(folder), LANGSMITH_API_KEY=key)
    assert done.returncode == ExitCode.INTERNAL
    assert done.stderr == (
        "error: internal error: RuntimeError: the key is *** (traceback: .evalrunner/internal-errors.log)\n"
    )
    log = tmp_path / ".evalrunner" / "internal-errors.log"
    assert log.stat().st_mode & 0o777 == 0o600
    assert "in gather" in log.read_text()
    assert key not in log.read_text()


def test_config_says_where_each_value_came_from_and_never_the_key(tmp_path: Path) -> None:
    (tmp_path / "evalrunner.toml").write_text('target = "m:f"\nenv = { MY_TOKEN = "hush", A = "1" }\n')
    secrets = {"LANGSMITH_API_KEY": "hush-key", "LANGSMITH_ENDPOINT": "https://u:hush@example.org"}
    arguments = ("config", "--workers", "2", "--json")
    done = run(tmp_path, *arguments, EVALRUNNER_GRACE="1", **secrets)
    told = json.loads(done.stdout)
    assert told["options"]["workers"]["source"] == "flag --workers"
    assert told["options"]["grace"] == {"value": 1.0, "source": "env EVALRUNNER_GRACE", "means": None}
    assert told["options"]["target"]["source"] == f"{tmp_path}/evalrunner.toml:1"
    assert told["options"]["env"]["value"] == {"MY_TOKEN": "***", "A": "1"}
    assert told["langsmith"]["API key"] == "set (LANGSMITH_API_KEY)"
    shown = run(tmp_path, "config", **secrets)
    assert "set (LANGSMITH_API_KEY)" in shown.stdout
    assert "hush" not in done.stdout + shown.stdout + shown.stderr


def test_report_without_a_run(tmp_path: Path) -> None:
    done = run(tmp_path, "report")
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith("error: there is no receipt in ")


def test_resume_without_a_run(tmp_path: Path) -> None:
    done = run(tmp_path, "resume")
    assert done.returncode == ExitCode.USAGE
    assert "no run in" in done.stderr
