"""What README, Makefile and constraints say is what is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from evalrunner import __version__
from evalrunner.cli.main import build
from evalrunner.cli.settings.kinds import SWITCH
from evalrunner.cli.settings.options import OPTIONS
from evalrunner.doctor import causes, codes
from evalrunner.exit_codes import TEXTS
from evalrunner.supervisor.setup.environment import THREADS
from evalrunner.verify.codes import KINDS
from tests.support.cli import done

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return what stands below a heading, up to the next one of its rank or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#|\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"README has no heading {title!r}"
    return found.group(2)


def table(title: str) -> dict[str, list[str]]:
    """Return a section's table: first cell -> the others."""
    rows = [line.strip("|").split("|") for line in section(title).splitlines() if line.startswith("| ")]
    return {first.strip(): [cell.strip() for cell in others] for first, *others in rows[1:]}


def commands() -> dict[str, Any]:
    """Return every command by its words."""
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any]] = [("", typer.main.get_command(build()))]
    while waiting:
        words, command = waiting.pop()
        children = getattr(command, "commands", None)
        if children is None:
            found[words] = command
        else:
            waiting += [(f"{words} {name}".strip(), child) for name, child in children.items()]
    return found


def flags(command: Any) -> set[str]:
    """Return a command's flags."""
    names = {name for parameter in command.params for name in parameter.opts if name.startswith("-")}
    return names - {"--help", "-h"}


def named(cell: str) -> set[str]:
    """Return the flags in a cell."""
    return set(re.findall(r"`(-[a-z]|--[a-z][a-z-]*)[ `]", cell))


def test_every_command_is_documented_and_no_other() -> None:
    documented = {re.sub(r" [\[A-Z].*", "", cell.strip("`")) for cell in table("Commands")}
    assert documented == {f"evalrunner {words}" for words in commands()}


def test_every_option_of_run_is_documented_and_no_other() -> None:
    documented = set().union(*map(named, table("Options of `run`")))
    documented = {flag for flag in documented if not flag.startswith("--no-")}
    assert documented == flags(commands()["run"])


@pytest.mark.parametrize("words", ["resume", "config"])
def test_what_takes_the_options_of_run_takes_them_all(words: str) -> None:
    assert flags(commands()[words]) == flags(commands()["run"])


def test_every_option_of_the_other_commands_is_documented_and_no_other() -> None:
    documented = {
        cell.strip("`"): named(" ".join(rest))
        for cell, rest in table("Options of the other commands").items()
    }
    there = {words: flags(command) for words, command in commands().items()}
    there["repair"] -= flags(commands()["run"]) - {"--help"}
    for words in ("run", "resume", "config"):
        del there[words]
    there = {
        words: {name for name in names if name.startswith("--")} for words, names in there.items() if names
    }
    assert documented == there


def test_documented_defaults_are_the_defaults() -> None:
    rows = {flag: rest[0] for cell, rest in table("Options of `run`").items() for flag in named(cell)}
    for option in OPTIONS:
        shown = rows[f"--{option.name}"].strip("`")
        if option.shown and option.kind is SWITCH:
            continue
        if isinstance(option.default, bool):
            assert shown == (("yes" if option.default else "no") if option.in_files else ""), option.name
        elif isinstance(option.default, (int, float)):
            assert float(shown) == option.default, option.name
        elif isinstance(option.default, str):
            assert shown == option.default, option.name


def test_every_flag_in_the_readme_exists() -> None:
    known = set().union(*map(flags, commands().values())) | {"--help", "--no-"}
    known |= flags(typer.main.get_command(build()))
    known |= {f"--no-{flag[2:]}" for flag in known}
    for flag in set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", README)):
        assert flag in known, flag


def test_the_exit_codes_are_the_exit_codes() -> None:
    assert {int(code): rest[0] for code, rest in table("Exit codes").items()} == {
        int(c): t for c, t in TEXTS.items()
    }


def test_the_findings_are_the_findings() -> None:
    documented = {code.strip("`"): tuple(rest) for code, rest in table("Findings").items()}
    assert documented == {code.value: (kind.meaning, kind.remedy) for code, kind in KINDS.items()}


def test_the_symptoms_are_the_symptoms() -> None:
    documented = {code.strip("`"): tuple(rest) for code, rest in table("Symptoms").items()}
    assert documented == {code.value: (kind.meaning, kind.remedy) for code, kind in codes.KINDS.items()}


def test_the_causes_are_the_causes() -> None:
    documented = {code.strip("`"): tuple(rest) for code, rest in table("Causes").items()}
    assert documented == {
        code.value: (about.meaning, about.next_time) for code, about in causes.ABOUT.items()
    }


def test_the_environment_of_workers_is_documented() -> None:
    documented = " ".join(table("What a worker finds in its environment"))
    for name in (*THREADS, "EVALRUNNER_WORKER_ID", "EVALRUNNER_WORKERS", "CUDA_VISIBLE_DEVICES"):
        assert f"`{name}`" in documented


def test_the_configuration_in_the_readme_is_the_quickstarts() -> None:
    shown = re.search(r"```toml\n# evalrunner.toml\n(.*?)```", README, re.DOTALL)
    assert shown
    written = (ROOT / "src/evalrunner/quickstart/evalrunner.toml").read_text(encoding="utf-8")
    assert shown.group(1).strip() == "\n".join(re.findall(r"^[a-z].*$", written, re.MULTILINE))


def test_links_within_the_repository_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert re.search(rf"^#+ {target[1:].replace('-', ' ')}$", README, re.MULTILINE | re.IGNORECASE)
        elif "://" not in target:
            assert (ROOT / target).is_file(), target


def test_every_target_of_make_is_described() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    described = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    assert described == set(phony.group(1).split())
    assert set(re.findall(r"(?:`| {4})make ([a-z-]+)", README)) <= described


def test_before_a_commit_the_gates_of_make_lint_are_run_and_nothing_is_downloaded() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    halves = re.findall(r"^(?:style|types):.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    gates = "".join(halves).replace("\t@$(BIN)/", ".venv/bin/").splitlines()
    assert sorted(re.findall(r"entry: (.*)", hooks)) == sorted([*gates, "make check"])
    assert len(gates) == 4
    assert set(re.findall(r"repo: (.*)", hooks)) == {"local"}
    assert "://" not in hooks


def test_constraints_hold_names_and_versions_and_no_address() -> None:
    pattern = r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+( ; python_version (<|>=) '3\.11')?"
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins
    for line in pins:
        assert re.fullmatch(pattern, line), line
    assert not any("://" in line or line.startswith("evalrunner") for line in lines)


def test_the_changelog_knows_this_version() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_checks_of_a_machine_are_documented(tmp_path: Path) -> None:
    documented = {name for cell in table("The machine") for name in re.findall(r"`([a-z-]+)`", cell)}
    told = done(tmp_path, "doctor", "--json", SLURM_JOB_ID="7")
    assert {one["code"] for one in json.loads(told.stdout)["checks"]} <= documented
