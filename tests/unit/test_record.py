"""Records: what is encoded must be what the SDK would have sent, and must be cut apart again at its ops."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langsmith._internal._multipart import MultipartPartsAndContext
from langsmith._internal._operations import encode_multipart_parts_and_context
from python_multipart.multipart import MultipartParser, parse_options_header

from evalrunner.delivery.spool.record import Header, Op, Part, closing, encode_parts, rebound
from evalrunner.errors import SpoolError

BOUNDARY = "evalrunner-0123456789abcdef"

names = st.text(st.characters(codec="utf-8"), max_size=20)
parts = st.tuples(names, st.sampled_from(["application/json", "image/png"]), st.binary(max_size=60))
ops = st.lists(
    st.tuples(
        st.sampled_from(["post", "patch", "feedback"]), st.uuids().map(str), st.lists(parts, min_size=1)
    )
)


def parse(body: bytes) -> list[tuple[dict[str, str], bytes]]:
    """Parse a request body with a parser that is not ours: (headers, data) of each part."""
    found: list[tuple[dict[str, str], bytes]] = []
    field, value, data = bytearray(), bytearray(), bytearray()
    headers: dict[str, str] = {}

    def header_end() -> None:
        headers[field.decode().lower()] = value.decode()
        field.clear()
        value.clear()

    def part_end() -> None:
        found.append((dict(headers), bytes(data)))
        headers.clear()
        data.clear()

    callbacks: Any = {
        "on_header_field": lambda chunk, a, b: field.extend(chunk[a:b]),
        "on_header_value": lambda chunk, a, b: value.extend(chunk[a:b]),
        "on_header_end": header_end,
        "on_part_data": lambda chunk, a, b: data.extend(chunk[a:b]),
        "on_part_end": part_end,
    }
    parser = MultipartParser(BOUNDARY.encode(), callbacks)
    parser.write(body)
    parser.finalize()
    return found


def name_of(headers: dict[str, str]) -> str:
    return parse_options_header(headers["content-disposition"])[1][b"name"].decode("latin-1")


def test_is_byte_for_byte_what_the_sdk_sends() -> None:
    run = str(uuid.uuid4())
    mine: list[Part] = [
        (f"post.{run}", "application/json", b'{"id": 1}'),
        (f"post.{run}.inputs", "application/json", b"{}"),
        (f"attachment.{run}.picture", "image/png", b"\x89PNG\r\n"),
    ]
    theirs = MultipartPartsAndContext(
        [(name, (None, data, mime, {"Content-Length": str(len(data))})) for name, mime, data in mine], ""
    )

    _, body = encode_parts(BOUNDARY, [("post", run, mine)])

    sent = b"".join(
        head + bytes(data) + b"\r\n"  # type: ignore[arg-type]
        for head, data in encode_multipart_parts_and_context(theirs, BOUNDARY)
    )
    assert body == sent


@given(ops)
def test_another_parser_finds_every_part(wanted: list[tuple[str, str, list[Part]]]) -> None:
    _, body = encode_parts(BOUNDARY, wanted)
    if not body:
        return

    found = parse(body + closing(BOUNDARY))

    expected = [part for _, _, several in wanted for part in several]
    assert [data for _, data in found] == [data for _, _, data in expected]
    assert [headers["content-type"] for headers, _ in found] == [mime for _, mime, _ in expected]
    assert [int(headers["content-length"]) for headers, _ in found] == [len(data) for _, _, data in expected]


@given(ops)
def test_ops_tile_the_body_and_each_is_a_request_of_its_own(
    wanted: list[tuple[str, str, list[Part]]],
) -> None:
    found, body = encode_parts(BOUNDARY, wanted)

    assert b"".join(body[op.offset : op.offset + op.length] for op in found) == body
    assert [(op.kind, op.id) for op in found] == [(kind, op_id) for kind, op_id, _ in wanted]
    for op, (_, _, several) in zip(found, wanted, strict=True):
        alone = parse(body[op.offset : op.offset + op.length] + closing(BOUNDARY))
        assert [data for _, data in alone] == [data for _, _, data in several]


@pytest.mark.parametrize(
    "name", ['a"; filename="x', "a\r\nX-Evil: 1", "a\nb", "nul\0", "tab\t", "\ud800", "größe", "\x7f"]
)
def test_a_name_cannot_leave_its_header(name: str) -> None:
    _, body = encode_parts(BOUNDARY, [("post", "1", [(name, "text/plain", b"x")])])

    ((headers, data),) = parse(body + closing(BOUNDARY))
    assert set(headers) == {"content-disposition", "content-type", "content-length"}
    assert set(parse_options_header(headers["content-disposition"])[1]) == {b"name"}
    assert data == b"x"


def test_an_ordinary_name_is_left_alone() -> None:
    _, body = encode_parts(BOUNDARY, [("post", "1", [("attachment.1.a b%20(1)-ü", "text/plain", b"")])])

    ((headers, _),) = parse(body + closing(BOUNDARY))
    assert name_of(headers) == "attachment.1.a b%20(1)-ü"  # sent as UTF-8


def test_a_content_type_cannot_leave_its_header() -> None:
    _, body = encode_parts(BOUNDARY, [("post", "1", [("a", "text/plain\r\nX-Evil: 1", b"x")])])

    ((headers, _),) = parse(body + closing(BOUNDARY))
    assert headers["content-type"] == "application/octet-stream"
    assert "x-evil" not in headers


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.none() | st.integers(0, 2**53),
    st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=4),
    st.lists(st.builds(Op, st.just("post"), st.uuids().map(str), st.integers(0, 9), st.integers(0, 9))),
)
def test_a_header_comes_back_as_it_was(item: int | None, meta: dict[str, Any], found: list[Op]) -> None:
    header = Header(item, item, meta, tuple(found))

    assert Header.from_json(header.to_json()) == header


def test_a_header_says_what_json_cannot_hold() -> None:
    with pytest.raises(SpoolError, match="cannot be written as JSON"):
        Header(1, 1, {"x": object()}, ()).to_json()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"[1,2,3]", b"null", b"[1,2,[1],[[1]]]", b"[1,2,null,[]]"]
)
def test_what_is_no_header_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        Header.from_json(data)


def test_meta_may_be_what_a_produced_item_is() -> None:
    meta = {"runs": ["a"], "error": None, "seconds": 1.5, "warnings": []}

    assert json.loads(Header(1, 2, meta, ()).to_json())[2] == meta


@given(ops)
def test_a_body_changes_its_boundary_and_nothing_else(given_ops: list[tuple[str, str, list[Part]]]) -> None:
    other = "evalrunner-fedcba9876543210"
    # Data that holds a delimiter, as a copy of the spool in an attachment would.
    trap: tuple[str, str, list[Part]] = (
        "post", "trap", [("attachment.x", "a/b", f"\r\n--{BOUNDARY}\r\n".encode())],
    )  # fmt: skip
    found, body = encode_parts(BOUNDARY, [*given_ops, trap])
    assert encode_parts(other, [*given_ops, trap]) == (found, rebound(body, BOUNDARY, other))


@pytest.mark.parametrize("body", [b"junk", b"--evalrunner-0123456789abcdef\r\nno head", b"--x\r\n\r\n"])
def test_what_is_no_body_does_not_change_its_boundary(body: bytes) -> None:
    with pytest.raises(SpoolError):
        rebound(body, BOUNDARY, "evalrunner-fedcba9876543210")
    with pytest.raises(SpoolError):
        rebound(body, BOUNDARY, "short")
