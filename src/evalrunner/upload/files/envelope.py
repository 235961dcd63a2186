"""Objects that are no runs but have a list of them: what queries answer, and our own failed traces."""

from __future__ import annotations

import re

from evalrunner.upload.files.sound import end_of

_KEY = re.compile(rb'[ \t\r\n]*"((?:[^"\\]|\\.)*)"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_NEXT = re.compile(rb"[ \t\r\n]*,")
#: What a run has and a list of runs has not.
RUN = frozenset({b"run_type", b"start_time", b"inputs", b"outputs", b"child_runs"})


def list_of_runs(head: memoryview) -> int | None:
    """Return where the items of an object's "runs" begin, or None if it has none or is a run itself.

    Args:
        head: the object, or its beginning; it is looked at key by key, nothing is searched in its values.
    """
    at = 1
    while key := _KEY.match(head, at):
        name, at = key[1], key.end()
        if name == b"runs" and head[at : at + 1].tobytes() == b"[":
            return at + 1
        length = 0 if name in RUN else end_of(head[at:], last=False)
        comma = _NEXT.match(head, at + length) if length > 0 else None
        if comma is None:
            return None
        at = comma.end()
    return None
