"""Messages: what goes over the pipe comes out the same, and nothing else comes out."""

from __future__ import annotations

from dataclasses import asdict
from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.loose import About, LooseRecord, LooseState
from evalrunner.protocol.messages import Message, decode, encode
from evalrunner.protocol.orders import Begin, Drain, Lease, LeasedItem, Retire, Stop, Summarise, Trust
from evalrunner.protocol.reports import (
    Ack,
    Leaving,
    ProducedItem,
    Ready,
    Report,
    SettingUp,
    StartFailed,
    Summarised,
)

texts = st.text(st.characters(codec="utf-8"), max_size=8)
numbers = st.integers(0, 2**40)
leases = st.tuples(numbers, numbers)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(texts, plain, max_size=3)
ids = st.lists(st.uuids().map(str), max_size=3)
seconds = st.floats(0, 1e6)

leased = st.builds(LeasedItem, numbers, numbers, bodies, numbers, numbers, texts, st.booleans())
evaluated = st.builds(Evaluated, texts, st.lists(texts, max_size=3).map(tuple), st.none() | texts)
produced = st.builds(
    ProducedItem,
    numbers,
    numbers,
    ids,
    ids,
    ids,
    st.none() | texts,
    st.lists(texts, max_size=2),
    seconds,
    st.lists(evaluated, max_size=2),
)
loose = st.builds(
    LooseRecord,
    st.integers(-5, 5),
    st.sampled_from(LooseState),
    texts,
    st.lists(st.builds(About, texts, texts, texts, texts, texts, st.booleans()), max_size=2),
)
BY_KIND: dict[type[object], st.SearchStrategy[Message]] = {
    Begin: st.builds(Begin, bodies, texts, texts, numbers, bodies),
    Lease: st.builds(Lease, st.lists(leased, max_size=3)),
    Drain: st.just(Drain()),
    Stop: st.just(Stop()),
    SettingUp: st.just(SettingUp()),
    Ready: st.builds(
        Ready, numbers, numbers, st.dictionaries(texts, st.lists(texts, max_size=3), max_size=3)
    ),
    StartFailed: st.builds(StartFailed, texts, texts, st.booleans()),
    Report: st.builds(
        Report,
        st.lists(produced, max_size=3),
        st.lists(leases, max_size=3),
        st.lists(st.tuples(numbers, numbers, texts), max_size=3),
        texts,
        st.lists(loose, max_size=2),
        st.lists(st.tuples(numbers, numbers, texts), max_size=3),
    ),
    Ack: st.builds(Ack, numbers, numbers, texts, numbers, numbers, numbers, numbers),
    Leaving: st.builds(Leaving, texts),
    Retire: st.just(Retire()),
    Trust: st.builds(Trust, st.lists(texts, max_size=3)),
    Summarise: st.builds(Summarise, bodies, st.dictionaries(texts, texts, max_size=3), st.none() | texts),
    Summarised: st.builds(
        Summarised, st.dictionaries(texts, bodies, max_size=2), st.dictionaries(texts, texts, max_size=2)
    ),
}


def test_no_message_is_left_out_here() -> None:
    assert set(BY_KIND) == set(get_args(Message))


@given(st.one_of(*BY_KIND.values()))
def test_what_goes_in_comes_out(message: Message) -> None:
    out = decode(encode(message))
    assert type(out) is type(message)
    assert out == message


def test_the_wire_is_json_that_names_its_kind() -> None:
    assert orjson.loads(encode(Report(accepted=[(1, 2)], note="slow"))) == [
        "Report",
        {"produced": [], "accepted": [[1, 2]], "refused": [], "note": "slow", "loose": [], "withheld": []},
    ]


def test_tokens_come_out_as_tuples_and_items_as_items() -> None:
    made = ProducedItem(1, 2, ["r"], [], ["f"], None, [], 0.5)
    out = decode(encode(Report(produced=[made], refused=[(1, 2, "no")])))
    assert isinstance(out, Report)
    assert out.produced == [made]
    assert out.refused == [(1, 2, "no")]
    item = LeasedItem(1, 2, {"id": "e"}, 0, 1, "r")
    assert decode(encode(Lease([item]))) == Lease([item])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'["Report"]',
        b'["Report", {}, 1]',
        b'["Report", {}]',
        b'["Report", []]',
        b'["Lease", {"items": [{}]}]',
        b'["StartFailed", {"error": "no traceback"}]',
        b'["StartFailed", {"error": "", "traceback": "", "more": 1}]',
        b'["Drain", [1]]',
        b'["Ready", {"pid": "7", "concurrency": 1}]',
        b'["Ready", {"pid": 7, "concurrency": -1}]',
        b'["Ready", {"pid": 7, "concurrency": 1, "evaluators": [3]}]',
        b'["Leaving", {"why": null}]',
        b'["Report", {"produced": [], "accepted": [["1"]], "refused": [], "note": "", "loose": [], "withheld": []}]',
        b'["Report", {"produced": [], "accepted": [[1]], "refused": [], "note": "", "loose": [], "withheld": []}]',
        b'["Report", {"produced": [], "accepted": [], "refused": [], "note": "", "loose": [], "withheld": [[1, 2]]}]',
        b'["Report", {"produced": [], "accepted": [], "refused": [], "note": "", "loose": [[]], "withheld": []}]',
        b'["Report", {"produced": [], "accepted": [], "refused": [], "note": 5, "loose": [], "withheld": []}]',
        b'["Report", {"produced": [], "accepted": [], "refused": [[1, 2]], "note": "", "loose": [], "withheld": []}]',
        b'[["Drain"], {}]',
        b"5",
        b"null",
        b'["os.system", {}]',
        b'["LeasedItem", {}]',
        b'["object", {}]',
        b"\x80\x04K\x01.",
        b"\xff\xfe",
    ],
)
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        decode(data)


def test_nothing_is_executed_by_reading_it() -> None:
    """A worker runs somebody else's code: what it sends may only ever become one of our dataclasses."""
    for kind in BY_KIND:
        assert kind.__module__ in ("evalrunner.protocol.orders", "evalrunner.protocol.reports")
    hostile = orjson.dumps(["StartFailed", asdict(StartFailed("__import__('os').abort()", "{0.__class__}"))])
    assert decode(hostile) == StartFailed("__import__('os').abort()", "{0.__class__}")
