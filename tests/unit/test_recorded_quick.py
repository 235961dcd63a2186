"""What is told of many runs at once is what each by itself tells, whatever is in the file: the same rows, or the same
faults, at the same places."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalrunner.transfer.files.element import Element
from evalrunner.transfer.files.plain import Told
from evalrunner.transfer.files.runs import RUN_TYPES
from evalrunner.transfer.files.values import Values
from evalrunner.transfer.files.window import Window
from evalrunner.transfer.upload.index import Row
from evalrunner.transfer.upload.scan import to_row

IDS = st.sampled_from(["a", "b", "7", "", "é", 'q"}, {"id": "x', "0194-4e123", "runs", "]", "\n"])
TIMES = st.sampled_from(
    [
        "2025-03-01T09:00:00Z",
        "2025-03-01T09:00:00.25+05:30",
        "2025-03-01 09:00:00",
        "20250301T090000Z",
        "1740819600",
    ]
)
#: What a field may be that is not as most are: other kinds, what is too much, what is broken.
STRANGE: list[Any] = (
    [None, "", [], {}, [{}], [""], [1], {"a": []}, 7, 1.5, -1e-300, True, 2**70, "1e400", " 5e123", "2025", "ROOT",
     {"ROOT": "https://there"}, [[[[]]]], {"metadata": {"x": 1.0}}, {"n": {"mime_type": "t", "data": "AA=="}},
     [{"key": "k"}], {"runs": [{}]}, "\ud800"]
)  # fmt: skip
FIELDS = (  # noqa: SIM905
    "id run_id trace_id parent_run_id name run_type start_time end_time reference_example_id inputs outputs error "
    "extra metadata custom_metadata tags events serialized attachments feedback child_runs inputs_s3_urls "
    "outputs_s3_urls s3_urls runs status dotted_order"
).split()
PLAIN: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "id": IDS,
        "run_type": st.sampled_from(sorted(RUN_TYPES)),
        "start_time": TIMES,
        "inputs": st.just({"x": "é"}),
    },
    optional={
        "trace_id": IDS,
        "parent_run_id": st.none() | IDS,
        "end_time": st.none() | TIMES,
        "name": IDS,
        "outputs": st.none() | st.just({"o": [{"id": "inside"}, {"id": 1.0}]}),
        "extra": st.just({"metadata": {}}),
        "tags": st.lists(IDS, max_size=2),
        "events": st.just([{"name": "e"}, {"id": "f"}]),
        "error": st.just("no } , { way"),
    },
)
MORE = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(STRANGE))
RUNS = st.one_of(
    PLAIN,
    PLAIN,
    st.builds(lambda run, more: {**run, **more}, PLAIN, MORE),
    st.builds(lambda run, more: {**more, **run}, PLAIN, MORE),
    st.sampled_from(STRANGE),
)
DUMPS: list[Callable[[list[Any]], str]] = [
    json.dumps,
    lambda runs: json.dumps(runs, separators=(",", ":")),
    lambda runs: json.dumps(runs, indent=2),
    lambda runs: json.dumps({"runs": runs}),
    lambda runs: json.dumps({"reason": "x", "runs": runs, "more": 1}, indent=1),
    lambda runs: "[" + ",\n".join(map(json.dumps, runs)) + "\n]",
    lambda runs: "\n".join(map(json.dumps, runs)),
    lambda runs: "".join(json.dumps(run) + "\r\n" for run in runs),
    lambda runs: "".join(json.dumps(run) + "\n\n" for run in runs),
    lambda runs: "".join(json.dumps(run, indent=n % 3 or None) + "\n" for n, run in enumerate(runs)),
    lambda runs: "".join(json.dumps({"runs": [run]}) + "\n" for run in runs),
]
#: What is put somewhere, in place of so many bytes.
HARMS = st.sampled_from(
    [b"", b"\n", b",", b"}", b"{", b"]", b"[", b'"', b"\\", b"\xff", b"\xc3", b"\xed\xa0\x80", b"NaN", b"1e400",
     b":1e+999}", b"0" * 400, b"1" * 100, b"[" * 300, b'{"a":' * 250 + b"1" + b"}" * 250, b'},\n{"id": ', b'\\ud800',
     b"\x00", b"\n{}\n", b' "runs":[', b"}\n{"]
)  # fmt: skip


def rows(data: bytes, window: int, part: int) -> tuple[list[Row], int]:
    """Return what an index would keep of a file, and how many runs were told among others."""
    reader = Window(lambda at, count: data[at : at + count], lambda piece: None, window)
    found, told = [], 0
    for n, piece in enumerate(Values(reader, part=part), start=1):
        length = piece.size or len(piece.data)
        told += piece.told is not None
        if piece.told is not None:
            json.loads(data[piece.offset : piece.offset + length])
        element = Element(0, piece.line, n, piece.offset, length, piece.data, piece.fault, piece.told)
        found.append(to_row(n, element))
    return found, told


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(RUNS, max_size=8),
    st.sampled_from(DUMPS),
    st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 3), HARMS), max_size=2),
    st.sampled_from([1, 17, 200, 1 << 20]),
    st.sampled_from([1, 60, 300, 1 << 17]),
)
def test_as_one_by_one(
    runs: list[Any],
    dump: Callable[[list[Any]], str],
    harms: list[tuple[int, int, bytes]],
    window: int,
    part: int,
) -> None:
    data = dump(runs).encode()
    for place, gone, harm in harms:
        at = place % (len(data) + 1)
        data = data[:at] + harm + data[at + gone :]
    assert rows(data, window, part)[0] == rows(data, window, 0)[0]


def a_run(**more: Any) -> dict[str, Any]:
    """Return a run as most are."""
    return {"id": "a", "run_type": "llm", "start_time": "2025-03-01T09:00:00Z", "inputs": {"x": "é"}, **more}


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_with_every_strange_value(field: str) -> None:
    for value in [*STRANGE, "2025-03-01T08:59:59Z", "2025-03-01T09:00:01Z", "llm", "LLM"]:
        for run in ({**a_run(end_time=None), field: value}, {field: value, **a_run(outputs=None)}):
            for text in (json.dumps(run), json.dumps(run, indent=1, separators=(" ,", ": "))):
                data = f"{text}\n".encode()
                assert rows(data, 1 << 20, 1 << 17)[0] == rows(data, 1 << 20, 0)[0], data


def test_runs_that_are_nothing_special_are_told() -> None:
    runs = [
        a_run(id=str(n), end_time="2025-03-01T09:00:01.5+00:00", tags=["t"], error="no") for n in range(50)
    ]
    for dump in DUMPS:
        data = dump(runs).encode()
        found, told = rows(data, 1 << 20, 1 << 17)
        assert len(found) == 50
        assert all(row.line in (None, data[: row.offset].count(b"\n") + 1) for row in found)
        # The first of an array shows what stands between two, and nothing stands behind the last.
        assert told >= 48 or dump is DUMPS[-1]


def test_a_special_run_holds_up_no_other() -> None:
    runs = [a_run(id=n, feedback=[{"key": "k"}]) if n % 5 == 0 else a_run(id=str(n)) for n in range(50)]
    found, told = rows(json.dumps(runs).encode(), 1 << 20, 1 << 17)
    assert [row.id for row in found] == [str(n) for n in range(50)]
    assert [row.scores for row in found] == [n % 5 == 0 for n in range(50)]
    assert told == 39


def test_what_looks_like_a_border_inside_of_a_run_is_none() -> None:
    inside = [{"id": n, "x": 1} for n in range(5)]
    runs = [a_run(id=str(n), outputs={"calls": inside}) for n in range(50)]
    found, told = rows(json.dumps(runs).encode(), 1 << 20, 400)
    assert len(found) == 50
    assert told > 40


def test_a_number_or_a_byte_that_nobody_reads_is_named_at_its_run() -> None:
    whole = b"\n".join(json.dumps(a_run(id=str(n))).encode() for n in range(20)) + b"\n"
    for harm, why in (
        (b"1e400", "too large a number"),
        (b'"\xff"', "not UTF-8"),
        (b"[" * 300 + b"]" * 300, "deeper"),
    ):
        data = whole.replace(b'"id": "7"', b'"id": "7", "x": ' + harm)
        found, _ = rows(data, 1 << 20, 1 << 17)
        assert [row.n for row in found if row.fault] == [8]
        assert why in str(found[7].fault)


@pytest.mark.parametrize("harm", [b"\x00", b"\x00\x00\x00", b"{\x00", b"{\x00\x00\x00}"])
def test_zeros_do_not_make_another_encoding_of_it(harm: bytes) -> None:
    whole = json.dumps([a_run(id="a"), a_run(id="b")]).encode()
    found, _ = rows(whole.replace(b", {", b", " + harm + b", {"), 1 << 20, 1 << 17)
    assert any("not JSON" in (row.fault or "") for row in found)


def test_what_is_told_holds_no_bytes() -> None:
    assert msgspec.structs.fields(Told)
    assert all("bytes" not in str(field.type) for field in msgspec.structs.fields(Told))
