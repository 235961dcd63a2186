"""Looking at everything, and judging it."""

from __future__ import annotations

from collections.abc import Iterator

from evalrunner.doctor.machine.check import Group
from evalrunner.doctor.machine.judging import software as of_software
from evalrunner.doctor.machine.looking import software


def examine() -> Iterator[Group]:
    """Yield one group of checks after the other, as soon as it is known."""
    yield Group("Software", tuple(of_software.judge(software.look())))
