"""Checks of a machine on terminals of any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from evalrunner.cli.checks import Drawn
from evalrunner.doctor.machine.check import Check, Group, Status

GROUP = Group(
    "Environment",
    (
        Check("variables", Status.OK, "none"),
        Check(
            "LANGSMITH_TRACING_SAMPLING_RATE", Status.WARNING, "=0.5: " + "word " * 20, "unset " * 12 + "it"
        ),
        Check(
            "runs",
            Status.FAILURE,
            "/a/path/that/is/longer/than/a/narrow/terminal/can/show/in/a/line",
            "mend it",
        ),
    ),
)


def drawn(width: int, *, colour: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=colour, highlight=False)
    if colour:
        console = Console(
            file=stream, width=width, force_terminal=True, color_system="standard", highlight=False
        )
    console.print(Drawn(GROUP), crop=False)
    return stream.getvalue()


@pytest.mark.parametrize("width", [40, 60, 100, 10_000])
def test_lines_hang_below_their_status_and_fit(width: int) -> None:
    title, *lines = drawn(width).rstrip("\n").split("\n")
    assert title == "Environment"
    assert all(len(line) <= width for line in lines)
    assert not any(line.endswith(" ") for line in lines)
    for line in lines:
        status, text = line[:11].strip(), line[11:]
        assert status in ("", "ok", "warning", "failure")
        assert text[:1].strip()
    letters = "".join(line[11:] for line in lines).replace(" ", "")
    assert "->" + "unset" * 12 + "it" in letters
    assert "LANGSMITH_TRACING_SAMPLING_RATE=0.5:word" in letters


def test_nothing_is_lost_where_a_terminal_is_narrower_than_text_can_be_read() -> None:
    assert drawn(10).replace("\n", "").replace(" ", "").count("word") == 20


def test_the_colour_is_the_status_s_alone() -> None:
    line = next(one for one in drawn(10_000, colour=True).split("\n") if "warning" in one)
    assert line.startswith("  \x1b[33mwarning\x1b[0m  \x1b[1mLANGSMITH_TRACING_SAMPLING_RATE\x1b[0m=0.5: ")
