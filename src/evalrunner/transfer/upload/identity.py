"""Ids of what is uploaded: a function of the project there and of what the file says, ordered by time."""

from __future__ import annotations

import hashlib

#: Of the time in an id: 48 bits of milliseconds (RFC 9562 §5.7).
_MOST = (1 << 48) - 1
_VERSION, _VARIANT = 0x7 << 76, 0b10 << 62


def run_id(project: str, trace: str, source: str, start: int) -> str:
    """Name an uploaded run: a UUID of version 7.

    Args:
        project: id of the project there.
        trace, source: what the file calls its trace and itself; a file may number the runs of each trace anew.
        start: when it begins, moved; microseconds. The ids of a project sort as its runs began.
    """
    return _uuid7(min(max(start // 1000, 0), _MOST), f"{project}|{len(trace)}|{trace}|{source}")


def score_id(run: str, source: str | None, key: str, place: int) -> str:
    """Name an uploaded feedback: by what the file calls it, or by its key and place at its run."""
    told = f"id:{source}" if source else f"key:{key}:{place}"
    return _uuid7(int(run[:8] + run[9:13], 16), f"{run}|feedback|{told}")


def _uuid7(millis: int, named: str) -> str:
    """Return the UUID of these milliseconds and 74 bits of a hash; `uuid.UUID` would take twice as long."""
    digest = hashlib.blake2b(named.encode(errors="surrogatepass"), digest_size=10).digest()
    lot = int.from_bytes(digest, "big")
    value = millis << 80 | _VERSION | (lot >> 62 & 0xFFF) << 64 | _VARIANT | lot & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
