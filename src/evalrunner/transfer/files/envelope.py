"""Objects that are no runs but have a list of them: what queries answer, and our own failed traces."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evalrunner.transfer.files.scanner import Scanner
from evalrunner.transfer.files.sound import REFUSED, end_of

_KEY = re.compile(rb'[ \t\r\n]*"((?:[^"\\]|\\.)*)"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_NEXT = re.compile(rb"[ \t\r\n]*,")
#: Values that need no parser to be told from what follows.
_SIMPLE = re.compile(rb'(?:"[^"\\]*"|null|true|false|-?\d+)[ \t\r\n]*,')
#: What a run has and a list of runs has not.
RUN = frozenset(
    b"run_type start_time end_time parent_run_id dotted_order inputs outputs extra events serialized "
    b"child_runs".split()
)


def list_of_runs(head: memoryview) -> int | None:
    """Return where the items of an object's "runs" begin, or None if it has none or is a run itself.

    Args:
        head: the object, or its beginning; it is looked at key by key, nothing is searched in its values.
    """
    for name, at in keys_of(head):
        if name == b"runs" and head[at : at + 1].tobytes() == b"[":
            return at + 1
        if name in RUN:
            return None
    return None


def keys_of(head: memoryview) -> Iterator[tuple[bytes, int]]:
    """Yield the keys of an object, of which there may be the beginning alone, and where their values begin."""
    at = 1
    while key := _KEY.match(head, at):
        at = key.end()
        yield key[1], at
        if simple := _SIMPLE.match(head, at):
            at = simple.end()
            continue
        length = end_of(head[at:], last=False)
        if length == REFUSED:
            length = Scanner().end(head[at:], last=False) or 0
        comma = _NEXT.match(head, at + length) if length > 0 else None
        if comma is None:
            return
        at = comma.end()
