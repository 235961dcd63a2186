"""Broken files: the fault is of one element, at its exact place, in its words, and the others are whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.protocol.values import NESTING
from evalrunner.transfer.files import BrokenRun, Element, Inputs, read_run
from evalrunner.transfer.files.scanner import Scanner
from evalrunner.transfer.files.values import Values
from evalrunner.transfer.files.window import Window


def line(name: str, inputs: str = "{}") -> str:
    """Return a run as text."""
    return f'{{"id": "{name}", "trace_id": "t", "run_type": "llm", "start_time": 1, "inputs": {inputs}}}'


A, B = line("a"), line("b")
#: What is wrong inside of a run, and how that is said.
FAULTS = [
    ('{"x": NaN}', "NaN is not JSON"),
    ('{"x": -Infinity}', "-Infinity is not JSON"),
    ('{"x": Infinity}', "Infinity is not JSON"),
    ('{"x": 1e400}', "1e400 is too large a number"),
    ('{"x": -1.5E+0999}', "-1.5E+0999 is too large a number"),
    (f'{{"x": {"9" * 250}e99}}', f"{'9' * 40} is too large a number"),
    ('{"x": "\\ud800"}', "half of a surrogate pair in a text"),
    ('{"x": "\\ud83d and more of it"}', "half of a surrogate pair in a text"),
    ('{"x": "\\udc00\\ud800"}', "half of a surrogate pair in a text"),
    ('{"\\ud800": 1}', "half of a surrogate pair in a text"),
    ('{"x": 01}', "not JSON (Expecting ',' delimiter, at character {at} of it)"),
    ('{"x" 1}', "not JSON (Expecting ':' delimiter, at character {at} of it)"),
    ('{"x": "\\q"}', "not JSON (Invalid \\escape, at character {at} of it)"),
    ('{"x": "\t"}', "not JSON (Invalid control character at, at character {at} of it)"),
    ("{'x': 1}", "not JSON (Expecting property name enclosed in double quotes, at character {at} of it)"),
    (f"{'[' * (NESTING + 1)}{']' * (NESTING + 1)}", f"nested deeper than {NESTING} levels"),
    (f"{'[' * 5000}{']' * 5000}", f"nested deeper than {NESTING} levels"),
    (f'{{"x": {"[" * 300}"[[{{", "]\\"", 1{"]" * 300}}}', f"nested deeper than {NESTING} levels"),
]
SPANS = [1, 7, 64, 1 << 21]


def elements(folder: Path, data: bytes | str, span: int = 1 << 21) -> list[Element]:
    """Return what is in a file; every element has its place."""
    data = data.encode() if isinstance(data, str) else data
    path = folder / "runs.json"
    path.write_bytes(data)
    with Inputs([path], folder, span) as inputs:
        found = list(inputs.elements())
        for one in found:
            assert (
                inputs.read(0, one.offset, one.length)
                == one.data
                == data[one.offset : one.offset + one.length]
            )
    assert [one.ordinal for one in found] == list(range(1, len(found) + 1))
    return found


def window_on(data: bytes, span: int) -> Window:
    """Return a window on some bytes."""
    return Window(lambda at, count: data[at : at + count], len, span)


def ids(found: list[Element]) -> list[str | None]:
    """Return the ids of runs, also of broken ones."""
    names: list[str | None] = []
    for one in found:
        try:
            names.append(read_run(one.data, one.fault).id)
        except BrokenRun as broken:
            names.append(broken.id)
    return names


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize(("inside", "fault"), FAULTS)
@pytest.mark.parametrize("form", ["[{}, {},\n {}]", "{}\n{}\n{}\n", '{{"runs":[{},{},{}],"cursors":{{}}}}'])
def test_a_fault_is_of_one_run_alone(tmp_path: Path, form: str, inside: str, fault: str, span: int) -> None:
    broken = line("broken", inside)
    found = elements(tmp_path, form.format(A, broken, B), span)
    assert [one.data.decode() for one in found] == [A, broken, B]
    said = found[1].fault or ""
    at = said.partition("at character ")[2].partition(" ")[0]
    assert said == fault.replace("{at}", at)
    assert [one.fault for one in found] == [None, said, None]
    assert ids(found) == ["a", "broken", "b"]
    assert [one.line for one in found] == (
        [1, 2, 3] if form[:2] == "{}" else [None if form[0] == "[" else 1] * 3
    )


@pytest.mark.parametrize("form", ["[{}, {}, {}]", "{}\n{}\n{}"])
@pytest.mark.parametrize("broken", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80"])
def test_what_is_no_utf8_is_a_fault(tmp_path: Path, form: str, broken: bytes) -> None:
    text = form.format(A, line("broken", '{"x": "д@"}'), B).encode()
    found = elements(tmp_path, text.replace(b"@", broken))
    place = found[1].data.index(broken) + 1
    assert found[1].fault == f"not UTF-8 (byte {place} of it is 0x{broken[0]:02x})"
    assert [found[0].fault, found[2].fault] == [None, None]
    assert ids(found) == ["a", "broken", "b"]


@pytest.mark.parametrize(
    "inside",
    ['{"x": 1e308}', '{"x": 1e-400}', '{"x": "1e400"}', '{"x": "NaN", "y": ": 1e999,"}', f'{{"x": {2**70}}}',
     f'{{"x": {"9" * 400}}}', f'{{"x": {"[" * (NESTING - 1)}{"]" * (NESTING - 1)}}}', f'{{"x": "{"[" * 999}"}}',
     f'{{"x": [{"[]," * 999}[]]}}',
     '{"x": "6ba7b810-9e10-1e999-80b4-00c04fd430c8"}', f'{{"x": "0.{"1" * 400}"}}', f'{{"x": 0.{"1" * 400}}}',
     '{"x": "\\ud83d\\ude00 \\\\ud800"}', f'{{"x": {"9" * 200}e90}}', f'{{"x": "{"[{" * 200}\\\\"}}'],
)  # fmt: skip
def test_what_looks_broken_and_is_not(tmp_path: Path, inside: str) -> None:
    assert [one.fault for one in elements(tmp_path, f"[{A}, {line('c', inside)}]")] == [None, None]


@pytest.mark.parametrize("span", SPANS)
def test_a_file_that_is_cut_off_in_a_run(tmp_path: Path, span: int) -> None:
    for form in ("[{}, {}, {}", "{}\n{}\n{}", '{{"runs": [{}, {}, {}'):
        whole = form.format(A, B, line("cut", '{"x": [1, "2"'))
        for length in (1, 3, 9):
            found = elements(tmp_path, whole[:-length], span)
            assert [one.fault for one in found[:3]] == [None, None, "cut off: the file ends inside of it"]
            assert ids(found)[:3] == ["a", "b", "cut"]
            missing = [one.fault for one in found[3:]]
            assert missing == [] if form[0] == "{" and form[1] == "}" else len(missing) == 1


@pytest.mark.parametrize(
    "text", ["[{}, {}", "[{}, {},", '{{"runs": [{}, {}', '{{"runs": [{}, {}]', '{{"runs": [{}, {}], "c']
)
def test_a_file_that_is_cut_off_between_two_runs(tmp_path: Path, text: str) -> None:
    found = elements(tmp_path, text.format(A, B))
    assert [one.fault for one in found[:2]] == [None, None]
    assert [one.fault for one in found[2:]] == [
        "the file ends here, and a list in it is not closed: what followed is missing"
    ]
    assert (found[2].length, found[2].offset) == (0, len(text.format(A, B)))


def test_lines_that_are_torn_do_not_take_others_with_them(tmp_path: Path) -> None:
    torn = A[:40]
    found = elements(tmp_path, f"{A}\n{torn}\n{B}\n{{\n{A}{B}\n{B} rest of it\n,\n{A},\n")
    assert [(one.line, one.fault is None, one.data.decode()) for one in found] == [
        (1, True, A), (2, False, torn), (3, True, B), (4, False, "{"), (5, True, A), (5, True, B), (6, True, B),
        (6, False, "rest of it"), (8, True, A),
    ]  # fmt: skip


def test_a_run_that_is_broken_in_a_list_on_a_line(tmp_path: Path) -> None:
    first, second = line("c", '{"x": NaN}'), line("d", '{"x": "tor')
    found = elements(
        tmp_path, f'{{"reason": "x", "runs": [{A}, {first}, {B}]}}\n{{"runs": [{A}, {second}\n{B}\n'
    )
    assert ids(found)[:6] == ["a", "c", "b", "a", "d", "b"]
    assert [one.line for one in found[:6]] == [1, 1, 1, 2, 2, 3]
    assert [one.fault is None for one in found[:6]] == [True, False, True, True, False, True]


def test_words_in_a_list_on_a_line_are_faults_of_their_own(tmp_path: Path) -> None:
    found = elements(tmp_path, f'{{"runs": [NaN, {A}, what, {B}]}}\nno JSON at all, {{}}\n{A}\n')
    assert [one.data.decode() for one in found] == ["NaN", A, "what", B, "no JSON at all, {}", A]
    assert [one.fault is None for one in found] == [False, True, False, True, False, True]


def test_our_own_failed_traces_stand_for_their_runs(tmp_path: Path) -> None:
    traces = [
        {
            "trace_id": "t",
            "reason": "cyclic",
            "where": {"file": "f", "line": 1, "offset": 0},
            "runs": [json.loads(A)],
        },
        {"trace_id": None, "reason": 'no "runs": [', "where": None, "runs": [json.loads(B), json.loads(A)]},
    ]
    for indent in (None, 2):
        found = elements(tmp_path, json.dumps(traces, indent=indent))
        assert ids(found) == ["a", "b", "a"]
        assert all(one.fault is None for one in found)


def test_a_run_that_is_longer_than_what_is_held() -> None:
    long = line("long", json.dumps({"x": 'y"}],[{' * 20_000}))
    for form in ("[{}, {}, {}]", "{}\n{}\n{}\n", '{{"runs": [{}, {}, {}]}}'):
        data = form.format(A, long, B).encode()
        window = window_on(data, 100)
        found = list(Values(window, largest=5000))
        assert [piece.data for piece in found][::2] == [A.encode(), B.encode()]
        assert found[1].fault == "longer than 0 MiB; only its first bytes are read"
        assert data.startswith(found[1].data, found[1].offset)
        assert b'"long"' in found[1].data


def test_only_a_little_is_held_of_what_never_ends(tmp_path: Path) -> None:
    endless = f'{{"id": "b", "run_type": "llm", "x": "{"y" * 3_000_000}'
    found = elements(tmp_path, f"[{A}, {endless}")
    assert len(found[1].data) == 1 << 20
    assert (
        found[1].fault == f"cut off: the file ends inside of it, {len(endless) - (1 << 20)} bytes further on"
    )


@given(st.text(alphabet='\\"}],[{', min_size=1, max_size=40), st.integers(1, 40))
def test_what_is_escaped_does_not_mislead_wherever_it_is_cut(text: str, span: int) -> None:
    first = line("a", f'{{"x": {json.dumps(text)}, "y": NaN}}')
    data = f"[{first}, {B}]".encode()
    assert [piece.data.decode() for piece in Values(window_on(data, span))] == [first, B]
    scanner, end = Scanner(), None
    for length in range(1, len(first) + 1):  # as it is shown to it byte by byte
        assert end is None
        end = scanner.end(memoryview(first.encode()[:length]), last=False)
    assert end == len(first)


BAD = st.sampled_from(["NaN", '"\\ud800"', "1e999", "tru", '"\\x"', "-", "01", "{1: 2}", "[1 2]"])


@given(
    st.lists(st.one_of(st.none(), BAD), min_size=1, max_size=8),
    st.integers(1, 120),
    st.booleans(),
    st.booleans(),
)
def test_any_pattern_of_faults(bad: list[str | None], span: int, lines: bool, pretty: bool) -> None:
    runs = [line(str(number), f'{{"x": {one or number}}}') for number, one in enumerate(bad)]
    between = ",\r\n  " if pretty else ","
    data = ("\n".join(runs) if lines else f"[{between.join(runs)}]").encode()
    window = window_on(data, span)
    found = list(Values(window))
    assert [piece.data.decode() for piece in found] == runs
    assert [piece.fault is None for piece in found] == [one is None for one in bad]


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_come_to_an_end_and_every_piece_has_its_place(data: bytes, span: int) -> None:
    check_pieces(data, span)


@given(st.text(alphabet='[]{},:"\\ \n1aru', max_size=60), st.integers(1, 50))
def test_any_marks_of_json_come_to_an_end_and_every_piece_has_its_place(text: str, span: int) -> None:
    check_pieces(text.encode(), span)
    check_pieces(b'{"runs": [' + text.encode(), span)


def check_pieces(data: bytes, span: int) -> None:
    """See that pieces are in order, do not overlap, and that nothing but marks and spaces is between them."""
    window = window_on(data, span)
    end = 0
    for piece in Values(window):
        assert piece.offset >= end
        assert data[piece.offset : piece.offset + len(piece.data)] == piece.data
        if piece.fault is None:
            value: Any = json.loads(piece.data)
            del value
        end = piece.offset + len(piece.data)
