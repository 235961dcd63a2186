"""One run between its post and its end."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from evalrunner.delivery.capture.failures import error_run
from evalrunner.delivery.capture.runs import RunBuffer
from evalrunner.delivery.capture.sdk import dumps_json
from evalrunner.protocol.values import MOST_BYTES, NESTING

RUN = UUID("00000000-0000-4000-8000-000000000001")
AT = datetime(2026, 11, 20, 12, 0, 0, 5, tzinfo=timezone.utc)


def buffer(**fields: Any) -> RunBuffer:
    run = RunBuffer(RUN, RUN)
    run.post({"id": RUN, "trace_id": RUN, "name": "target", "start_time": "then", **fields})
    return run


def parts(run: RunBuffer) -> dict[str, Any]:
    _, _, found = run.operation()
    assert {mime for _, mime, _ in found} == {"application/json"}
    return {name: orjson.loads(data) for name, _, data in found}


def test_a_post_and_its_patch_become_one_post() -> None:
    run = buffer(inputs={"x": 1}, extra={"metadata": {"a": 1}})
    before = run.ended
    run.patch({"id": RUN, "end_time": "now", "outputs": {"y": 2}, "extra": {"metadata": {"b": 2}}})
    assert (before, run.ended) == (False, True)
    assert run.operation()[:2] == ("post", str(RUN))
    assert parts(run) == {
        f"post.{RUN}": {
            "id": str(RUN), "trace_id": str(RUN), "name": "target", "start_time": "then", "end_time": "now",
        },
        f"post.{RUN}.inputs": {"x": 1},
        f"post.{RUN}.outputs": {"y": 2},
        f"post.{RUN}.extra": {"metadata": {"b": 2}},
    }  # fmt: skip


def test_a_patch_does_not_blank_what_it_does_not_know() -> None:
    run = buffer(inputs={"x": 1}, outputs={"partial": True}, events=[{"name": "start"}])
    run.patch({"id": RUN, "name": None, "inputs": None, "outputs": {}, "events": [], "end_time": "now"})
    found = parts(run)
    assert found[f"post.{RUN}"]["name"] == "target"
    assert found[f"post.{RUN}.inputs"] == {"x": 1}
    assert found[f"post.{RUN}.outputs"] == {"partial": True}
    assert found[f"post.{RUN}.events"] == [{"name": "start"}]


def test_empty_inputs_are_inputs() -> None:
    assert parts(buffer(inputs={}))[f"post.{RUN}.inputs"] == {}


def test_what_was_posted_before_becomes_a_patch() -> None:
    run = RunBuffer(RUN, None)
    run.posted = True
    run.patch({"id": RUN, "end_time": "now", "outputs": {"y": 1}})
    assert run.operation()[0] == "patch"
    assert set(parts(run)) == {f"patch.{RUN}", f"patch.{RUN}.outputs"}


def test_values_are_written_down_when_they_come() -> None:
    inputs = {"x": [1]}
    run = buffer(inputs=inputs)
    inputs["x"].append(2)
    assert parts(run)[f"post.{RUN}.inputs"] == {"x": [1]}


@pytest.mark.parametrize("field", ["inputs", "outputs", "events", "serialized"])
def test_what_cannot_be_serialised_is_an_error_of_the_run(field: str) -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    run = buffer(**{field: cycle})
    assert f"its {field} cannot be serialised" in (run.trouble or "")
    assert run.error is not None
    told = parts(run)[f"post.{RUN}.{field}"]
    assert "cannot be serialised" in (told[0] if field == "events" else told)["evalrunner_error"]


def test_the_targets_own_error_is_not_hidden_by_it() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    run = buffer(error="ValueError('boom')")
    run.patch({"id": RUN, "outputs": cycle, "end_time": "now"})
    assert orjson.loads(run.error or "") == "ValueError('boom')"


def test_metadata_that_cannot_be_serialised_costs_only_itself() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    run = buffer(outputs={"y": 1}, extra=cycle)
    found = parts(run)
    assert "extra.self cannot be serialised" in found[f"post.{RUN}.extra"]["metadata"]["evalrunner_error"]
    assert found[f"post.{RUN}.outputs"] == {"y": 1}
    assert run.error is None


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (2**64, "x.y is 18446744073709551616, and whole numbers have 64 bits"),
        (-(2**63) - 1, "whole numbers have 64 bits"),
        (10**400, r"x.y is 100000000000... (401 digits)"),
        pytest.param(10**5000, "digits", id="5001 digits"),
        (Decimal("1E+30"), "whole numbers have 64 bits"),
        (nested(NESTING), f"nested deeper than {NESTING} levels"),
        (nested(900), f"nested deeper than {NESTING} levels"),
        (Unprintable(), "no words"),
    ],
)
@pytest.mark.parametrize("field", ["inputs", "outputs", "events", "serialized"])
def test_what_no_service_takes_is_an_error_of_the_run_that_says_where(
    field: str, value: Any, said: str
) -> None:
    whole = {"x": {"y": value}, "ok": 1}
    run = buffer(**{field: [whole] if field == "events" else whole})
    assert f"its {field} cannot be serialised" in (run.trouble or "")
    assert said in (run.trouble or "")
    assert said in str(parts(run)[f"post.{RUN}.error"])


@pytest.mark.parametrize("value", [2**64, 10**400, nested(NESTING + 1), nested(900), Unprintable()])
def test_such_a_value_in_metadata_costs_that_value_only(value: Any) -> None:
    run = buffer(
        outputs={"y": 1}, extra={"metadata": {"bad": value, "evalrunner_repetition": 2}, "runtime": {"a": 1}}
    )
    found = parts(run)[f"post.{RUN}.extra"]
    assert found["runtime"] == {"a": 1}
    assert found["metadata"]["evalrunner_repetition"] == 2
    assert "its metadata.bad cannot be serialised" in found["metadata"]["evalrunner_error"]
    assert "bad" not in found["metadata"]
    assert run.error is None


@pytest.mark.parametrize(
    "value",
    [
        2**64 - 1,
        -(2**63),
        nested(NESTING - 2),
        float("nan"),
        "\ud800",
        "nul \0",
        b"\xff",
        {1: 2, (1, 2): 3},
        {1, 2},
    ],
)
def test_what_the_sdk_sends_is_sent_as_it_sends_it(value: Any) -> None:
    run = buffer(outputs={"x": {"y": value}})
    _, _, found = run.operation()
    assert {name: data for name, _, data in found}[f"post.{RUN}.outputs"] == dumps_json({"x": {"y": value}})
    assert run.trouble is None


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (2**64, str(2**64)), (Unprintable(), "Unprintable")])
def test_names_and_tags_become_texts(value: Any, text: str) -> None:
    run = buffer()
    run.patch({"id": RUN, "name": value, "tags": (value, "b"), "end_time": "now"})
    main = parts(run)[f"post.{RUN}"]
    assert [main["name"], *main["tags"]] == [text, text, "b"]


@pytest.mark.parametrize("kind", ["agent", "", 3, ["llm"]])
def test_a_kind_of_run_that_the_service_does_not_know_is_said_and_sent_as_a_chain(kind: Any) -> None:
    run = buffer(run_type=kind, outputs={"y": 1})
    found = parts(run)
    assert found[f"post.{RUN}"]["run_type"] == "chain"
    assert f"its run_type {str(kind)!r} is none of the service's" in (run.trouble or "")
    assert run.error is None
    assert parts(buffer(run_type="llm", session_name=3))[f"post.{RUN}"]["run_type"] == "llm"


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("outputs", [1], {"output": [1]}),
        ("inputs", "text", {"input": "text"}),
        ("events", {"name": "e"}, [{"name": "e"}]),
        ("extra", [1], {"extra": [1]}),
    ],
)
def test_a_field_has_the_shape_that_the_service_takes(field: str, value: Any, wanted: Any) -> None:
    assert parts(buffer(**{field: value}))[f"post.{RUN}.{field}"] == wanted


def test_a_run_is_never_larger_than_the_service_takes() -> None:
    half = "x" * (MOST_BYTES // 2)
    run = buffer(inputs={"x": half}, outputs={"y": half + "y"}, extra={"metadata": {"big": half, "a": 1}})
    found = parts(run)
    assert sum(len(data) for _, _, data in run.operation()[2]) < MOST_BYTES
    assert found[f"post.{RUN}.inputs"] == {"x": half}
    # Neither of the two is too large by itself, and the sentence says so.
    assert f" with the rest of the run, and a run may have {MOST_BYTES}" in found[f"post.{RUN}.error"]
    assert found[f"post.{RUN}.extra"]["metadata"]["a"] == 1
    loud = buffer(error="e" * (MOST_BYTES + 1))
    assert len(loud.operation()[2][1][2]) < 2000
    assert (loud.error or "").startswith('"eee')


def test_attachments_that_do_not_fit_are_left_out_and_named() -> None:
    run = buffer(
        outputs={"y": 1}, attachments={"a": ("text/plain", b"1"), "b": ("text/plain", bytes(MOST_BYTES))}
    )
    _, _, found = run.operation()
    assert [name for name, _, _ in found if name.startswith("attachment")] == [f"attachment.{RUN}.a"]
    assert "its attachment 'b' was left out" in (run.trouble or "")


def test_what_should_be_an_id_and_is_none_is_left_out_and_said() -> None:
    run = buffer(parent_run_id="nonsense", reference_example_id=str(RUN))
    main = parts(run)[f"post.{RUN}"]
    assert ("parent_run_id" in main, main["reference_example_id"]) == (False, str(RUN))
    assert "its parent_run_id 'nonsense' is no id" in (run.trouble or "")


def test_an_error_that_cannot_be_written_is_an_error_nevertheless() -> None:
    run = buffer(error={"a": 10**400})
    assert "its error cannot be serialised" in str(parts(run)[f"post.{RUN}.error"])


def test_a_run_that_nobody_ended_is_ended_with_an_error() -> None:
    run = buffer(outputs={"y": 1})
    run.fail("no end", AT)
    assert run.ended
    found = parts(run)
    assert found[f"post.{RUN}"]["end_time"] == "2026-11-20T12:00:00.000005+00:00"
    assert found[f"post.{RUN}.error"] == "no end"


def test_an_error_run_is_complete_and_linked() -> None:
    example = str(uuid4())
    run = error_run(
        RUN,
        name="evalrunner",
        inputs={"x": 1},
        error="evalrunner: 2 workers died",
        example_id=example,
        project_id=UUID(int=9),
        project="desk-1",
        at=AT,
        metadata={"evalrunner_attempt": 3},
    )
    assert run.ended
    kind, name, _ = run.operation()
    assert (kind, name) == ("post", str(RUN))
    found = parts(run)
    main = found[f"post.{RUN}"]
    assert (main["reference_example_id"], main["session_name"]) == (example, "desk-1")
    assert main["session_id"] == str(UUID(int=9))
    assert main["trace_id"] == main["id"] == str(RUN)
    assert main["dotted_order"] == f"20261120T120000000005Z{RUN}"
    assert main["start_time"] == main["end_time"] == AT.isoformat()
    assert main["run_type"] == "chain"
    assert found[f"post.{RUN}.error"] == "evalrunner: 2 workers died"
    assert found[f"post.{RUN}.inputs"] == {"x": 1}
    assert found[f"post.{RUN}.extra"] == {"metadata": {"evalrunner_attempt": 3}}
