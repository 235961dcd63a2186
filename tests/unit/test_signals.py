"""How a run hears that it is to end, and what it answers."""

from __future__ import annotations

import os
import signal

import pytest

from evalrunner.supervisor.shell.signals import counted_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_each_signal_is_answered_once_by_whoever_looks_first(number: signal.Signals) -> None:
    said: list[str] = []
    before = signal.getsignal(number)
    with counted_signals(said.append) as stops:
        assert (stops(), said) == (0, [])
        os.kill(os.getpid(), number)
        assert (stops(), stops(), len(said)) == (1, 1, 1)
        assert "stopping" in said[0]
        assert "a second Ctrl-C kills" in said[0]
        os.kill(os.getpid(), number)
        assert (stops(), len(said)) == (2, 2)
        assert "killing" in said[1]
    assert signal.getsignal(number) == before


def test_two_that_come_together_are_both_answered() -> None:
    said: list[str] = []
    with counted_signals(said.append) as stops:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert stops() == 2
    assert len(said) == 2
