"""What a run shows while it works: a live view on a terminal, plain lines with UTC times elsewhere.

The live view draws when the supervisor hands over a snapshot, at most eight times a second, and has no
thread of its own. It does not keep the cursor hidden, so that no death of this process can leave it hidden.
A terminal that goes away (a lost connection, a closed pipe) takes the view with it, and not the run.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from evalrunner.clock import SYSTEM, Clock
from evalrunner.report.lines import Line, clean, seconds
from evalrunner.supervisor.shell.progress import Observer, Snapshot, WorkerView

#: Seconds between two drawings.
PAUSE = 1 / 8
#: Plain lines: at least one in so many seconds, and one at each tenth of the plan.
EVERY = 10.0
#: What fits on a screen.
MANY_WORKERS = 16
SHOW_WORKERS = ("starting", "running", "draining")
_GRAVE = re.compile(
    r"died|dead|killed|exited|restart|replac|fail|refus|error|unreachable|could not|cannot|timed out",
    re.IGNORECASE,
)


def make_observer(
    stream: TextIO, *, quiet: bool, tty: bool | None = None, clock: Clock = SYSTEM
) -> AbstractContextManager[Observer]:
    """Return the observer that suits `stream`, closed when the context ends, however it ends.

    Args:
        stream: where to write; the supervisor's own lines go there too.
        quiet: nothing but lines about something that went wrong.
        tty: whether `stream` is a terminal; None asks it.
        clock: for the pace of the live view and the times of plain lines.
    """
    on_terminal = tty if tty is not None else stream.isatty() and os.environ.get("TERM") != "dumb"
    return _live(stream, clock) if on_terminal and not quiet else _plain(stream, quiet, clock)


@contextmanager
def _plain(stream: TextIO, quiet: bool, clock: Clock) -> Iterator[Observer]:
    yield PlainObserver(stream, clock, quiet=quiet)


@contextmanager
def _live(stream: TextIO, clock: Clock) -> Iterator[Observer]:
    console = _Screen(file=stream, force_terminal=True, highlight=False)
    observer = LiveObserver(console, clock)
    with suppress(OSError):
        observer.live.start()
        console.show_cursor(True)
    try:
        yield observer
    finally:
        observer.draw()
        with suppress(OSError):
            observer.live.stop()


class _Screen(Console):
    """A console that falls silent when its terminal goes away; rich's own would end the process."""

    def on_broken_pipe(self) -> None:
        self.quiet = True


class PlainObserver:
    """Lines with a time, for logs: phases, every tenth of the plan or ten seconds, and what happens."""

    def __init__(self, stream: TextIO, clock: Clock, *, quiet: bool = False) -> None:
        self._stream, self._clock, self._quiet = stream, clock, quiet
        self._phase = ""
        self._tenth = 0
        self._told = 0.0

    def snapshot(self, view: Snapshot) -> None:
        """Write a line if the phase changed, a tenth was done, or ten seconds have gone by."""
        tenth = 10 * view.produced // view.planned if view.planned else 0
        due = word(view) != self._phase or tenth > self._tenth or view.elapsed >= self._told + EVERY
        if self._quiet or not due:
            return
        self._phase, self._tenth, self._told = word(view), tenth, view.elapsed
        self._write(counts_line(view))

    def line(self, text: str) -> None:
        """Write it; a quiet observer writes only what went wrong."""
        if not self._quiet or _GRAVE.search(text):
            self._write(clean(text))

    def _write(self, text: str) -> None:
        shown = writable(text, getattr(self._stream, "encoding", None) or "utf-8")
        with suppress(OSError):
            self._stream.write(f"{self._clock.utcnow():%Y-%m-%dT%H:%M:%SZ} {shown}\n")
            self._stream.flush()


def writable(text: str, encoding: str) -> str:
    """Return `text` with what the encoding does not have replaced: no note is worth a run."""
    return text.encode(encoding, "replace").decode(encoding)


def word(view: Snapshot) -> str:
    """Return what the run is at: its phase, or that it has been asked to end."""
    return "stopping" if view.stops and view.phase != "done" else view.phase


def _hint(view: Snapshot) -> str:
    """Say what another Ctrl-C does; without workers there is nothing that it could kill."""
    return "Ctrl-C now kills what is in flight" if view.stops == 1 and view.workers else ""


def counts_line(view: Snapshot) -> str:
    """Return a snapshot as one line."""
    parts = [f"{word(view)}: produced {view.produced} of {view.planned}"]
    parts += [f"accepted {view.accepted}", f"visible {view.visible}"]
    parts += _troubles(view)
    if word(view) == "running":
        parts += [f"{view.rate:.1f}/s"] + ([] if view.eta is None else [f"{seconds(view.eta)} left"])
    said = "; ".join(filter(None, (_hint(view), clean(view.note))))
    return ", ".join(parts) + (f" ({said})" if said else "")


def _troubles(view: Snapshot) -> list[str]:
    named = {"errors": view.errors, "failed": view.failed, "restarts": view.restarts}
    return [f"{name} {quantity}" for name, quantity in named.items() if quantity]


class LiveObserver:
    """The live view: what comes late to it is drawn with the next snapshot, or at the end."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console, self._clock = console, clock
        self._view: Snapshot | None = None
        self._drawn = float("-inf")
        at_stderr = console.file is sys.stderr
        self.live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=at_stderr,
            vertical_overflow="crop",
        )

    def snapshot(self, view: Snapshot) -> None:
        """Draw it, unless something was drawn less than an eighth of a second ago."""
        changed = self._view is None or word(view) != word(self._view) or view.phase != self._view.phase
        self._view = view
        if changed or self._clock.monotonic() >= self._drawn + PAUSE:
            self.draw()

    def line(self, text: str) -> None:
        """Print it above the view."""
        time = f"{self._clock.utcnow():%H:%M:%SZ} "
        style = "yellow" if _GRAVE.search(text) else ""
        with suppress(OSError):
            self._console.print(
                Text.assemble((time, "dim"), (writable(clean(text), self._console.encoding), style))
            )

    def draw(self) -> None:
        """Draw the last snapshot."""
        if self._view is not None:
            self._drawn = self._clock.monotonic()
            with suppress(OSError):
                self.live.update(
                    dashboard(self._view, self._console.width, self._console.encoding), refresh=True
                )


def dashboard(view: Snapshot, width: int, encoding: str = "ascii") -> Text:
    """Return the live view of one snapshot: text alone, because a table costs five times as much to draw."""
    fill = "\N{BOX DRAWINGS HEAVY HORIZONTAL}" if encoding.startswith("utf") else "#"
    rows = [_overall(view, width, fill), _counts(view)]
    if _troubles(view):
        rows.append([(f"  {'  '.join(_troubles(view))}", "bold red")])
    if view.workers and view.phase in SHOW_WORKERS:
        rows += _workers(view.workers)
    rows += [[(f"  {clean(said)}", "yellow")] for said in (_hint(view), view.note) if said]
    page = Text(no_wrap=True, overflow="ellipsis", end="")
    for place, row in enumerate(rows):
        page.append("\n" if place else "")
        for text, style in row:
            page.append(writable(text, encoding), style)
    return page


def _overall(view: Snapshot, width: int, fill: str) -> Line:
    share = min(1.0, view.produced / view.planned) if view.planned else 1.0
    room = max(10, width - 52)
    done = int(share * room)
    running = word(view) == "running"
    pace = f"{view.rate:.1f}/s" if running else seconds(view.elapsed)
    left = f"{seconds(view.eta)} left" if running and view.eta is not None else ""
    bar = [(fill * done, "green"), ("-" * (room - done), "dim")]
    return [(f"{clean(word(view)):<11}", "bold"), *bar, (f" {int(share * 100):3d} %  {pace}  {left}", "")]


def _counts(view: Snapshot) -> Line:
    line = [("  planned ", "dim"), (str(view.planned), "bold")]
    books = {"produced": view.produced, "accepted": view.accepted, "visible": view.visible}
    for name, quantity in books.items():
        line += [(f" > {name} ", "dim"), (str(quantity), "bold")]
    if view.complete_before:
        line.append((f"  ({view.complete_before} complete before)", "dim"))
    return line


def _workers(workers: tuple[WorkerView, ...]) -> list[Line]:
    rows: list[Line] = [[(f"  {'worker':>6} {'pid':>8}  {'state':<9}{'done':>7}{'RSS':>10}  item", "dim")]]
    rows += [_worker(worker) for worker in workers[:MANY_WORKERS]]
    hidden = len(workers) - MANY_WORKERS
    return rows + ([[(f"  and {hidden} more workers", "dim")]] if hidden > 0 else [])


def _worker(worker: WorkerView) -> Line:
    memory = f"{worker.rss / 2**20:.0f} MiB" if worker.rss else "-"
    style = {"lost": "red", "busy": "green"}.get(worker.state, "")
    return [
        (f"  {worker.slot:>6} {worker.pid:>8}  ", ""),
        (f"{clean(worker.state):<9}", style),
        (f"{worker.done:>7}{memory:>10}  ", ""),
        (clean(worker.item), "dim"),
    ]
