"""What becomes of an error that a command ends with."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from evalrunner.cli.errors import failure
from evalrunner.exit_codes import ExitCode


def torn(lock: Any) -> RuntimeError:
    """Return what Ctrl-C brings in the instant in which a condition's wait has let go of its lock."""
    condition = threading.Condition(lock)

    def wait() -> None:
        with condition:
            condition.release()
            raise KeyboardInterrupt

    with pytest.raises(RuntimeError) as caught:
        wait()
    return caught.value


@pytest.mark.parametrize("lock", [threading.Lock(), threading.RLock()], ids=["Event", "Condition"])
def test_an_interruption_in_the_midst_of_a_wait_is_an_interruption(
    lock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failure(torn(lock), {}) is ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "error: interrupted\n"


def test_the_same_words_without_an_interruption_are_an_error_of_ours(
    capsys: pytest.CaptureFixture[str], tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert failure(RuntimeError("release unlocked lock"), {}) is ExitCode.INTERNAL
    assert "internal error: RuntimeError: release unlocked lock" in capsys.readouterr().err
