"""Checks of a machine, drawn: how it stands, what was seen, and below that what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from evalrunner.doctor.machine.check import Check, Group, Status

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

_STYLES = {Status.OK: "green", Status.NOTE: "cyan", Status.WARNING: "yellow", Status.FAILURE: "bold red"}
#: As wide as the longest status, with a gap on either side.
_INDENT = 11
#: Text narrower than this cannot be read; the terminal may break it then.
_LEAST = 24


class Drawn:
    """A group of checks, in lines that hang below their status, whatever the width."""

    def __init__(self, group: Group) -> None:
        """Draw `group`."""
        self._group = group

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        width = max(_LEAST, options.max_width - _INDENT)
        yield Text(self._group.title, style="bold")
        for check in self._group.checks:
            status = Text.assemble("  ", (check.status.value, _STYLES[check.status]))
            yield from _hanging(console, status, _said(check), width)
            if check.remedy:
                yield from _hanging(console, Text(), Text.assemble(("-> ", "bold"), check.remedy), width)
        yield Text()


def _said(check: Check) -> Text:
    between = "" if check.seen.startswith("=") else ": "
    return Text.assemble((check.code, "bold"), between, check.seen)


def _hanging(console: Console, status: Text, text: Text, width: int) -> Iterator[Text]:
    for line in text.wrap(console, width, overflow="fold"):
        status.pad_right(_INDENT - len(status))
        line.rstrip()
        yield status + line
        status = Text()
