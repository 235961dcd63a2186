"""Parquet, as a bulk export has it: each row is a run, written as a line of JSON. Needs pyarrow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import orjson

from evalrunner.errors import ConfigError, DataError

_MAGIC = b"PAR1"
_ROWS = 64
#: Columns whose texts are JSON: the export has no types for what differs from run to run.
_JSON = ("inputs", "outputs", "extra", "events", "serialized", "tags", "feedback", "attachments")


def is_table(head: bytes) -> bool:
    """Tell whether a file is Parquet, by its first bytes."""
    return head.startswith(_MAGIC)


def rows_as_lines(name: str, read: Callable[[int, int], bytes], size: int) -> Iterator[bytes]:
    """Yield the rows of a table, each as a line of JSON.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: it is no table that can be read.
    """
    try:
        import pyarrow  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError:
        raise ConfigError(f"{name} is Parquet; to read it: pip install 'evalrunner[parquet]'") from None
    try:
        table = parquet.ParquetFile(pyarrow.PythonFile(_File(read, size), mode="r"))
        for batch in table.iter_batches(batch_size=_ROWS, use_threads=False):
            yield b"".join(
                map(
                    _line,
                    pyarrow.Table.from_batches([batch]).cast(_micros(pyarrow, batch), safe=False).to_pylist(),
                )
            )
    except (pyarrow.ArrowException, OSError) as error:
        words = str(error).splitlines()[0][:200]
        raise DataError(f"{name} is Parquet that cannot be read ({words}); nothing was sent") from None


def _micros(pyarrow: Any, batch: Any) -> Any:
    """Return the columns' types, with times cut to microseconds: Python has no finer ones."""
    types = pyarrow.types
    return pyarrow.schema(
        field.with_type(pyarrow.timestamp("us", field.type.tz)) if types.is_timestamp(field.type) else field
        for field in batch.schema
    )


def _line(row: dict[str, Any]) -> bytes:
    made = {key: _json(value) if key in _JSON else value for key, value in row.items() if value is not None}
    return orjson.dumps(made, default=_other, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def _json(value: Any) -> Any:
    """Return a text that is JSON as what it says, byte for byte."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    # No line may end inside of it.
    return orjson.Fragment(msgspec.json.format(value, indent=-1) if "\n" in value else value)


def _other(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


class _File:
    """An open file, as pyarrow wants one."""

    closed = False

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size = read, size
        self._at = 0

    def read(self, count: int = -1) -> bytes:
        left = self._size - self._at
        data = self._read(self._at, left if count < 0 else min(count, left))
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def close(self) -> None:
        """Leave the file open: it is its owner's."""
