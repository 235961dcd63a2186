"""What a run shows while it works: enough, not too often, and never in the way of the run."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from rich.console import Console

from evalrunner.cli.progress import MANY_WORKERS, LiveObserver, PlainObserver, dashboard, make_observer
from evalrunner.supervisor.shell.progress import Snapshot, WorkerView

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


class HandClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def utcnow(self) -> datetime:
        return START + timedelta(seconds=self.now)


class Gone(io.StringIO):
    """A terminal that went away."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


class Ascii(io.TextIOWrapper):
    """A stream that knows only ASCII, as in a batch job without a locale."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="ascii")

    def text(self) -> str:
        self.seek(0)
        return self.read()


def view(**facts: Any) -> Snapshot:
    known: dict[str, Any] = {
        "phase": "running",
        "planned": 100,
        "complete_before": 0,
        "produced": 0,
        "accepted": 0,
        "visible": 0,
        "failed": 0,
        "errors": 0,
        "restarts": 0,
        "rate": 12.5,
        "eta": 8.0,
        "elapsed": 0.0,
    }
    return Snapshot(**{**known, **facts})


def worker(slot: int, **facts: Any) -> WorkerView:
    known: dict[str, Any] = {
        "pid": 4000 + slot,
        "state": "busy",
        "item": "3f2c0000",
        "done": 7,
        "rss": 64 * 2**20,
    }
    return WorkerView(slot=slot, **{**known, **facts})


def plain_lines(*views: Snapshot, quiet: bool = False) -> list[str]:
    stream = io.StringIO()
    observer = PlainObserver(stream, HandClock(), quiet=quiet)
    for one in views:
        observer.snapshot(one)
    return stream.getvalue().splitlines()


def test_a_plain_line_has_a_utc_time_and_the_books() -> None:
    shown = view(produced=24, accepted=20, visible=3, errors=2, restarts=1, note="server answers 503")
    assert plain_lines(shown) == [
        "2026-01-02T03:04:05Z running: produced 24 of 100, accepted 20, visible 3, errors 2, restarts 1, "
        "12.5/s, 8.0 s left (server answers 503)"
    ]


def test_plain_lines_come_with_phases_and_tenths_and_not_in_between() -> None:
    views = [view(produced=done, elapsed=done / 100) for done in range(101)]
    lines = plain_lines(view(phase="starting"), *views, view(phase="done", produced=100, elapsed=1.0))
    assert len(lines) == 1 + 11 + 1
    assert [re.findall(r"produced (\d+)", line)[0] for line in lines[1:4]] == ["0", "10", "20"]


def test_plain_lines_come_every_ten_seconds_when_nothing_moves() -> None:
    lines = plain_lines(*(view(produced=5, elapsed=float(second)) for second in range(35)))
    assert len(lines) == 4


def test_a_run_without_work_is_no_division_by_zero() -> None:
    assert "produced 0 of 0" in plain_lines(view(phase="done", planned=0, eta=None))[0]
    assert "100 %" in dashboard(view(phase="done", planned=0, eta=None), 80).plain


def test_quiet_keeps_what_went_wrong() -> None:
    stream = io.StringIO()
    with make_observer(stream, quiet=True, tty=True, clock=HandClock()) as observer:
        observer.snapshot(view(produced=50))
        observer.line("experiment desk-1 was created")
        observer.line("worker 2 (pid 4002) was killed by SIGKILL; its items go back")
    assert stream.getvalue() == (
        "2026-01-02T03:04:05Z worker 2 (pid 4002) was killed by SIGKILL; its items go back\n"
    )


def test_a_pipe_gets_plain_lines() -> None:
    stream = io.StringIO()
    with make_observer(stream, quiet=False, clock=HandClock()) as observer:
        observer.snapshot(view())
    assert "\x1b" not in stream.getvalue()


def test_control_characters_are_stripped_everywhere() -> None:
    stream = io.StringIO()
    hostile = "a\x1b[2Jb\r\nc"
    with make_observer(stream, quiet=False, tty=False, clock=HandClock()) as observer:
        observer.line(hostile)
        observer.snapshot(view(note=hostile))
    assert stream.getvalue().count("\n") == 2
    assert "\x1b" not in stream.getvalue()
    page = dashboard(view(note=hostile, workers=(worker(0, item=hostile, state=hostile),)), 80).plain
    assert "\x1b" not in page
    assert "\r" not in page


@pytest.mark.parametrize("tty", [True, False])
def test_a_stream_without_utf_8_is_no_reason_to_fail(tty: bool) -> None:
    stream = Ascii()
    with make_observer(stream, quiet=False, tty=tty, clock=HandClock()) as observer:
        observer.snapshot(view(produced=50, note="\N{SNOWMAN}", workers=(worker(0, item="\N{SNOWMAN}"),)))
        observer.line("caf\N{LATIN SMALL LETTER E WITH ACUTE} \N{SNOWMAN}")
    assert "caf? ?" in stream.text()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    with make_observer(stream, quiet=False, clock=HandClock()) as observer:
        observer.snapshot(view())
    assert stream.getvalue().startswith("2026-01-02T03:04:05Z running")


@pytest.mark.parametrize("tty", [True, False])
def test_a_terminal_that_goes_away_does_not_end_the_run(tty: bool) -> None:
    with make_observer(Gone(), quiet=False, tty=tty, clock=HandClock()) as observer:
        observer.snapshot(view())
        observer.line("something")


def test_the_live_view_shows_the_books_and_every_worker() -> None:
    shown = view(
        produced=40,
        accepted=30,
        visible=20,
        errors=1,
        failed=2,
        restarts=3,
        complete_before=9,
        note="server answers 503",
        workers=(worker(0), worker(1, state="lost", item="", rss=0)),
    )
    page = dashboard(shown, 100).plain
    rows = page.splitlines()
    assert "40 %  12.5/s  8.0 s left" in rows[0]
    assert rows[1] == "  planned 100 > produced 40 > accepted 30 > visible 20  (9 complete before)"
    assert rows[2] == "  errors 1  failed 2  restarts 3"
    assert rows[4].split() == ["0", "4000", "busy", "7", "64", "MiB", "3f2c0000"]
    assert rows[5].split() == ["1", "4001", "lost", "7", "-"]
    assert rows[6] == "  server answers 503"


@pytest.mark.parametrize("phase", ["starting", "running", "draining"])
def test_after_ctrl_c_it_says_stopping_and_what_a_second_one_does(phase: str) -> None:
    asked = view(phase=phase, produced=40, stops=1, workers=(worker(0),), note="server answers 503")
    for shown in (plain_lines(asked)[0], dashboard(asked, 100).plain):
        assert "stopping" in shown
        assert "left" not in shown, "nobody waits for the rest of the plan"
        assert "Ctrl-C now kills what is in flight" in shown
        assert "server answers 503" in shown
        assert phase not in shown
    twice = view(phase=phase, stops=2, workers=(worker(0),))
    alone = view(phase="confirming", stops=1)
    for shown in (plain_lines(twice)[0], dashboard(twice, 100).plain, plain_lines(alone)[0]):
        assert "stopping" in shown
        assert "Ctrl-C" not in shown, "there is nothing (more) that it could kill"
    assert "done" in plain_lines(view(phase="done", stops=1))[0]


def test_a_stop_is_shown_at_once(drawn: tuple[LiveObserver, io.StringIO, HandClock]) -> None:
    observer, stream, _ = drawn
    observer.live.start()
    observer.snapshot(view(workers=(worker(0),)))
    observer.snapshot(view(stops=1, workers=(worker(0),)))
    assert "stopping" in stream.getvalue()
    assert len(plain_lines(view(), view(stops=1))) == 2


def test_many_workers_do_not_fill_the_screen() -> None:
    page = dashboard(view(workers=tuple(worker(slot) for slot in range(64))), 100).plain
    assert len(page.splitlines()) == 3 + MANY_WORKERS + 1
    assert page.endswith(f"and {64 - MANY_WORKERS} more workers")


def test_workers_disappear_when_they_are_done() -> None:
    assert "4000" not in dashboard(view(phase="confirming", workers=(worker(0),)), 100).plain


@pytest.fixture
def drawn() -> Iterator[tuple[LiveObserver, io.StringIO, HandClock]]:
    clock, stream = HandClock(), io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80)
    observer = LiveObserver(console, clock)
    yield observer, stream, clock
    observer.live.stop()


def test_the_live_view_draws_at_most_eight_times_a_second(
    drawn: tuple[LiveObserver, io.StringIO, HandClock],
) -> None:
    observer, stream, clock = drawn
    observer.live.start()
    for number in itertools.count():
        clock.now = number / 100
        if clock.now >= 1:
            break
        observer.snapshot(view(produced=number))
    assert 7 <= stream.getvalue().count("planned") <= 8


def test_a_new_phase_is_drawn_at_once(drawn: tuple[LiveObserver, io.StringIO, HandClock]) -> None:
    observer, stream, _ = drawn
    observer.live.start()
    observer.snapshot(view())
    observer.snapshot(view(phase="draining"))
    assert "draining" in stream.getvalue()


class Stopped(Exception):
    """Something ended the run."""


def test_an_exception_leaves_the_terminal_as_it_was() -> None:
    stream = io.StringIO()

    def fails() -> None:
        with make_observer(stream, quiet=False, tty=True, clock=HandClock()) as observer:
            observer.snapshot(view(workers=(worker(0),)))
            observer.line("worker 0 died")
            raise Stopped

    with pytest.raises(Stopped):
        fails()
    written = stream.getvalue()
    assert "worker 0 died" in written
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")


def test_the_cursor_is_there_while_the_view_is() -> None:
    stream = io.StringIO()
    with make_observer(stream, quiet=False, tty=True, clock=HandClock()):
        assert stream.getvalue().endswith("\x1b[?25h")
