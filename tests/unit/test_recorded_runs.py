"""One run out of its JSON: what is read, what stays the bytes that it is, and in which words it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.transfer.files import BrokenRun, RecordedRun, read_run

BASE: dict[str, Any] = {
    "id": "a", "trace_id": "t", "parent_run_id": "p", "name": "n", "run_type": "chain",
    "start_time": "2024-01-01T00:00:00", "end_time": "2024-01-01T00:00:01",
}  # fmt: skip
START = 1_704_067_200_000_000


def run(**more: Any) -> RecordedRun:
    """Read a run that has these fields too."""
    return read_run(json.dumps({**BASE, **more}).encode())


def refused(data: bytes | dict[str, Any]) -> BrokenRun:
    """Return why a run cannot be one."""
    with pytest.raises(BrokenRun) as caught:
        read_run(data if isinstance(data, bytes) else json.dumps(data).encode())
    return caught.value


def test_every_field_is_taken() -> None:
    found = run(
        reference_example_id="e", inputs={"a": 1.0}, outputs={}, error="no", tags=["x"], events=[{"name": "new"}],
        serialized={"lc": 1}, extra={"metadata": {}}, attachments={"f": {"mime_type": "a/b", "data": "eA=="}},
        feedback=[{"key": "k", "score": 1}],
    )  # fmt: skip
    assert found == RecordedRun(
        id="a", trace="t", parent="p", name="n", run_type="chain", start=START, end=START + 1_000_000, example="e",
        inputs=b'{"a": 1.0}', outputs=b"{}", error=b'"no"', extra=b'{"metadata": {}}', tags=b'["x"]',
        events=b'[{"name": "new"}]', serialized=b'{"lc": 1}', feedback=b'[{"key": "k", "score": 1}]',
        attachments=b'{"f": {"mime_type": "a/b", "data": "eA=="}}',
    )  # fmt: skip


def test_what_is_absent_or_null_is_none() -> None:
    bare = {"id": "a", "run_type": "llm", "start_time": 1704067200}
    others = "reference_example_id inputs outputs error tags events serialized extra metadata custom_metadata"
    nulls = dict.fromkeys([*BASE, *others.split(), "attachments", "feedback", "s3_urls"])
    found = read_run(json.dumps(bare).encode())
    assert found == read_run(json.dumps({**nulls, **bare}).encode())
    assert (found.trace, found.parent, found.name, found.start, found.end) == (
        None,
        None,
        "Unnamed",
        START,
        None,
    )
    assert (found.inputs, found.error, found.extra, found.attachments) == (None, None, None, None)


def test_ids_are_text_whatever_they_look_like() -> None:
    found = read_run(b'{"id": 7, "trace_id": -1e2, "parent_run_id": "", "run_type": "llm", "start_time": 1}')
    assert (found.id, found.trace, found.parent) == ("7", "-1e2", None)
    assert read_run(b'{"run_id": "r", "run_type": "llm", "start_time": 1}').id == "r"
    assert run(id="\u00e9\n").id == "é\n"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_an_id(text: str) -> None:
    if text:
        assert run(id=text).id == text


@pytest.mark.parametrize(
    "value", ["1.0", str(2**70), "-0.0", "1e2", '"\\u00e9"', '{ "a" :\t[ 1.50 ,\n null ] }']
)
def test_values_stay_the_bytes_that_they_are(value: str) -> None:
    data = (
        json.dumps(BASE)[:-1] + f', "inputs": {{"x": {value}}}, "extra": {{"metadata": {{"x": {value}}}}}}}'
    )
    found = read_run(data.encode())
    assert found.inputs == f'{{"x": {value}}}'.encode()
    assert found.extra == f'{{"metadata": {{"x": {value}}}}}'.encode()


def test_metadata_beside_extra_is_put_in_without_being_encoded_again() -> None:
    rest = json.dumps(BASE)[1:-1]
    only = read_run(f'{{{rest}, "custom_metadata": {{"a": 1.0}}}}'.encode())
    assert only.extra == b'{"metadata":{"a":1.0}}'
    extra = '"extra": {"r": 1.50, "metadata": {"a": 2.0}}, "metadata": {"a": 1, "b": 1e2}'
    both = read_run(f"{{{rest}, {extra}}}".encode())
    assert both.extra == b'{"r":1.50,"metadata":{"a":2.0,"b":1e2}}'
    assert run(extra={"metadata": {"a": 1}}, metadata={}).extra == b'{"metadata": {"a": 1}}'
    null = run(extra={"metadata": None}, metadata={"x": 1})
    assert null.extra == b'{"metadata":{"x":1}}'


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "no id"),
        ({"id": ""}, "no id"),
        ({"id": {}}, "its id is an object, not a text"),
        ({"id": True}, "its id is true, not a text"),
        ({"parent_run_id": ["x"]}, "its parent_run_id is a list, not a text"),
        ({"start_time": None}, "no start_time"),
        ({"start_time": "soon"}, "its start_time cannot be read: 'soon' is no time"),
        ({"start_time": {}}, "its start_time is an object, not a time"),
        ({"end_time": "2024-04-31"},
         "its end_time cannot be read: '2024-04-31' is no time: day is out of range for month"),
        ({"end_time": "2023-12-31T23:59:59.999999"}, "its end_time is before its start_time"),
        ({"run_type": None}, "no run_type"),
        ({"run_type": "agent"}, "its run_type 'agent' is none of the service's "
         "(chain, embedding, llm, parser, prompt, retriever, tool)"),
        ({"inputs": []}, "its inputs is a list, not an object"),
        ({"inputs": "hello"}, "its inputs is a text, not an object"),
        ({"outputs": 7}, "its outputs is a number, not an object"),
        ({"outputs": ["x"]}, "its outputs is a list, not an object"),
        ({"extra": "x"}, "its extra is a text, not an object"),
        ({"extra": {"metadata": []}, "metadata": {"a": 1}}, "the metadata of its extra is a list, not an object"),
        ({"custom_metadata": "x"}, "its metadata is a text, not an object"),
        ({"serialized": []}, "its serialized is a list, not an object"),
        ({"error": {"code": 1}}, "its error is an object, not a text"),
        ({"tags": "x"}, "its tags is a text, not a list"),
        ({"tags": [1]}, "its tags are not texts, all of them"),
        ({"events": {"name": "new"}}, "its events is an object, not a list"),
        ({"events": [{}, "token"]}, "number 2 of its events is a text, not an object"),
        ({"feedback": {"k": 1}}, "its feedback is an object, not a list"),
        ({"feedback": [{"score": 1}]}, "its feedback is not a list of objects with a key, all of them"),
        ({"child_runs": [{"id": "c"}]},
         "it has other runs inside of it (child_runs): each must stand in the file by itself"),
        ({"attachments": {"f": {"presigned_url": "http://x"}}},
         'its attachments are not {NAME: {"mime_type": TYPE, "data": BASE64}}; where they are addresses, '
         "read the project with `evalrunner download`, which fetches them"),
        ({"s3_urls": {"attachment.f": {"presigned_url": "http://x"}}},
         "its attachment 'f' is not in the file, but at an address: "
         "read the project with `evalrunner download`, which fetches them"),
        ({"inputs": {}, "inputs_s3_urls": {"ROOT": {"presigned_url": "http://x"}}},
         "its inputs are not in the file, but at an address that has run out or will: "
         "read the project with `evalrunner download`, which fetches them"),
        ({"outputs_s3_urls": {"ROOT": {"presigned_url": "http://x"}}},
         "its outputs are not in the file, but at an address that has run out or will: "
         "read the project with `evalrunner download`, which fetches them"),
    ],
)  # fmt: skip
def test_what_is_broken_is_named(change: dict[str, Any], reason: str) -> None:
    given_id = change.get("id", "a")
    broken = refused({**BASE, **change})
    assert broken.reason == str(broken) == reason
    assert (broken.id, broken.trace) == (given_id if isinstance(given_id, str) and given_id else None, "t")


def test_addresses_beside_contents_are_left_alone() -> None:
    urls = {"ROOT": {"presigned_url": "http://x"}}
    found = run(inputs={"a": 1}, outputs={"b": 1}, inputs_s3_urls=urls, outputs_s3_urls=urls)
    assert (found.inputs, found.outputs) == (b'{"a": 1}', b'{"b": 1}')
    assert run(inputs={}, inputs_s3_urls={"ROOT": None}, s3_urls=None).inputs == b"{}"


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"[]", "a list"), (b'"x"', "a text"), (b"7", "a number"), (b"null", "null"), (b"true", "true")],
)
def test_what_is_no_object_is_named(data: bytes, what: str) -> None:
    assert refused(data).reason == f"not a run but {what}"


@pytest.mark.parametrize(
    ("data", "known"),
    [
        (b'{"id": "a", "trace_id": "t", "parent_run_id": "p", "inputs": {"x": NaN}}', ("a", "t", "p")),
        (b'{"id": "a", "trace_id": "t", "inputs": {"x": "\\ud800"}}', ("a", "t", None)),
        (b'{"id": "a", "trace_id": "t", "inputs": {"x": "\xff"}}', ("a", "t", None)),
        (b'{"id": 7, "trace_id": "t", "inputs": {"x": 1e400}}', ("7", "t", None)),
        (b'{"id": "a", "trace_id": "t", "inputs": {"x": "cut o', ("a", "t", None)),
        (b'{"run_id": "a", "trace_id": 5, "inputs": {"x" 1}}', ("a", "5", None)),
        (b"not JSON at all", (None, None, None)),
        (b"", (None, None, None)),
    ],
)
def test_what_is_known_of_a_run_that_is_no_json(data: bytes, known: tuple[str | None, ...]) -> None:
    with pytest.raises(BrokenRun) as caught:
        read_run(data, "torn")
    assert (caught.value.id, caught.value.trace, caught.value.parent) == known
    assert caught.value.reason == "torn"


TEXT = st.text(max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    *BASE, "inputs", "outputs", "extra", "tags", "events", "error", "feedback", "attachments", "s3_urls", "metadata",
    "inputs_s3_urls",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_whatever_stands_in_a_field_it_is_a_run_or_is_named(fields: dict[str, Any]) -> None:
    data = json.dumps({**BASE, **fields}).encode()
    try:
        found: RecordedRun | BrokenRun = read_run(data)
    except BrokenRun as broken:
        found = broken
    if isinstance(found, BrokenRun):
        assert found.reason
    else:
        assert json.loads(found.inputs or b"{}") == (fields.get("inputs") or {})
