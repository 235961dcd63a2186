"""`failed_traces.json`: the traces that are not in the project, each whole, with the reason. `upload` reads it."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import orjson

from evalrunner.errors import ConfigError
from evalrunner.transfer.files.inputs import Inputs
from evalrunner.transfer.upload.index import Index, Row, Tree

_json = msgspec.json.Decoder(msgspec.Raw)


#: How a file of ours begins: only such a one is replaced, or removed when nothing failed.
_BEGIN = b'[\n{"trace_id":'


def refuse_foreign(path: Path, inputs: Iterable[Path | None]) -> None:
    """See to it that no file is replaced or removed but one that an upload has written.

    Raises:
        ConfigError: it is an input, or something else.
    """
    if not path.exists():
        return
    if any(one is not None and one.exists() and one.samefile(path) for one in inputs):
        raise ConfigError(f"--failed {path} is one of the inputs; name another file")
    if not path.is_file() or not _is_ours(path):
        raise ConfigError(f"--failed {path} is there already, and holds no failed traces; name another file")


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_BEGIN)) == _BEGIN
    except OSError as error:
        raise ConfigError(f"--failed {path} cannot be read: {error.strerror}") from None


def write(path: Path, index: Index, inputs: Inputs, trees: Iterable[Tree]) -> int:
    """Write traces as an array, one after the other, and return how many there were; no file if there are none.

    Raises:
        OSError: the file cannot be written; an older one is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            count = _write(file, index, inputs, trees)
        if count:
            temporary.replace(path)
        else:
            path.unlink(missing_ok=True)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _write(file: BinaryIO, index: Index, inputs: Inputs, trees: Iterable[Tree]) -> int:
    count = 0
    for count, tree in enumerate(trees, start=1):
        file.write(b"[\n" if count == 1 else b",\n")
        for piece in _trace(index, inputs, tree):
            file.write(piece)
    file.write(b"\n]\n" if count else b"")
    return count


def _trace(index: Index, inputs: Inputs, tree: Tree) -> Iterator[bytes]:
    rows = sorted(index.rows(tree.n), key=lambda row: row.n)
    head = {"trace_id": tree.key, "reason": tree.fault or tree.reason, "where": where(index, inputs, tree)}
    yield orjson.dumps(head)[:-1] + b', "runs": ['
    for number, row in enumerate(rows):
        yield (b"," if number else b"") + b"\n  " + _verbatim(inputs, row)
    yield b"]}"


def where(index: Index, inputs: Inputs, tree: Tree) -> dict[str, str | int | None]:
    """Say where the run lies that is to blame, or the trace begins."""
    row = index.row(tree.culprit) if tree.culprit else index.rows(tree.n)[0]
    return {"file": inputs.names[row.file], "line": row.line, "offset": row.offset}


def _verbatim(inputs: Inputs, row: Row) -> bytes:
    """Return a run as it is in the file, or, where that is no JSON, its text in a frame."""
    data = inputs.read(row.file, row.offset, row.length)
    try:
        data.decode()
        _json.decode(data)
    except UnicodeDecodeError:
        return orjson.dumps({"unreadable": base64.b64encode(data).decode()})
    except msgspec.MsgspecError:
        return orjson.dumps({"unreadable": data.decode(errors="replace")})
    return data.strip()
