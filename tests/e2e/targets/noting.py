"""Writing down what is executed, one whole line at a time, whoever else writes."""

from __future__ import annotations

import os


def note(item: object, event: str = "begin") -> None:
    """Append `pid item event` to the file that EXECUTIONS names."""
    fd = os.open(os.environ["EXECUTIONS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{os.getpid()} {item} {event}\n".encode())
    finally:
        os.close(fd)
