"""The environment as the LangSmith SDK reads it, and how a variable is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from evalrunner.doctor.machine.check import Check, Status

SPACES = ("LANGSMITH", "LANGCHAIN")
#: The calls that a variable is about, and what stands behind most of them.
EVALUATIONS = "evaluate and aevaluate"
OURS = "evalrunner run sends all"
ALL_CALLS = "evaluate, aevaluate and evalrunner run"


@dataclass(frozen=True)
class Surroundings:
    """What a variable's effect depends on besides its value.

    Attributes:
        zstd: the service takes compressed runs; None where it was not asked.
        otel: the packages for OpenTelemetry are installed.
    """

    zstd: bool | None = None
    otel: bool = False


@dataclass(frozen=True)
class Variable:
    """One that is set: the name that counts, and its value."""

    name: str
    value: str


def read(environ: Mapping[str, str], name: str, spaces: tuple[str, ...] = SPACES) -> Variable | None:
    """Return a variable as the SDK reads it (utils.py:395): LANGSMITH_ before LANGCHAIN_, blank is not set."""
    for space in spaces:
        value = environ.get(f"{space}_{name}", "")
        if value.strip():
            return Variable(f"{space}_{name}", value)
    return None


def warning(found: Variable, text: str, remedy: str) -> Check:
    """Return what costs an evaluation something."""
    return Check(found.name, Status.WARNING, f"={found.value}: {text}", remedy)


def note(found: Variable, text: str, remedy: str) -> Check:
    """Return what costs an evaluation nothing."""
    return Check(found.name, Status.NOTE, f"={found.value}: {text}", remedy)


def truish(found: Variable | None) -> bool:
    """Tell whether the SDK takes it for yes (utils.py:893); some variables it compares with "true" alone."""
    return found is not None and found.value.lower() in ("true", "1")


def whole(text: str) -> int | None:
    """Return a whole number as Python reads it, or None."""
    try:
        return int(text)
    except ValueError:
        return None


def number_of(text: str) -> float | None:
    """Return a number as Python reads it, or None."""
    try:
        return float(text)
    except ValueError:
        return None


Rule = Callable[[Mapping[str, str], Surroundings], Iterator[Check]]
