"""What CONTRIBUTING says of the house is what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evalrunner.protocol.worker import WorkerState
from scripts.state_machines import drawn

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SRC = ROOT / "src"


def section(title: str) -> str:
    """Return what stands below a heading of the second rank."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, title
    return found.group(1)


def rows(title: str) -> list[list[str]]:
    """Return the rows of a section's tables, without their headings, each with its cells."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [one for one in cells if one[0] not in ("room", "file", "word")]


def rooms() -> set[str]:
    """Return every package, and every module of evalrunner's own that is none's."""
    packages = {path.parent for path in SRC.rglob("__init__.py")}
    ground = {path for path in (SRC / "evalrunner").glob("*.py") if path.name != "__init__.py"}
    return {str(path.relative_to(SRC)) for path in packages | ground} - {"evalrunner"}


def test_every_room_is_on_the_map_and_no_other() -> None:
    named = [room.strip("`") for room, *_ in rows("The rooms")]
    assert sorted(named) == sorted(rooms())


def test_every_room_of_the_tests_is_named() -> None:
    named = section("The rooms").partition("Tests:")[2]
    for path in (ROOT / "tests").iterdir():
        assert path.name in ("__pycache__", "conftest.py") or f"`{path.name}`" in named, path.name


def test_the_state_machines_are_what_the_script_prints() -> None:
    shown = re.search(r"```\n(.*?)\n```", section("The state machines"), re.DOTALL)
    assert shown
    assert shown.group(1) == drawn()
    assert all(re.search(rf"^    {state.name} ", drawn(), re.MULTILINE) for state in WorkerState)


@pytest.mark.parametrize(("file", "anchor"), [(file, anchor) for file, anchor, _ in rows("How to add")])
def test_what_must_be_changed_is_where_it_is_said_to_be(file: str, anchor: str) -> None:
    assert anchor.strip("`") in (ROOT / file.strip("`")).read_text(encoding="utf-8")


def test_the_files_that_are_named_are_there() -> None:
    for name in re.findall(r"`((?:src|tests|scripts)/[\w/.]+)`", TEXT):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`([a-z_]+/[a-z_/]+\.py)`", section("Decisions")):
        assert (SRC / "evalrunner" / name).exists(), name


def test_every_target_of_make_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for words in re.findall(r"`make ([a-z\s-]+)", TEXT):
        for word in words.split():
            assert re.search(rf"^{word}:", makefile, re.MULTILINE), word


def test_comments_cite_nothing_that_is_not_in_the_repository() -> None:
    facts = re.findall(r"^(\d+)\. ", section("Measured facts"), re.MULTILINE)
    here = {path.name for path in ROOT.glob("*.md")}
    for path in sorted(SRC.rglob("*")):
        if path.suffix not in (".py", ".sql", ".toml"):
            continue
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"measured fact (\d+)", text)) <= set(facts), path
        assert set(re.findall(r"[\w-]+\.md\b", text)) <= here | {"README.md"}, path
        assert not re.search(r"\b(?:sdk-loss|research/)", text), path
        assert "§" not in text or "RFC" in text, path


def test_every_measured_fact_that_is_numbered_in_a_decision_is_there() -> None:
    facts = re.findall(r"^(\d+)\. ", section("Measured facts"), re.MULTILINE)
    assert set(re.findall(r"measured fact (\d+)", section("Decisions"))) <= set(facts)


def test_no_two_files_of_tests_are_called_alike() -> None:
    """pytest takes them for one module, and refuses whichever it finds second."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
