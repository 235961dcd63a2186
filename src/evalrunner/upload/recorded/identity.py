"""Ids of what is uploaded: a function of the project there and of what the file says, ordered by time."""

from __future__ import annotations

import hashlib
from uuid import UUID

from evalrunner.protocol.ids import uuid7

#: Of the time in an id: 48 bits of milliseconds (RFC 9562 §5.7).
_MOST = (1 << 48) - 1


def run_id(project: UUID, trace: str, source: str, start: int) -> UUID:
    """Name an uploaded run.

    Args:
        trace, source: what the file calls its trace and itself; a file may number the runs of each trace anew.
        start: when it begins, moved; microseconds. The ids of a project sort as its runs began.
    """
    digest = hashlib.sha256(
        f"{project}|{len(trace)}|{trace}|{source}".encode(errors="surrogatepass")
    ).digest()
    return uuid7(min(max(start // 1000, 0), _MOST), int.from_bytes(digest[:10], "big"))


def score_id(run: UUID, source: str | None, key: str, place: int) -> UUID:
    """Name an uploaded feedback: by what the file calls it, or by its key and place at its run."""
    told = f"id:{source}" if source else f"key:{key}:{place}"
    digest = hashlib.sha256(f"{run}|feedback|{told}".encode(errors="surrogatepass")).digest()
    return uuid7(run.int >> 80, int.from_bytes(digest[:10], "big"))
