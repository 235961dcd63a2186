"""A run that is poured in one piece has the same bytes as one that is made part by part."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.delivery.spool.record import encode_parts
from evalrunner.transfer.upload.again import again
from evalrunner.transfer.upload.index import Row, State, Tree
from evalrunner.transfer.upload.mould import Mould, mould_of
from evalrunner.transfer.upload.rewrite import Placed, operations, place
from evalrunner.transfer.upload.shift import Shift

PROJECT = "6f1d3c7a-9b55-4d6b-9b1e-0c5e2a4e6e0b"
EPOCH = 1_700_000_000_000_000
BOUNDARY = "evalrunner-%d%b" + "0" * 28
NAME = b'"p %b"'
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
    | st.sampled_from(["<id>", "%b", "post.<id>", "Content-Length: 0\r\n\r\n"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
OBJECTS = st.none() | st.dictionaries(st.text(max_size=4), VALUES, max_size=3)
EVENTS = st.lists(
    st.dictionaries(
        st.sampled_from(["name", "time", "kwargs"]), VALUES | st.just("2024-05-01T10:00:00+05:30")
    ),
    max_size=3,
)
RUNS = st.fixed_dictionaries(
    {"id": st.just("r"), "name": st.text(min_size=1, max_size=5), "run_type": st.sampled_from(["llm", "tool"])},
    optional={
        "inputs": OBJECTS, "outputs": OBJECTS, "extra": OBJECTS, "serialized": OBJECTS,
        "tags": st.none() | st.lists(st.text(max_size=4), max_size=2), "events": st.none() | EVENTS,
        "error": st.none() | st.text(),
        "attachments": st.none(), "feedback": st.none(), "status": VALUES,
    },
)  # fmt: skip


def placed(parent: str | None = None, finish: int | None = EPOCH + 5) -> Placed:
    """Return where a run goes that the file calls r."""
    rows = [Row(1, 0, None, 0, 0, "r", "t", None, EPOCH, finish)]
    if parent is not None:
        rows = [
            Row(2, 0, None, 0, 0, parent, "t", None, EPOCH, None),
            msgspec.structs.replace(rows[0], parent=parent),
        ]
    return place(
        PROJECT,
        Shift("delta", to=86_400_000_001),
        Tree(1, "t", 1, 0, EPOCH, None, None, State.PENDING, None),
        rows,
    )[-1]


def by_parts(one: Placed, data: bytes) -> bytes:
    """Return what creates a run, part by part."""
    return encode_parts(BOUNDARY, operations(PROJECT, NAME, one, again(one.row, data)))[1]


@given(RUNS, st.sampled_from([None, "above"]), st.sampled_from([None, EPOCH, EPOCH + 10**9]), st.booleans())
def test_the_same_bytes(run: dict[str, Any], parent: str | None, finish: int | None, view: bool) -> None:
    one = placed(parent, finish)
    data = json.dumps(run, ensure_ascii=False).encode()
    made = Mould(BOUNDARY, PROJECT, NAME).post(one, memoryview(data) if view else data)
    assert made == by_parts(one, data)


@pytest.mark.parametrize("fields", [["inputs"], ["inputs", "outputs"], ["error"], ["outputs"], []])
def test_one_mould_for_runs_of_several_forms(fields: list[str]) -> None:
    mould = mould_of(BOUNDARY, PROJECT, NAME)
    for _ in range(2):
        run = {"id": "r", "name": "n", "run_type": "llm"}
        data = json.dumps(run | {name: "e" if name == "error" else {"a": 1} for name in fields}).encode()
        assert mould.post(placed(), data) == by_parts(placed(), data)


@pytest.mark.parametrize(
    "more",
    [
        {"attachments": {}}, {"feedback": []}, {"metadata": {"a": 1}}, {"custom_metadata": {"a": 1}},
        {"id": "another"}, {"id": 7}, {"name": ""}, {"name": None}, {"name": 7},
    ],
)  # fmt: skip
def test_what_is_special_is_left_to_the_others(more: dict[str, Any]) -> None:
    data = json.dumps({"id": "r", "name": "n", "run_type": "llm", **more}).encode()
    assert Mould(BOUNDARY, PROJECT, NAME).post(placed(), data) is None


def test_a_run_whose_id_is_empty_has_the_one_beside_it() -> None:
    data = b'{"id": "", "run_id": "r", "name": "n", "run_type": "llm", "start_time": 1}'
    assert Mould(BOUNDARY, PROJECT, NAME).post(placed(), data) is None
    assert again(placed().row, data).id == "r"
