"""The bytes of a request that create a run, poured in one piece: for runs that are nothing special.

The same bytes as `rewrite.operations` and `encode_parts` make of it, part by part
(tests/unit/test_recorded_mould.py); whatever has attachments or feedback is for them.
"""

from __future__ import annotations

import functools

from msgspec import MsgspecError, Raw

from evalrunner.delivery.spool.record import JSON, encode_parts
from evalrunner.transfer.upload.again import NULL, Plain, plain
from evalrunner.transfer.upload.rewrite import APART, Placed, events, main

#: Which of `APART` a run has, in a bit each.
_EXTRA, _INPUTS, _OUTPUTS, _EVENTS, _ERROR, _SERIALIZED = (1 << number for number in range(len(APART)))
_NULL = b"null"
_ID, _SIZE = "<id>", b"Content-Length: 0\r\n\r\n"


class Mould:
    """Writes runs for one project.

    Args:
        boundary: of the requests.
        project, name: of the project there; the name as JSON.
    """

    def __init__(self, boundary: str, project: str, name: bytes) -> None:
        self._boundary, self._project, self._name = boundary, project, name
        self._forms: dict[int, bytes] = {}

    def post(self, placed: Placed, data: bytes | memoryview) -> bytes | None:
        """Return what creates a run, or None if it is for the others.

        Args:
            data: its bytes.
        """
        try:
            run = plain(data)
        except MsgspecError:
            return None
        row = placed.row
        if run.id != row.id or not run.name or _there(run.attachments) or _there(run.feedback):
            return None
        end = None if row.finish is None else row.finish + placed.moved
        tags = run.tags if _there(run.tags) else None
        first = main(self._project, self._name, placed, run.run_type, run.name, end, tags)
        return self._poured(placed, run, placed.id.encode(), first)

    def _poured(self, placed: Placed, run: Plain, one: bytes, first: bytes) -> bytes:
        form = 0
        values: list[object] = [one, len(first), first]
        for bit, value in (
            (_EXTRA, run.extra),
            (_INPUTS, run.inputs),
            (_OUTPUTS, run.outputs),
            (_EVENTS, run.events),
            (_ERROR, run.error),
            (_SERIALIZED, run.serialized),
        ):
            if not _there(value):
                continue
            form |= bit
            if bit == _EVENTS:
                moved = events(bytes(value), placed.moved)
                values += (one, len(moved), moved)
            else:
                values += (one, memoryview(value).nbytes, value)
        return (self._forms.get(form) or self._form(form)) % tuple(values)

    def _form(self, form: int) -> bytes:
        """Return the parts of runs that have these fields, to be filled with id, size and contents of each."""
        names = [f"post.{_ID}", *(f"post.{_ID}.{name}" for bit, name in enumerate(APART) if form >> bit & 1)]
        _, body = encode_parts(self._boundary, [("post", _ID, [(name, JSON, b"") for name in names])])
        body = body.replace(b"%", b"%%").replace(_ID.encode(), b"%b")
        self._forms[form] = body.replace(_SIZE, b"Content-Length: %d\r\n\r\n%b")
        return self._forms[form]


def _there(value: Raw) -> bool:
    return value is not NULL and (memoryview(value).nbytes != len(_NULL) or bytes(value) != _NULL)


@functools.lru_cache(maxsize=4)
def mould_of(boundary: str, project: str, name: bytes) -> Mould:
    """Return the mould of these: its forms are made once for all traces."""
    return Mould(boundary, project, name)
