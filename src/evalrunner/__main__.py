"""The entry point of `evalrunner`, and of `python -m evalrunner`, which is the same."""

from __future__ import annotations

import os
import signal

from evalrunner.exit_codes import ExitCode

#: What batch systems and terminals say instead of Ctrl-C. A run has an answer of its own (shell/signals.py).
_LIKE_CTRL_C = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)


def main() -> None:
    """Load the command line and begin; a Ctrl-C while it is being loaded ends it like a later one."""
    for number in _LIKE_CTRL_C:
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` ignores SIGHUP
            signal.signal(number, signal.default_int_handler)
    try:
        from evalrunner.cli.main import main as begin  # noqa: PLC0415 - where Ctrl-C is heard
    except KeyboardInterrupt:
        # Modules are half loaded: nothing of them is asked to print, or to be put away.
        os.write(2, b"error: interrupted\n")
        os._exit(ExitCode.INTERRUPTED)
    begin()


if __name__ == "__main__":
    main()
