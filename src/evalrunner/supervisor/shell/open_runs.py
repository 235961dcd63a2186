"""What live mode leaves behind: runs that were posted when they started, and whose process then died.

Without an end they would be pending for ever. Their posts are in the spool, so their ends can be written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from evalrunner.delivery.spool.record import Op
from evalrunner.delivery.spool.writer import Entry, read, read_body

#: The first part of an operation is the run without its big fields.
_LENGTH = re.compile(rb"Content-Length: *(\d+)", re.IGNORECASE)
#: What the service needs to file a patch.
_ADDRESS = ("id", "trace_id", "dotted_order", "parent_run_id", "session_name", "session_id")


def open_runs(segments: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the address of every run that a spool, of these segments, posts and never ends.

    Raises:
        SpoolError: the spool cannot be read.
    """
    open_: dict[str, dict[str, Any]] = {}
    for path, entry in ((file, entry) for file in segments for entry in read(file).entries):
        runs = [op for op in entry.header.ops if op.kind in ("post", "patch")]
        if entry.header.item is not None:
            for op in runs:
                open_.pop(op.id, None)  # the item has ended, and all its runs with it
            continue
        for op in runs:
            main = _main(path, entry, op)
            if main.get("end_time"):
                open_.pop(op.id, None)
            elif op.kind == "post":
                open_[op.id] = {name: main[name] for name in _ADDRESS if main.get(name)}
    return list(open_.values())


def _main(spool: Path, entry: Entry, op: Op) -> dict[str, Any]:
    part = read_body(spool, entry)[op.offset : op.offset + op.length]
    head, _, rest = part.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is None:
        return {}
    main: dict[str, Any] = orjson.loads(rest[: int(length.group(1))])
    return main
