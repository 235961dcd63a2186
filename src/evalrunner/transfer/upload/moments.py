"""Times as the service takes them, and the place in a trace that is made of them. Pure."""

from __future__ import annotations

import functools
from datetime import datetime, timedelta

_EPOCH = datetime(1970, 1, 1)


def moment(micros: int) -> str:
    """Return a time as the service takes it."""
    seconds, fraction = divmod(micros, 1_000_000)
    return f"{_second(seconds)}.{fraction:06d}+00:00"


@functools.lru_cache(maxsize=4096)  # the runs of a trace share their seconds
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()


def segment(micros: int, run: str) -> str:
    """Return a run's part of its place in the trace (langsmith/run_trees.py: `_create_current_dotted_order`)."""
    text = moment(micros)
    return f"{text[:4]}{text[5:7]}{text[8:13]}{text[14:16]}{text[17:19]}{text[20:26]}Z{run}"
