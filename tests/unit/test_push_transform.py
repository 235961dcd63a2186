"""How a push rewrites times and places."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from evalrunner.errors import ServiceError
from evalrunner.transfer.files.times import read_moment
from evalrunner.transfer.push.place import shift_of
from evalrunner.transfer.push.transform import (
    FACTS,
    Rewriting,
    choose_shift,
    evaluator_run,
    same_example,
    session,
)
from evalrunner.transfer.remote.reads import Run
from evalrunner.transfer.upload.rewrite import Raws
from evalrunner.transfer.upload.shift import DAY, Extent

NOW = read_moment("2026-05-01T12:00:00Z")
HOUR = DAY // 24
SHIFT = 30 * HOUR


def rewriting(*known: str) -> Rewriting:
    return Rewriting(UUID(int=1), "copy", UUID(int=2), SHIFT, frozenset(known))


def extent(oldest: int, newest: int) -> Extent:
    """What began and ended so long before now."""
    return Extent(NOW - oldest, NOW - newest, NOW - newest, 0)


@pytest.mark.parametrize(("oldest", "newest"), [(22 * HOUR, HOUR), (HOUR, 0)])
def test_what_lies_in_the_window_stays(oldest: int, newest: int) -> None:
    assert choose_shift(extent(oldest, newest), NOW) == 0


@pytest.mark.parametrize(
    ("oldest", "newest"), [(500 * HOUR, 499 * HOUR), (30 * HOUR, HOUR), (HOUR, -5 * HOUR)]
)
def test_what_does_not_moves_so_that_its_newest_is_now(oldest: int, newest: int) -> None:
    shift = choose_shift(extent(oldest, newest), NOW)
    assert 0 < newest - shift < HOUR // 30
    fits = oldest - newest < DAY - HOUR
    assert (oldest - shift < DAY) is fits


def test_a_dotted_order_is_rewritten_segment_by_segment() -> None:
    to, root, child = rewriting(), str(uuid4()), str(uuid4())
    text = f"20260430T235959000001Z{root}.20260501T000000000002Z{child}"
    assert to.dotted_order(text) == (
        f"20260502T055959000001Z{to.id(root)}.20260502T060000000002Z{to.id(child)}"
    )


def test_an_evaluators_run_is_renamed_only_if_it_is_pushed() -> None:
    judge, trace = str(uuid4()), str(uuid4())
    source = {"type": "model", "metadata": {"__run": {"run_id": judge}}}
    row = {"id": str(uuid4()), "run_id": trace, "feedback_source": source}
    known, unknown = rewriting(judge), rewriting()

    def copied(to: Rewriting) -> Any:
        raws = msgspec.json.decode(msgspec.json.encode(row), type=Raws)
        return msgspec.json.decode(to.feedback(raws, trace)[1])

    assert evaluator_run(copied(known)) == known.id(judge)
    assert evaluator_run(copied(unknown)) == judge
    assert evaluator_run(row) == judge


def test_values_travel_as_they_are_written() -> None:
    text = '{"one":1.0,"ten":1e1,"big":1180591620717411303424,"long":0.10000000000000000555111512312578,"b":1,"a":2}'
    run = {
        "id": str(uuid4()), "trace_id": str(uuid4()), "name": "r", "run_type": "llm", "dotted_order": "",
        "start_time": "2026-05-01T12:00:00", "events": [{"name": "x", "time": "2026-05-01T12:00:00"}, {"time": 7}],
    }  # fmt: skip
    run["dotted_order"] = f"20260501T120000000000Z{run['id']}"
    data = msgspec.json.encode(run)[:-1] + f', "inputs": {text}}}'.encode()
    _, new, parts = rewriting().run(msgspec.json.decode(data, type=Run), None, {})
    told = {name: body for name, _, body in parts}
    assert told[f"post.{new}.inputs"] == text.encode()
    first, second = json.loads(told[f"post.{new}.events"])
    assert (first["time"], second["time"]) == (
        "2026-05-02T18:00:00.000000+00:00",
        7,
    )
    assert json.loads(told[f"post.{new}"])["session_name"] == "copy"


def test_the_flags_of_a_run_stay_here() -> None:
    ours = {"flags": "--target /home/me/t.py:f", "limit": 3}
    metadata = {"evalrunner": ours, "evalrunner_owner": {"host": "n1"}, "a": 1}
    there = session({"extra": {"metadata": metadata}}, rewriting(), None, {})
    assert there["extra"]["metadata"] == {"evalrunner": {"limit": 3}, "a": 1, FACTS: {}}
    odd = session({"extra": {"metadata": {"evalrunner": "mine"}}}, rewriting(), None, {})
    assert odd["extra"]["metadata"]["evalrunner"] == "mine"


@pytest.mark.parametrize(
    "facts", [{"source_id": "x"}, {"time_shift_seconds": None}, {"time_shift_seconds": "x"}]
)
def test_a_copy_that_does_not_say_how_its_times_move_is_left_alone(facts: dict[str, Any]) -> None:
    copy = {"name": "c", "extra": {"metadata": {FACTS: facts}}}
    with pytest.raises(ServiceError, match="in a form that this evalrunner does not read"):
        shift_of(copy)
    assert shift_of({"extra": {"metadata": {FACTS: {"time_shift_seconds": -7}}}}) == -7


def test_examples_differ_by_what_they_say() -> None:
    one = {"inputs": {"a": 1}, "outputs": None, "metadata": {"dataset_split": ["base"]}, "id": "1"}
    assert same_example(one, {**one, "outputs": {}, "id": "2"})
    assert not same_example(one, {**one, "attachment_urls": {"attachment.x": {}}})
    assert not same_example(one, {**one, "inputs": {"a": 2}})
