"""How a run hears that it is to end, and what it answers."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from evalrunner.clock import ManualClock
from evalrunner.supervisor.setup.walltime import JobEnd, TimeLeft
from evalrunner.supervisor.shell.signals import ECHO, STOPS, counted_signals


@pytest.mark.parametrize("number", STOPS)
def test_each_signal_is_answered_once_by_whoever_looks_first(number: signal.Signals) -> None:
    said: list[str] = []
    before = signal.getsignal(number)
    with counted_signals(said.append, 20.0) as stops:
        assert (stops(), said) == (0, [])
        os.kill(os.getpid(), number)
        assert (stops(), stops(), len(said)) == (1, 1, 1)
        assert f"stopping ({number.name})" in said[0]
        assert "up to 20 s (--drain-timeout)" in said[0]
        assert said[0].endswith("Ctrl-C kills what is in flight")
        assert ("a second" in said[0]) is (number == signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert (stops(), len(said)) == (2, 2)
        assert "killing" in said[1]
    assert signal.getsignal(number) == before


def test_two_that_come_together_are_both_answered() -> None:
    said: list[str] = []
    with counted_signals(said.append, 20.0) as stops:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert stops() == 2
    assert len(said) == 2


@pytest.mark.parametrize("second", [signal.SIGHUP, signal.SIGTERM])
def test_what_a_shell_passes_on_is_no_second_request(second: signal.Signals) -> None:
    said: list[str] = []
    with counted_signals(said.append, 20.0) as stops:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), second)
        assert (stops(), len(said)) == (1, 1)


def test_one_that_comes_later_is() -> None:
    clock = ManualClock()
    with counted_signals(lambda _: None, 20.0, clock=clock) as stops:
        assert stops.left() == float("inf")
        os.kill(os.getpid(), signal.SIGUSR1)
        clock.advance(5.0)
        assert (stops(), stops.left()) == (1, 15.0)
        clock.advance(ECHO)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stops(), stops.left()) == (2, 0.0)


def job(clock: ManualClock, items_end: float, until: float) -> TimeLeft:
    now = clock.monotonic()
    return TimeLeft(JobEnd(1.8e9, "scontrol"), now + until, now + items_end, 20.0)


def test_the_end_of_a_job_asks_by_itself() -> None:
    clock, said = ManualClock(), list[str]()
    with counted_signals(said.append, 20.0, job(clock, 30.0, 35.0), clock) as stops:
        assert (stops(), stops.left()) == (0, float("inf"))
        clock.advance(31.0)
        assert (stops.left(), stops(), stops.by_clock) == (4.0, 1, True)
        assert "scontrol): nothing new is begun, and what has begun has up to 0 s; Ctrl-C kills" in said[0]
        os.kill(os.getpid(), signal.SIGINT)
        # Whoever presses Ctrl-C has read that it kills.
        assert (stops(), stops.left()) == (2, 0.0)
        assert len(said) == 2


def test_the_end_of_a_job_and_a_ctrl_c_that_come_together_are_both_answered() -> None:
    clock, said = ManualClock(), list[str]()
    with counted_signals(said.append, 20.0, job(clock, 30.0, 35.0), clock) as stops:
        stops.time_is_up()
        os.kill(os.getpid(), signal.SIGINT)
        assert stops() == len(said) == 2
        assert "stopping (the job ends at" in said[0]


def test_items_that_do_not_fit_end_it_before_and_a_signal_then_kills_nothing() -> None:
    clock, said = ManualClock(), list[str]()
    with counted_signals(said.append, 20.0, job(clock, 95.0, 100.0), clock) as stops:
        stops.time_is_up()
        assert (stops(), stops.left()) == (1, 100.0)
        assert "has up to 95 s;" in said[0]
        clock.advance(10.0)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stops(), stops.left(), stops.by_clock) == (1, 20.0, False)
        clock.advance(5.0)
        assert (stops.left(), len(said)) == (15.0, 2)
        assert "stopping (SIGTERM)" in said[1]
        assert "has up to 20 s (--drain-timeout);" in said[1]


def test_a_signal_gives_no_more_than_the_job_has() -> None:
    clock, said = ManualClock(), list[str]()
    with counted_signals(said.append, 20.0, job(clock, 10.0, 15.0), clock) as stops:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert (stops(), stops.left()) == (1, 15.0)
        clock.advance(12.0)
        assert (stops(), stops.left(), len(said)) == (1, 3.0, 1)
        assert "stopping (SIGUSR1): nothing new is begun, and what has begun has up to 15 s;" in said[0]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU])
@pytest.mark.parametrize("other", [signal.SIG_IGN, lambda *_: None])
def test_what_is_ignored_or_has_a_handler_is_left_alone(number: signal.Signals, other: Any) -> None:
    before = signal.signal(number, other)
    try:
        with counted_signals(lambda _: None, 20.0) as stops:
            os.kill(os.getpid(), number)
            assert (stops(), signal.getsignal(number)) == (0, other)
    finally:
        signal.signal(number, before)
