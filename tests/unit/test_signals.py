"""How a run hears that it is to end, and what it answers."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

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
        assert "a second Ctrl-C kills" in said[0]
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


def test_one_that_comes_later_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("evalrunner.supervisor.shell.signals.time.monotonic", lambda: now[0])
    with counted_signals(lambda _: None, 20.0) as stops:
        assert stops.left(20.0) == float("inf")
        os.kill(os.getpid(), signal.SIGUSR1)
        now[0] += 5.0
        assert (stops(), stops.left(20.0)) == (1, 15.0)
        now[0] += ECHO
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stops(), stops.left(20.0)) == (2, 0.0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_of_a_job_asks_once_and_its_signals_say_nothing_new(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    now, said = [100.0], list[str]()
    monkeypatch.setattr("evalrunner.supervisor.shell.signals.time.monotonic", lambda: now[0])
    with counted_signals(said.append, 20.0, 130.0, "the job ends at 10:00:00") as stops:
        assert (stops(), stops.left(20.0)) == (0, float("inf"))
        now[0] = 131.0
        assert stops.left(20.0) == 20.0
        assert stops() == 1
        assert "stopping (the job ends at 10:00:00): nothing new is begun" in said[0]
        now[0] = 140.0
        assert stops.left(20.0) == 11.0
        os.kill(os.getpid(), number)
        # A human who presses Ctrl-C has read that it kills.
        assert stops() == (2 if number == signal.SIGINT else 1)
        assert stops.left(20.0) == (0.0 if number == signal.SIGINT else 11.0)
        assert len(said) == stops()


def test_a_signal_before_the_end_of_the_job_is_the_reason() -> None:
    said: list[str] = []
    with counted_signals(said.append, 20.0, 0.0, "the job ends") as stops:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert (stops(), stops()) == (1, 1)
        assert "stopping (SIGUSR1)" in said[0]


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
