"""Versions: ours, Python's, and those of what a run depends on."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import SpecifierSet

from evalrunner.doctor.machine.check import Check, Status
from evalrunner.doctor.machine.looking.software import Package, Software


def judge(seen: Software) -> Iterator[Check]:
    """Yield what there is to say of the versions."""
    yield Check("evalrunner", Status.OK, f"{seen.evalrunner}, under {seen.executable}")
    yield _python(seen)
    yield from map(_package, seen.packages)


def _python(seen: Software) -> Check:
    if seen.implementation != "CPython":
        return Check(
            "python",
            Status.WARNING,
            f"{seen.implementation} {seen.python}",
            "evalrunner is tested with CPython alone: use that",
        )
    return Check("python", Status.OK, seen.python)


def _package(one: Package) -> Check:
    if one.version is None:
        return Check(one.name, Status.FAILURE, "not installed", "install it: pip install evalrunner")
    if not SpecifierSet(one.wanted).contains(one.version, prereleases=True):
        return Check(
            one.name,
            Status.WARNING,
            f"{one.version}, and this evalrunner is tested with {one.wanted}",
            f"pip install '{one.name}{one.wanted}'",
        )
    return Check(one.name, Status.OK, one.version)
