"""The entry point of `evalrunner`, and of `python -m evalrunner`, which is the same."""

from __future__ import annotations

import os

from evalrunner.exit_codes import ExitCode


def main() -> None:
    """Load the command line and begin; a Ctrl-C while it is being loaded ends it like a later one."""
    try:
        from evalrunner.cli.main import main as begin  # noqa: PLC0415 - where Ctrl-C is heard
    except KeyboardInterrupt:
        # Modules are half loaded: nothing of them is asked to print, or to be put away.
        os.write(2, b"error: interrupted\n")
        os._exit(ExitCode.INTERRUPTED)
    begin()


if __name__ == "__main__":
    main()
