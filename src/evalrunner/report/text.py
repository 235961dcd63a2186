"""The receipt as people like to read it: the verdict first, the books, then whatever does not fit.

One layout serves a terminal and a log file: aligned columns, no boxes, ASCII signs.
"""

from __future__ import annotations

from collections import defaultdict
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
from evalrunner.report.receipt import EvaluatorEntry, ItemEntry, Receipt

#: How many items (errors, workers, warnings) are named before "see receipt.json".
CAP = 20
NARROW, WIDE = 60, 100
#: States that need nobody's attention.
GOOD = frozenset({"visible", "already complete"})
STATES = ("visible", "already complete", "failed", "not visible", "not delivered", "not run")
_QUIET_ENDS = frozenset({"exited with status 0", "still running"})


@dataclass(frozen=True)
class _Page:
    """A receipt on its way to a console of some width."""

    receipt: Receipt

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = max(NARROW, min(options.max_width, WIDE))
        for line in _lines(self.receipt, width):
            yield Text.assemble(*line, overflow="fold")


def render(receipt: Receipt) -> RenderableType:
    """Return the receipt for a rich console."""
    return _Page(receipt)


def plain(receipt: Receipt, width: int = 80) -> str:
    """Return the receipt as plain lines, for logs and files."""
    rows = ("".join(text for text, _ in line).rstrip() for line in _lines(receipt, width))
    return "\n".join(rows) + "\n"


def _lines(receipt: Receipt, width: int) -> Iterator[Line]:
    sections = (
        _head(receipt, width),
        _books(receipt),
        _evaluators(receipt, width),
        _open_items(receipt, width),
        _errors(receipt, width),
        _odd_runs(receipt, width),
        _deaths(receipt, width),
        _warnings(receipt, width),
        _foot(receipt, width),
    )
    for place, section in enumerate(filter(None, map(list, sections))):
        if place:
            yield []
        yield from section


def _head(receipt: Receipt, width: int) -> Iterator[Line]:
    word, style = ("COMPLETE", "green") if receipt.complete else ("NOT COMPLETE", "red")
    if receipt.complete and receipt.exit_code:
        style = "yellow"
    first, *rest = wrap(clean(receipt.verdict), width, indent=len(word) + 2)
    yield [(f"{word}  ", f"bold {style}"), (first.lstrip(), "bold")]
    yield from ([(line, "bold")] for line in rest)
    yield from labelled("experiment", _name(receipt.experiment), width)
    yield from labelled("dataset", _name(receipt.dataset), width)


def _name(about: dict[str, Any]) -> list[str]:
    name, ident, version, url = (clean(about.get(key) or "") for key in ("name", "id", "version", "url"))
    told = f"{name} ({ident})" if name and ident and name != ident else name or ident or "?"
    return [told, f"version {version}" if version else "", url]


def _books(receipt: Receipt) -> Iterator[Line]:
    planned, before = sum(receipt.states.values()), receipt.states.get("already complete", 0)
    to_run = planned - before
    if before and to_run:
        yield [
            (f"  {count(planned, 'item')} planned; {before} complete before this run, {to_run} to run", "")
        ]
    if to_run:
        yield from _steps([to_run, receipt.books.produced, receipt.books.accepted, receipt.books.visible])
    yield [("  ", ""), *_states(receipt)]
    yield [(f"  {count(receipt.executions, 'execution')} in this run", "")]


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
    room = min(max(map(cell_len, [*keys, "evaluator"])), width - 48)
    yield [("  " + "evaluator".ljust(room) + columns("mean", "n", "errors", "missing", "of"), "dim")]
    for entry in receipt.evaluators:
        yield from _evaluator(entry, room, width)
    for key, value in receipt.summary.items():
        score = [("  " + fit(clean(key), room), ""), (number(value).rjust(9), "bold")]
        yield [*score, ("  over the whole experiment", "dim")]


def _evaluator(entry: EvaluatorEntry, room: int, width: int) -> Iterator[Line]:
    mean = "-" if entry.mean is None else number(entry.mean)
    yield [
        ("  " + fit(clean(entry.key), room), ""),
        (mean.rjust(9), "bold"),
        (columns(entry.n), ""),
        (columns(entry.errors, entry.missing), "red" if entry.errors or entry.missing else ""),
        (columns(entry.of), ""),
    ]
    if entry.values:
        ranked = sorted(entry.values.items(), key=lambda pair: (-pair[1], pair[0]))
        told = ", ".join(f"{clean(value)}: {quantity}" for value, quantity in ranked[:CAP])
        yield from block(told, width, indent=4, style="dim")


def _open_items(receipt: Receipt, width: int) -> Iterator[Line]:
    listed = sorted((entry for entry in receipt.items if entry.state not in GOOD), key=_place)
    repeated = any(entry.repetition for entry in receipt.items)
    groups: dict[str, list[str]] = defaultdict(list)
    for entry in listed[:CAP]:
        why = entry.reason or entry.error or "no reason recorded"
        groups[f"{clean(entry.state)}: {clean(why)}"].append(_item(entry, repeated))
    for head, items in groups.items():
        yield from block(head, width, indent=2, style="red")
        yield from ([(f"    {item}", "")] for item in items)
    yield from _more(len(listed), "item")


def _place(entry: ItemEntry) -> int:
    return STATES.index(entry.state) if entry.state in STATES else len(STATES)


def _item(entry: ItemEntry, repeated: bool) -> str:
    tries = f"  attempt {entry.attempt}" if entry.attempt > 1 else ""
    return clean(entry.example_id) + (f"  repetition {entry.repetition}" if repeated else "") + tries


def _more(total: int, noun: str) -> Iterator[Line]:
    if total > CAP:
        yield [(f"  and {count(total - CAP, f'more {noun}')}: see receipt.json", "")]


def _errors(receipt: Receipt, width: int) -> Iterator[Line]:
    groups: dict[str, list[str]] = defaultdict(list)
    for entry in receipt.items:
        if entry.error and entry.state in GOOD:
            groups[clean(entry.error)].append(clean(entry.example_id))
    if groups:
        total = sum(map(len, groups.values()))
        yield [(f"  the target raised for {count(total, 'item')}; the runs say how", "yellow")]
    for error, ids in sorted(groups.items(), key=lambda pair: -len(pair[1]))[:CAP]:
        yield from block(f"{len(ids)} x {error}", width, indent=4)
        some = list(dict.fromkeys(ids))
        more = f"and {len(some) - 3} more: see receipt.json" if len(some) > 3 else ""
        yield from ([(f"        {one}", "dim")] for one in (*some[:3], more) if one)
    yield from _more(len(groups), "error")


def _odd_runs(receipt: Receipt, width: int) -> Iterator[Line]:
    doubles = [entry.run_id or entry.example_id for entry in receipt.duplicates]
    yield from _named(receipt.strangers, "the experiment has {} that nobody planned", width)
    yield from _named(doubles, "the experiment has {} too many for items that have one already", width)


def _named(ids: list[str], sentence: str, width: int) -> Iterator[Line]:
    if ids:
        yield from block(sentence.format(count(len(ids), "run")), width, indent=2, style="yellow")
    yield from ([(f"    {clean(one)}", "")] for one in ids[:CAP])
    yield from _more(len(ids), "run")


def _deaths(receipt: Receipt, width: int) -> Iterator[Line]:
    dead = [worker for worker in receipt.workers if worker.ended not in _QUIET_ENDS]
    if dead or receipt.restarts:
        yield [(f"  {count(len(dead), 'worker')} died, {receipt.restarts} replaced", "yellow")]
    for worker in dead[:CAP]:
        end = f"{clean(worker.ended)}, after {count(worker.items, 'item')}"
        yield from block(f"worker {worker.slot} (pid {worker.pid}): {end}", width, indent=4)
    yield from _more(len(dead), "worker")


def _warnings(receipt: Receipt, width: int) -> Iterator[Line]:
    for warning in receipt.warnings[:CAP]:
        yield from block(f"warning: {clean(warning)}", width, indent=2, style="yellow")
    yield from _more(len(receipt.warnings), "warning")


def _foot(receipt: Receipt, width: int) -> Iterator[Line]:
    times = [f"{clean(name)} {seconds(value)}" for name, value in receipt.seconds.items()]
    yield from labelled("time", times, width)
    yield from labelled("files", [clean(receipt.run_dir), "(receipt.json, logs)"], width)
    if receipt.command:
        yield from labelled("to go on", [clean(receipt.command)], width, "bold")
