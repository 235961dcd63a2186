"""Versions of what is installed, judged."""

from __future__ import annotations

import pytest

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.judging.software import judge
from evalrunner.doctor.machine.looking.software import Package, Software, look


def checks(python: str = "CPython", **langsmith: str | None) -> dict[str, Check]:
    given: dict[str, str | None] = {"version": "0.14.17", "wanted": ">=0.14.17,<0.16", **langsmith}
    package = Package("langsmith", given["version"], given["wanted"] or "")
    return {one.code: one for one in judge(Software("0.1.0", "3.11.7", python, "/bin/python", (package,)))}


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("0.14.17", Status.OK),
        ("0.15.3rc1", Status.OK),
        ("0.14.16", Status.WARNING),
        ("0.16.0", Status.WARNING),
        ("1.0", Status.WARNING),
        (None, Status.FAILURE),
    ],
)
def test_a_version_is_held_against_the_range_that_is_tested(version: str | None, status: Status) -> None:
    assert checks(version=version)["langsmith"].status is status


def test_a_remedy_names_what_pip_takes() -> None:
    assert checks(version="0.14.2")["langsmith"].remedy == "pip install 'langsmith>=0.14.17,<0.16'"


def test_a_range_that_is_not_known_is_none_that_is_missed() -> None:
    assert checks(version="0.1", wanted="")["langsmith"].status is Status.OK


def test_another_python_is_said() -> None:
    assert checks(python="PyPy")["python"].status is Status.WARNING
    assert checks()["python"].status is Status.OK


def test_what_is_installed_here_is_what_is_tested() -> None:
    seen = look()
    assert {one.name: bool(one.wanted) for one in seen.packages} == {
        "langsmith": True, "multiprocess": True, "psutil": True,
    }  # fmt: skip
    assert {one.status for one in judge(seen)} == {Status.OK}
