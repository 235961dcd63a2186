"""Parquet, as bulk exports have it: every row is a run, and its JSON is the text that stands in the table."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from evalrunner.errors import ConfigError, DataError
from evalrunner.transfer.files import Inputs, RecordedRun, read_run

START = datetime(2024, 4, 29, 0, 49, 12, 90123, tzinfo=timezone.utc)
MICROS = 1_714_351_752_090_123


def columns(count: int = 1, **more: Any) -> dict[str, Any]:
    """Return the columns of a table of runs."""
    return {
        "id": [f"run-{number}" for number in range(count)],
        "trace_id": ["run-0"] * count,
        "parent_run_id": pa.array([None] + ["run-0"] * (count - 1), pa.string()),
        "name": ["é"] * count,
        "run_type": ["llm"] * count,
        "start_time": pa.array([START] * count, pa.timestamp("us", "UTC")),
        "end_time": pa.array([START + timedelta(seconds=1)] * count, pa.timestamp("us")),
        "inputs": ['{"a": 1.0,\n "b": 1180591620717411303424, "c": "line\\nend"}'] * count,
        "outputs": pa.array([None] * count, pa.string()),
        "error": ["{not JSON"] * count,
        "tags": [["x", "y"]] * count,
        "extra": ['{"metadata": {"k": 1.50}}'] * count,
        "is_root": [True] * count,
        "total_cost": [0.25] * count,
        **more,
    }


def read(folder: Path, packed: bool = False, **columns: Any) -> list[RecordedRun]:
    """Write a table, and read its runs."""
    path = folder / "export.parquet"
    parquet.write_table(pa.table(columns), path, row_group_size=50)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    with Inputs([path], folder) as inputs:
        found = list(inputs.elements())
        assert [one.line for one in found] == list(range(1, len(found) + 1))
        assert all(inputs.read(0, one.offset, one.length) == one.data for one in found)
    return [read_run(one.data, one.fault) for one in found]


@pytest.mark.parametrize("packed", [False, True])
def test_every_row_is_a_run_and_its_json_is_as_it_stands_there(tmp_path: Path, packed: bool) -> None:
    found = read(tmp_path, packed, **columns(130))
    assert [run.id for run in found] == [f"run-{number}" for number in range(130)]
    last = found[-1]
    assert (last.parent, last.start, last.end) == ("run-0", MICROS, MICROS + 1_000_000)
    assert last.inputs == b'{"a":1.0,"b":1180591620717411303424,"c":"line\\nend"}'
    assert (last.extra, last.tags, last.outputs) == (b'{"metadata": {"k": 1.50}}', b'["x","y"]', None)
    assert (json.loads(last.error or b""), last.name) == ("{not JSON", "é")


def test_times_of_every_unit_and_as_texts(tmp_path: Path) -> None:
    for unit in ("ms", "us", "ns"):
        stamp = (
            pa.array([MICROS * 1000 + 999], pa.int64())
            if unit == "ns"
            else pa.array([MICROS // 10 ** (3 * (unit == "ms"))], pa.int64())
        )
        (run,) = read(tmp_path, **columns(start_time=stamp.cast(pa.timestamp(unit, "Europe/Berlin"))))
        assert run.start == (MICROS // 1000 * 1000 if unit == "ms" else MICROS)
    (run,) = read(tmp_path, **columns(start_time=["2024-04-29 00:49:12.090123"]))
    assert run.start == MICROS


def test_contents_that_are_structures(tmp_path: Path) -> None:
    (run,) = read(tmp_path, **columns(inputs=[{"a": 1, "b": [b"x", None]}]))
    assert json.loads(run.inputs or b"") == {"a": 1, "b": ["x", None]}


def test_tables_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "export.parquet"
    path.write_bytes(b"PAR1 and so on, PAR1")
    with pytest.raises(
        DataError, match=r"export\.parquet is Parquet that cannot be read \(.+\); nothing was sent$"
    ):
        Inputs([path], tmp_path)
    parquet.write_table(pa.table({"question": ["q"], "answer": ["a"]}), path)
    with pytest.raises(DataError, match="found questions and answers"):
        Inputs([path], tmp_path)
    parquet.write_table(pa.table(columns()).slice(0, 0), path)
    with pytest.raises(ConfigError, match="is empty"):
        Inputs([path], tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"is Parquet; to read it: pip install 'evalrunner\[parquet\]'$"):
        Inputs([path], tmp_path)
