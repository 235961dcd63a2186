"""The receipt as people like to read it: the verdict first, the books, then whatever does not fit.

One layout serves a terminal and a log file: aligned columns, no boxes, ASCII signs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from evalrunner.report.lines import (
    Line,
    block,
    clean,
    columns,
    count,
    fit,
    labelled,
    number,
    seconds,
    wrap,
)
from evalrunner.report.planned import only_planned, planned_lines
from evalrunner.report.receipt import EvaluatorEntry, Receipt
from evalrunner.report.troubles import CAP, GOOD, STATES, is_plan, troubles

NARROW, WIDE = 60, 100
#: Columns that an evaluator's figures take, with the indent before its name.
_FIGURES = 48


@dataclass(frozen=True)
class _Page:
    """A receipt on its way to a console of some width."""

    receipt: Receipt

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(NARROW, min(options.max_width, WIDE))
        for line in _lines(self.receipt, width, max(width, options.max_width)):
            # What is too long (a command, a path) is left to the terminal to fold: so it is copied in one piece.
            yield Text.assemble(*line, overflow="ignore", no_wrap=True)


def render(receipt: Receipt) -> RenderableType:
    """Return the receipt for a rich console."""
    return _Page(receipt)


def plain(receipt: Receipt, width: int = 80) -> str:
    """Return the receipt as plain lines, for logs and files."""
    rows = ("".join(text for text, _ in line).rstrip() for line in _lines(receipt, width, width))
    return "\n".join(rows) + "\n"


def _lines(receipt: Receipt, width: int, room: int) -> Iterator[Line]:
    """Yield every line; sentences are wrapped at `width`, and a table may use the whole `room`."""
    sections = (
        _head(receipt, width),
        planned_lines(receipt.plan, width),
        # A plan says in words and counts what is missing: it writes no receipt.json that could name every item.
        () if only_planned(receipt.plan) else _books(receipt),
        _evaluators(receipt, room),
        *troubles(receipt, width),
        _foot(receipt, width),
    )
    for place, section in enumerate(filter(None, map(list, sections))):
        if place:
            yield []
        yield from section


def _head(receipt: Receipt, width: int) -> Iterator[Line]:
    word, style = _headline(receipt)
    verdict = clean(receipt.verdict)
    if verdict.lower().startswith(f"{word.lower()}:"):
        verdict = verdict[len(word) + 1 :]
    first, *rest = wrap(verdict, width, indent=len(word) + 2)
    yield [(f"{word}  ", f"bold {style}"), (first.lstrip(), "bold")]
    yield from ([(line, "bold")] for line in rest)
    yield from labelled("experiment", _name(receipt.experiment), width)
    yield from labelled("dataset", _name(receipt.dataset), width)


def _headline(receipt: Receipt) -> tuple[str, str]:
    if receipt.complete:
        return ("COMPLETE, WITH ERRORS", "yellow") if receipt.exit_code else ("COMPLETE", "green")
    return ("PLAN", "cyan") if is_plan(receipt) else ("NOT COMPLETE", "red")


def _name(about: dict[str, Any]) -> list[str]:
    name, ident, version, url = (clean(about.get(key) or "") for key in ("name", "id", "version", "url"))
    told = f"{name} ({ident})" if name and ident and name != ident else name or ident or "?"
    return [told, f"version {version}" if version else "", url]


def _books(receipt: Receipt) -> Iterator[Line]:
    planned = sum(receipt.states.values())
    before = receipt.plan.get("already_complete", 0)
    if not is_plan(receipt):
        yield from _steps([planned, receipt.books.produced, receipt.books.accepted, receipt.books.visible])
    yield [("  ", ""), *_states(receipt)]
    since = f"; {before} of {count(planned, 'item')} were complete before" if before else ""
    scored = f", {count(receipt.scored, 'recorded run')} scored" if receipt.scored else ""
    yield [(f"  {count(receipt.executions, 'execution')} in this run{scored}{since}", "")]
    again = sum(entry.attempt > 1 for entry in receipt.items)
    if again and receipt.executions:
        yield [(f"  {count(again, 'item')} begun more than once", "")]


def _steps(books: list[int]) -> Iterator[Line]:
    names = ("planned", "produced", "accepted", "visible")
    yield [("  " + "   ".join(name.rjust(8) for name in names), "dim")]
    line: Line = []
    for quantity, previous in zip(books, [books[0], *books], strict=False):
        style = "bold red" if quantity < previous else "bold"
        line += [(" > " if line else "  ", "dim"), (str(quantity).rjust(8), style)]
    yield line


def _states(receipt: Receipt) -> Line:
    line: Line = []
    for state in [*STATES, *sorted(set(receipt.states) - set(STATES))]:
        if quantity := receipt.states.get(state, 0):
            told = f"{quantity} {clean(state)}"
            line += [(", " if line else "", ""), (told, "" if state in GOOD else "red")]
    return line


def _evaluators(receipt: Receipt, width: int) -> Iterator[Line]:
    keys = [clean(key) for key in (*(entry.key for entry in receipt.evaluators), *receipt.summary)]
    if not keys:
        return
    quiet = any(entry.none for entry in receipt.evaluators)
    heads = ("mean", "n", "errors", "missing", *(["none"] if quiet else []), "of")
    figures = _FIGURES + 9 * quiet
    room = max(cell_len(key) for key in [*keys, "evaluator"] if cell_len(key) <= max(width - figures, 9))
    yield [("  " + "evaluator".ljust(room) + columns(*heads), "dim")]
    for entry in receipt.evaluators:
        yield from _evaluator(entry, room, width, quiet)
    for key, value in receipt.summary.items():
        yield from _alone(key, room)
        score = [(_named(key, room), ""), (number(value).rjust(9), "bold")]
        yield [*score, ("  over the whole experiment", "dim")]


def _evaluator(entry: EvaluatorEntry, room: int, width: int, quiet: bool) -> Iterator[Line]:
    mean = "-" if entry.mean is None else number(entry.mean)
    yield from _alone(entry.key, room)
    yield [
        (_named(entry.key, room), ""),
        (mean.rjust(9), "bold"),
        (columns(entry.n), ""),
        (columns(entry.errors, entry.missing), "red" if entry.errors or entry.missing else ""),
        (columns(*([entry.none] if quiet else []), entry.of), ""),
    ]
    if entry.values:
        ranked = sorted(entry.values.items(), key=lambda pair: (-pair[1], pair[0]))
        told = ", ".join(f"{clean(value)}: {quantity}" for value, quantity in ranked[:CAP])
        yield from block(told, width, indent=4, style="dim")


def _alone(key: str, room: int) -> Iterator[Line]:
    """Yield a name that is longer than its column: it is not cut, its figures stand in the next line."""
    if cell_len(clean(key)) > room:
        yield [("  " + clean(key), "")]


def _named(key: str, room: int) -> str:
    name = clean(key)
    return "  " + fit(name if cell_len(name) <= room else "", room)


def _foot(receipt: Receipt, width: int) -> Iterator[Line]:
    times = [f"{clean(name)} {seconds(value)}" for name, value in receipt.seconds.items()]
    yield from labelled("time", times, width)
    if receipt.run_dir:
        yield from labelled("files", [_near(receipt.run_dir), "(receipt.json, logs)"], width)
    if receipt.command:
        yield from labelled("to go on", [clean(receipt.command, limit=4096)], width, "bold")


def _near(folder: str) -> str:
    """Return a path as it is written from here, if it lies below."""
    here = os.path.join(os.getcwd(), "")
    return clean(folder.removeprefix(here) or ".", limit=4096)
