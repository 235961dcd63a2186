"""Any JSON, however it is written, comes out of a file as the values that are in it, each with its exact bytes."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from evalrunner.transfer.files import sound
from evalrunner.transfer.files.element import Element
from evalrunner.transfer.files.envelope import RUN
from evalrunner.transfer.files.piece import Piece
from evalrunner.transfer.files.values import Values
from evalrunner.transfer.files.window import SPAN, Window

#: What has misled cutters of JSON: quotes, escapes, brackets and borders inside of texts.
ODD = [
    "},{",
    '}, {"id"',
    "]",
    "\\",
    '"',
    '\\"',
    "\u2028",
    "é",
    "𝄞",
    "\n",
    "",
    '"runs"',
    "{",
    '{"runs": [',
    ",",
]
TEXTS = st.one_of(st.text(max_size=8), st.sampled_from(ODD))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXTS.filter(lambda name: name != "runs"), JSON, max_size=5)
DUMPS: list[Callable[[Any], str]] = [
    lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False),
    json.dumps,
    lambda value: json.dumps(value, indent=2),
    lambda value: json.dumps(value, indent="\t", ensure_ascii=False).replace("\n", "\r\n"),
    lambda value: json.dumps(value, separators=(" ,\n ", "\t:  "), ensure_ascii=False),
]
WINDOWS = st.integers(1, 200)


def pieces(data: bytes, window: int) -> list[Piece]:
    """Return what is in a file."""
    seen = bytearray()
    reader = Window(lambda at, count: data[at : at + count], seen.extend, window)
    found = list(Values(reader))
    reader.drain()
    assert seen == data
    return found


def check(data: bytes, window: int, values: Sequence[Any]) -> list[Piece]:
    """See that exactly these values are found, and their bytes at their places."""
    found = pieces(data, window)
    assert [piece.fault for piece in found] == [None] * len(values)
    assert [json.loads(piece.data) for piece in found] == list(values)
    for piece in found:
        assert data[piece.offset : piece.offset + len(piece.data)] == piece.data
        assert piece.data == piece.data.strip()
    return found


@given(
    st.lists(JSON.filter(lambda one: not (isinstance(one, dict) and "runs" in one)), max_size=6),
    st.sampled_from(DUMPS),
    WINDOWS,
    st.sampled_from(["", "\ufeff", "\n \t"]),
    st.sampled_from(["", "\n", " \r\n\r\n"]),
)
def test_an_array_in_any_form(values: list[Any], dump: Any, window: int, before: str, behind: str) -> None:
    found = check(f"{before}{dump(values)}{behind}".encode(), window, values)
    assert all(piece.line is None for piece in found)


@given(st.lists(OBJECTS, max_size=6), WINDOWS, st.sampled_from(["\n", "\r\n", "\n\n", " \n"]), st.booleans(),
       st.booleans())  # fmt: skip
def test_lines(values: list[Any], window: int, end: str, last: bool, escaped: bool) -> None:
    lines = [json.dumps(value, ensure_ascii=escaped) for value in values]
    data = (end.join(lines) + (end if last else "")).encode()
    for piece in check(data, window, values):
        assert piece.line == data[: piece.offset].count(b"\n") + 1


@given(st.lists(OBJECTS, max_size=5), st.sampled_from(DUMPS), WINDOWS, st.dictionaries(TEXTS, JSON, max_size=3),
       st.booleans())  # fmt: skip
def test_a_list_of_runs_with_whatever_stands_beside_it(
    values: list[Any], dump: Any, window: int, beside: dict[str, Any], first: bool
) -> None:
    for name in RUN | {b"runs"}:  # then it is a run itself
        beside.pop(name.decode(), None)
    whole = {"runs": values, **beside} if first else {**beside, "runs": values}
    check(dump(whole).encode(), window, values)


@given(st.lists(st.lists(OBJECTS, max_size=3), max_size=3), WINDOWS)
def test_a_list_of_runs_on_each_line(groups: list[list[Any]], window: int) -> None:
    data = "\n".join(json.dumps({"reason": "x", "runs": group}) for group in groups).encode()
    found = check(data, window, [run for group in groups for run in group])
    assert [piece.line for piece in found] == [
        number for number, group in enumerate(groups, start=1) for _ in group
    ]


@settings(max_examples=50)
@given(st.lists(OBJECTS, min_size=1, max_size=4), st.sampled_from(DUMPS), WINDOWS)
def test_values_one_behind_the_other(values: list[Any], dump: Any, window: int) -> None:
    check("\n".join(map(dump, values)).encode(), window, values)


def test_a_value_over_several_lines_among_others() -> None:
    data = b'{"a": 1}\n\n{\n  "a": [\n    2\n  ]\n}\n{"a": 3}\n'
    assert [piece.line for piece in check(data, 5, [{"a": 1}, {"a": [2]}, {"a": 3}])] == [1, 3, 8]


def test_a_run_that_has_a_list_of_that_name_is_a_run() -> None:
    for name in RUN:
        one = {"id": 1, name.decode(): "x", "runs": [{"id": 2}]}
        check(json.dumps([one, one]).encode(), 200, [one, one])
        check(json.dumps(one).encode(), 5, [one])


def test_the_end_of_a_value_stands_in_the_words_of_msgspec() -> None:
    """Where it does not any more, everything is slow; see the test below."""
    assert sound.end_of(memoryview(b'{"a": [1]} ,{}'), last=False) == 11
    assert (
        sound.end_of(memoryview(b"[1"), last=False)
        == sound.end_of(memoryview(b"12"), last=False)
        == sound.MORE
    )
    assert sound.end_of(memoryview(b"[1,]"), last=False) == sound.REFUSED
    assert sound.end_of(memoryview(b"12 "), last=True) == 3


@given(
    st.lists(JSON.filter(lambda one: not (isinstance(one, dict) and "runs" in one)), max_size=6),
    st.sampled_from(DUMPS),
    WINDOWS,
)
def test_other_words_of_msgspec_make_it_slow_and_not_wrong(values: list[Any], dump: Any, window: int) -> None:
    with mock.patch.object(sound, "_TRAILING", "no such words"):
        check(dump(values).encode(), window, values)
        check(dump({"cursors": {"a": [1]}, "runs": values, "b": {}}).encode(), window, values)
        lines = [value for value in values if isinstance(value, dict)]
        check("\n".join(map(json.dumps, lines)).encode(), window, lines)


def test_memory_is_bounded_whatever_the_size_of_the_file() -> None:
    one = b'{"id": "' + b"x" * 10_000 + b'"}, '
    size = 3_000 * len(one)

    def read(at: int, count: int) -> bytes:
        start = at - 1
        whole = one * (count // len(one) + 2)
        head = b"[" if at == 0 else b""
        left = min(count, size + 2 - at)
        return (
            (head + whole[max(start, 0) % len(one) :])[:left] if at <= size else b"0]"[at - size - 1 :][:left]
        )

    tracemalloc.start()
    try:
        count = sum(1 for piece in Values(Window(read, len)) if len(piece.data) == len(one) - 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 3_000
    assert peak < 10 * SPAN


def test_an_element_has_its_place() -> None:
    element = Element(0, 1, 1, 0, 2, b"{}", None)
    assert (element.length, element.data) == (2, b"{}")
