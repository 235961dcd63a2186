"""Split a multipart/form-data body without copying it more than once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from evalbackend.errors import HttpError

_NAME = re.compile(rb'^content-disposition:[^\r\n]*?\bname="([^"\r\n]*)"', re.IGNORECASE | re.MULTILINE)
_FILE = re.compile(rb'^content-disposition:[^\r\n]*?\bfilename="([^"\r\n]*)"', re.IGNORECASE | re.MULTILINE)
_TYPE = re.compile(rb"^content-type:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,12})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_TYPE_LENGTH = re.compile(r";\s*length=(\d{1,12})\s*$")
_BOUNDARY = re.compile(r'boundary="?([^";,]{1,200})"?', re.IGNORECASE)


@dataclass(slots=True)
class Part:
    """One part: its form name, its bytes, its mime type, and the length it declared (None: it did not)."""

    name: str
    data: bytes
    mime: str
    declared: int | None
    filename: str | None = None


def boundary_of(content_type: str) -> bytes:
    """Return the boundary named by a Content-Type header; 400 if there is none."""
    match = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/form-data") or match is None:
        raise HttpError(400, "the Content-Type must be multipart/form-data with a boundary")
    return match[1].encode("latin-1", "replace")


def parts(body: bytes, boundary: bytes) -> Iterator[Part]:
    """Yield the parts of `body` in order; 400 if it is cut short or has no boundary.

    A declared length is trusted where the boundary confirms it, so that an attachment may contain
    the boundary's text.
    """
    mark = b"--" + boundary
    end_mark = b"\r\n" + mark
    at = body.find(mark)
    if at < 0:
        raise HttpError(400, "the body has no multipart boundary")
    while True:
        at += len(mark)
        if body.startswith(b"--", at):
            return
        head_end = body.find(b"\r\n\r\n", at)
        if head_end < 0:
            raise HttpError(400, "the multipart body ends inside a part's headers")
        part = _head(body[at : head_end + 2])
        start = head_end + 4
        end = _end(body, start, part.declared, end_mark)
        part.data = body[start:end]  # empty where the end lies before the start: see _end
        yield part
        at = end + 2


def _head(head: bytes) -> Part:
    name = _NAME.search(head)
    if name is None:
        raise HttpError(400, "a multipart part has no name")
    kind = _TYPE.search(head)
    mime = kind[1].decode("latin-1").strip() if kind else ""
    file = _FILE.search(head)
    part = Part(_text(name[1]), b"", mime, None, _text(file[1]) if file else None)
    length, inline = _LENGTH.search(head), _TYPE_LENGTH.search(mime)
    if length is not None:
        part.declared = int(length[1])
    elif inline is not None:
        part.mime, part.declared = mime[: inline.start()], int(inline[1])
    return part


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")


def _end(body: bytes, start: int, declared: int | None, end_mark: bytes) -> int:
    if declared is not None and body.startswith(end_mark, start + declared):
        return start + declared
    # An empty part may be written without its own line break before the boundary.
    end = body.find(end_mark, start - 2)
    if end < 0:
        raise HttpError(400, "the multipart body ends inside a part")
    if declared is not None and declared != max(end - start, 0):
        raise HttpError(400, "a multipart part is not as long as it declares")
    return end
