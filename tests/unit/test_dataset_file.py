"""Examples out of files: what is taken, and how what cannot be taken is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalrunner.cli.files.examples import Columns, Row, read
from evalrunner.errors import DataError
from evalrunner.protocol.values import NESTING

NONE = Columns()
FLAT = Columns(inputs=("q",), outputs=("a",))


def rows(folder: Path, name: str, text: str | bytes, columns: Columns = NONE) -> list[Row]:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path, "ds", columns)


def sentence(folder: Path, name: str, text: str | bytes, columns: Columns = NONE) -> str:
    with pytest.raises(DataError) as caught:
        rows(folder, name, text, columns)
    return str(caught.value)


def test_shaped_lines(tmp_path: Path) -> None:
    text = '\ufeff{"inputs": {"q": "ü\\u2028"}, "outputs": {"a": 1}, "metadata": {"m": 1}, "split": "hard"}'
    text += "\r\n\r\n"
    (row,) = rows(tmp_path, "a.jsonl", text)
    assert (row.inputs, row.outputs, row.metadata, row.split) == (
        {"q": "ü\u2028"},
        {"a": 1},
        {"m": 1},
        ["hard"],
    )


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, "a.ndjson", '{"inputs": {"q": "a\u2028b\u0085c"}}')
    assert row.inputs == {"q": "a\u2028b\u0085c"}


def test_flat_rows_by_columns(tmp_path: Path) -> None:
    text = json.dumps([{"q": "x", "a": "y", "lang": "de", "part": "test", "unused": 1}])
    columns = Columns(("q",), ("a",), ("lang",), "part")
    (row,) = rows(tmp_path, "a.json", text, columns)
    assert (row.inputs, row.outputs, row.metadata, row.split) == (
        {"q": "x"},
        {"a": "y"},
        {"lang": "de"},
        ["test"],
    )


def test_columns_may_be_joined_by_commas(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, "a.csv", "q,c,a\n1,2,3\n", Columns(("q,c",), ("a",)))
    assert (row.inputs, row.outputs) == ({"q": "1", "c": "2"}, {"a": "3"})


def test_csv_with_quotes_newlines_and_a_mark(tmp_path: Path) -> None:
    text = '\ufeffq,a\r\n"two\r\nlines, ""quoted""",1\r\n\r\nü\u2028x,2\r\n'
    first, second = rows(tmp_path, "a.csv", text, FLAT)
    assert first.inputs == {"q": 'two\r\nlines, "quoted"'}
    assert second.inputs == {"q": "ü\u2028x"}


def test_ids_follow_from_the_content(tmp_path: Path) -> None:
    text = '{"inputs": {"b": 1, "a": 2}}\n{"inputs": {"a": 2, "b": 1}}\n{"inputs": {"a": 3}}\n'
    first = rows(tmp_path, "a.jsonl", text)
    again = rows(tmp_path, "b.jsonl", text)
    assert [row.id for row in first] == [row.id for row in again]
    assert len({row.id for row in first}) == 3, "an equal row is a further example"
    other = read(tmp_path / "a.jsonl", "other", NONE)
    assert not {row.id for row in first} & {row.id for row in other}


def test_a_row_may_name_its_id(tmp_path: Path) -> None:
    named = "0c5e2a4e-6e0b-5d6b-9b1e-6f1d3c7a9b55"
    line = json.dumps({"inputs": {}, "id": named})
    assert str(rows(tmp_path, "a.jsonl", line)[0].id) == named
    assert "line 2: the id of line 1 again" in sentence(tmp_path, "a.jsonl", f"{line}\n{line}\n")


def test_every_bad_line_is_named(tmp_path: Path) -> None:
    lines = [
        '{"inputs": {"q": 1}}',
        "{",
        "[]",
        '{"inputs": 3}',
        '{"inputs": {}, "x": 1}',
        '{"inputs": {"q": NaN}}',
    ]
    words = sentence(tmp_path, "a.jsonl", "\n".join(lines))
    assert "nothing was pushed" in words
    for part in (
        "line 2: not JSON",
        "line 3: not an object",
        "line 4: inputs is not an object",
        "line 5: unknown 'x'",
        "line 6: NaN is not JSON",
    ):
        assert part in words
    assert "line 1:" not in words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"inputs": {"q": 1e999}}', "1e999 is too large a number"),
        ('{"inputs": {"q": 123456789012345678901}}', "is too large a number"),
        ('{"inputs": {"q": "\\ud800"}}', "half of a surrogate pair"),
        ('{"inputs": {"q": 1, "q": 2}}', "'q' is given twice"),
        ('{"inputs": {}, "outputs": []}', "outputs is not an object"),
        ('{"inputs": {}, "metadata": "x"}', "metadata is not an object"),
        ('{"inputs": {}, "split": 3}', "split is neither"),
        ('{"inputs": {}, "id": "q17"}', "id 'q17' is not a UUID"),
        ('{"inputs": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper than"),
        ('{"inputs": {"q": ' + "[" * NESTING + "]" * NESTING + "}}", f"nested deeper than {NESTING} levels"),
        ('{"inputs": {}, "metadata": {"q": ' + "[" * 259 + "]" * 259 + "}}", f"deeper than {NESTING} levels"),
    ],
)
def test_bad_rows(tmp_path: Path, line: str, words: str) -> None:
    assert words in sentence(tmp_path, "a.jsonl", line)


def test_a_row_may_be_nested_as_deeply_as_all_that_comes_after_it_can_take(tmp_path: Path) -> None:
    deep = "[" * (NESTING - 1) + "]" * (NESTING - 1)
    text = f'{{"inputs": {{"q": {deep}}}, "outputs": {{"q": {deep}}}, "metadata": {{"q": {deep}}}}}'
    assert len(rows(tmp_path, "a.jsonl", text)) == 1


def test_twenty_bad_rows_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    words = sentence(tmp_path, "a.jsonl", "{\n" * 25)
    assert words.count("line ") == 20
    assert words.endswith("and 5 more")


def test_a_list_names_the_lines_of_its_items(tmp_path: Path) -> None:
    text = '[\n  {"inputs": {}},\n\n  {"inputs": {"a": Infinity}},\n  {"inputs":\n 3}]\n'
    words = sentence(tmp_path, "a.json", text)
    assert "line 4: Infinity is not JSON" in words
    assert "line 5: inputs is not an object" in words


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", "", "has no rows"),
        ("a.jsonl", "\n \n", "has no rows"),
        ("a.json", "", "has no rows"),
        ("a.json", "[]", "has no rows"),
        ("a.csv", "q,a\n", "has no rows"),
        ("a.json", '{"a": 1}', "takes a list of objects"),
        ("a.json", "[\n1,\n", "line 3: not JSON"),
        ("a.txt", "x", "the kinds of files are .jsonl"),
        ("a.jsonl", b'{"inputs": {}}\n\xff\n', "line 2: not UTF-8"),
        ("a.csv", "q,q\n1,2\n", "two columns are called 'q'"),
        ("a.csv", "q,\n1,2\n", "column 2 has no name"),
        ("a.csv", 'q,a\n1,"2\n', "line 2: not CSV"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, name: str, text: str | bytes, words: str) -> None:
    assert words in sentence(tmp_path, name, text, FLAT if name.endswith("csv") else NONE)


def test_flat_rows_need_to_be_told_apart(tmp_path: Path) -> None:
    words = sentence(tmp_path, "a.csv", "q,a\n1,2\n")
    assert "say which columns are inputs (--inputs COLUMN); there are: a, q" in words


def test_rows_without_a_column(tmp_path: Path) -> None:
    words = sentence(tmp_path, "a.csv", "q,a\n1,2\n3\n1,2,3\n", FLAT)
    assert "line 3: 1 cells under 2 columns" in words
    assert "line 4: 3 cells under 2 columns" in words
    words = sentence(tmp_path, "a.jsonl", '{"q": 1, "a": 2}\n{"q": 1}\n', FLAT)
    assert "line 2: no column 'a'" in words


@pytest.mark.parametrize(
    ("text", "sign", "column", "words"),
    [
        ("q;a\n1,5;2\n", ";", "q", "separated by semicolons, not commas: say --delimiter ';'"),
        ('"question, long";a\n1;2\n', ";", "question, long", "separated by semicolons"),
        ("\ufeffsep=;\r\nq;a\r\n1;2\r\n", ";", "q", "separated by semicolons"),
        ("q\ta\n1\t2\n", "\t", "q", "separated by tabs, not commas: say --delimiter $'\\t'"),
        ("q|a\n1|2\n", "|", "q", "separated by bars, not commas: say --delimiter '|'"),
    ],
)
def test_another_separator_is_named_with_what_to_do(
    tmp_path: Path, text: str, sign: str, column: str, words: str
) -> None:
    assert words in sentence(tmp_path, "a.csv", text, FLAT)
    (row,) = rows(tmp_path, "a.csv", text, Columns((column,), ("a",), delimiter=sign))
    assert row.outputs == {"a": "2"}, "what it says works"


def test_a_sign_inside_a_name_or_a_cell_separates_nothing(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, "a.csv", 'q;w,a\n"1;2",3;4\n', Columns(("q;w",), ("a",)))
    assert (row.inputs, row.outputs) == ({"q;w": "1;2"}, {"a": "3;4"})
    (row,) = rows(tmp_path, "a.csv", "q;w\n1;2\n", Columns(("q;w",), delimiter=","))
    assert row.inputs == {"q;w": "1;2"}
    assert "--delimiter takes one character" in sentence(
        tmp_path, "a.csv", "q\n1\n", Columns(("q",), delimiter="ab")
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("q,a,,\n1,2,,\n3,4,,\n", 0),
        ("q,a\n1,2,,\n3,4\n", 0),
        ("q,a, , \r\n1,2, ,\r\n3,4,,\r\n,,,\r\n,,,\r\n", 2),
    ],
)
def test_trailing_commas_and_empty_lines_are_left_out_and_said(tmp_path: Path, text: str, lines: int) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    notes: list[str] = []
    found = read(tmp_path / "a.csv", "ds", FLAT, notes)
    assert [(row.inputs, row.outputs) for row in found] == [
        ({"q": "1"}, {"a": "2"}),
        ({"q": "3"}, {"a": "4"}),
    ]
    assert "2 columns without a name or a value (trailing commas, as Excel writes them) left out" in notes[0]
    assert len(notes) == 1 + bool(lines)
    if lines:
        assert "lines with nothing in any cell left out (2): 4, 5" in notes[1]


def test_what_stands_under_no_name_is_not_left_out(tmp_path: Path) -> None:
    words = sentence(tmp_path, "a.csv", "q,a,,\n1,2,,x\n3,4,,\n", FLAT)
    assert "line 2: column 4 has no name in the first line, and 'x' stands in it" in words


def test_nothing_is_said_of_a_file_without_peculiarities(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("q,a\n1,\n,2\n\n")
    notes: list[str] = []
    assert len(read(tmp_path / "a.csv", "ds", FLAT, notes)) == 2
    assert notes == []


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-be", "utf-16-le", "utf-8-sig"])
@pytest.mark.parametrize(("name", "text"), [("a.csv", "q,a\nü,2\n"), ("a.jsonl", '{"q": "ü", "a": "2"}\n')])
def test_files_with_a_mark_are_read(tmp_path: Path, name: str, text: str, coding: str) -> None:
    mark = "\ufeff" if coding.endswith("e") else ""
    (row,) = rows(tmp_path, name, (mark + text).encode(coding), FLAT)
    assert (row.inputs, row.outputs) == ({"q": "ü"}, {"a": "2"})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "q,a\n1,2\n".encode("utf-16-le"), "looks like UTF-16 without a mark: save it as UTF-8"),
        (
            "a b.csv",
            b"q,a\ncaf\xe9,2\n",
            "line 2: not UTF-8: save it as 'CSV UTF-8', or say iconv -f WINDOWS-1252",
        ),
        ("a.jsonl", b'{"q": "caf\xe9"}\n', "line 1: not UTF-8: if it is Western text, say iconv"),
        ("a.tsv", b"q\ta\n", "call it .csv and say --delimiter $'\\t'"),
        ("a.xlsx", b"PK", "save it as 'CSV UTF-8'"),
    ],
)
def test_other_codings_are_named_with_what_to_do(tmp_path: Path, name: str, text: bytes, words: str) -> None:
    assert words in sentence(tmp_path, name, text, FLAT)


def test_whole_numbers_as_ids_are_kept_as_metadata(tmp_path: Path) -> None:
    lines = [{"inputs": {"q": "x"}, "id": 7}, {"inputs": {"q": "x"}, "id": 8, "metadata": {"m": 1}}]
    lines += [{"inputs": {"q": "y"}}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    notes: list[str] = []
    found = read(tmp_path / "a.jsonl", "ds", NONE, notes)
    assert [row.metadata for row in found] == [{"id": 7}, {"m": 1, "id": 8}, None]
    assert notes == [
        f"{tmp_path / 'a.jsonl'}: 2 row(s) have an id that is no UUID; it is kept as metadata 'id'"
    ]
    again = read(tmp_path / "a.jsonl", "ds", NONE)
    assert [row.id for row in again] == [row.id for row in found]
    clash = json.dumps({"inputs": {}, "id": 7, "metadata": {"id": 8}})
    assert "its metadata has another 'id' already" in sentence(tmp_path, "b.jsonl", clash)


def test_other_ids_are_kept_when_asked_to(tmp_path: Path) -> None:
    line = json.dumps({"inputs": {}, "id": "q-17"})
    assert "is not a UUID; --keep-ids keeps such ids as metadata" in sentence(tmp_path, "a.jsonl", line)
    (row,) = rows(tmp_path, "a.jsonl", line, Columns(keep_ids=True))
    assert row.metadata == {"id": "q-17"}
    assert "id 'True' is not" in sentence(tmp_path, "a.jsonl", json.dumps({"inputs": {}, "id": True}))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read(tmp_path / "none.jsonl", "ds", NONE)
