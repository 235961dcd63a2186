"""Requests that failed, as the SDK keeps them: which runs, and of which examples, are in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from evalrunner.doctor.causes import Cause
from evalrunner.doctor.inside import Inside
from evalrunner.transfer.replay.envelopes import UnreadError, read

_EXAMPLE = re.compile(rb'"reference_example_id":\s*"([0-9a-f-]{36})"')


def read_dumps(folder: Path, causes: Mapping[str, Cause], found: Inside) -> list[str]:
    """Add what the files of a folder hold to `found`; return what cannot be read, in words.

    Args:
        causes: name of a file -> why the request failed, as far as logs say so.

    Raises:
        OSError: the folder cannot be read.
    """
    unread = []
    for path in sorted(folder.glob("trace_*.json")):
        try:
            envelope = read(path)
        except (UnreadError, OSError) as error:
            unread.append(f"{path.name}: {error}")
            continue
        found.kept.append(path)
        cause = causes.get(path.name)
        for op in envelope.ops:
            if cause is not None:
                found.runs.setdefault(op.id, cause)
                for example in _examples(envelope.body[op.offset : op.offset + op.length]):
                    found.examples.setdefault(example, cause)
            found.holds.add(op.id)
    return unread


def _examples(part: bytes) -> Iterable[str]:
    # The run's own fields are its first part; what it got and gave come later, and are not looked into.
    own = part.partition(b"\r\n--")[0]
    return [one.decode() for one in _EXAMPLE.findall(own)[:1]]
