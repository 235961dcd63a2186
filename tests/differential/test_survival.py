"""What plain `evaluate` does not survive, or leaves without an end, costs its item or its score only."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from cases import Case  # type: ignore[import-not-found]
from stage import Stage  # type: ignore[import-not-found]

GROUP = "BaseExceptionGroup('several'" if sys.version_info >= (3, 11) else "Panic('several')"
UNPRINTABLE = {
    "NoRepr": "NoRepr (its text cannot be had: RuntimeError)",
    "NoneRepr": "NoneRepr (its text cannot be had: TypeError)",
}
SYNC = {
    "panics": "Panic('called `Option::unwrap()` on a `None` value')",
    "exits": "SystemExit(3)",
    "interrupts": "KeyboardInterrupt()",
    "generator_exit": "GeneratorExit()",
    "grouped_panic": GROUP,
    "lambda_of_panic": "Panic('in a coroutine')",
    "lambda_of_exit": "SystemExit(3)",
    "panics_in_a_thread": "Panic('called",
    "no_text": "NoText()",
    "none_text": "NoneText('x')",
    "no_repr": UNPRINTABLE["NoRepr"],
    "none_repr": UNPRINTABLE["NoneRepr"],
    "no_repr_inside": "ValueError('outer')",
}
ASYNC = {
    "async_panics": "Panic('in a coroutine')",
    "async_exits": "SystemExit(3)",
    "async_interrupts": "KeyboardInterrupt()",
    "cancelled": "CancelledError('by hand')",
    "cancels_itself": "CancelledError()",
    "exits_in_a_task": "SystemExit(5)",
    "survives_a_task_that_exits": None,
    "forgets_a_task_that_panics": None,
    "async_no_repr": UNPRINTABLE["NoRepr"],
}
ALONE = {
    "traced_panics": "Panic('traced')",
    "async_traced_panics": "Panic('traced')",
    "traced_exits": "SystemExit('said')",
    "async_traced_exits": "SystemExit('said')",
    "traced_no_repr": UNPRINTABLE["NoRepr"],
    "async_traced_none_repr": UNPRINTABLE["NoneRepr"],
    "traced_no_text": "NoText()",
    "generator_panics": "Panic('after one')",
    "async_generator_panics": "Panic('after one')",
    "generator_exits": "SystemExit(4)",
    "async_generator_exits": "SystemExit(4)",
    "traced_generator_panics": "Panic('after one')",
    "traced_async_generator_exits": "SystemExit(4)",
    "generator_no_repr": UNPRINTABLE["NoRepr"],
    "traced_generator_no_repr": UNPRINTABLE["NoRepr"],
}
YIELDED = [name for name in ALONE if "generator_" in name and "no_repr" not in name]
#: Those that call a child run in their context before they raise.
CHILDREN = [
    "panics",
    "no_text",
    "no_repr",
    "traced_no_repr",
    *(name for name in ALONE if "generator_" in name),
]


def check(seen: dict[str, Any], name: str, wanted: str | None, cases: tuple[str, ...]) -> None:
    """Check the root runs of one target, and what the evaluator saw."""
    for case in cases:
        root = seen[case]
        assert root["ended"], name
        (saw,) = [score["comment"] for score in root["scores"] if score["key"] == "saw"]
        assert saw["ended"], name
        assert saw["of example"], name
        assert len(root["children"]) == (name in CHILDREN), name
        if wanted is None:
            assert root["error"] is None, (name, root["error"])
            continue
        assert root["error"]["head"].startswith(wanted), (name, root["error"])
        assert saw["error"] == [True, root["error"]["head"]]
        yielded = [int(case) + 1] if name in YIELDED else None
        assert root["outputs"] == {"output": yielded}, name


@pytest.mark.parametrize(("target", "wanted"), [("every", SYNC), ("every_async", ASYNC)])
def test_every_item_has_its_error_and_no_worker_dies(
    stage: Stage, target: str, wanted: dict[str, str | None]
) -> None:
    case = Case(f"diff_raising:{target}", examples=tuple(wanted), evaluators=("saw",))
    receipt, seen = stage.ours(case, stage.dataset(case))
    assert (receipt.exit_code, receipt.restarts) == (1, 0)
    assert [warning for warning in receipt.warnings if "without an end" in warning] == []
    for name, text in wanted.items():
        check(seen, name, text, (name,))


@pytest.mark.parametrize(("name", "wanted"), ALONE.items())
def test_so_has_every_item_of_a_target_that_makes_its_root_run_itself_or_yields(
    stage: Stage, name: str, wanted: str
) -> None:
    case = Case(f"diff_raising:{name}", evaluators=("saw",))
    receipt, seen = stage.ours(case, stage.dataset(case))
    assert (receipt.exit_code, receipt.restarts, receipt.states) == (1, 0, {"failed": 2})
    assert all(str(item.error).startswith(wanted) for item in receipt.items)
    check(seen, name, wanted, ("0", "1"))
    if name == "traced_no_repr":
        assert {(root["name"], *root["tags"]) for root in seen.values()} == {("named", "t")}


def test_evaluators_cost_their_score_only(stage: Stage) -> None:
    panic = "Panic('in a judge')"
    wanted = {
        "panics": panic, "async_panics": panic, "traced_panics": panic, "of_class": panic, "exits": "SystemExit(7)",
        "async_exits": "SystemExit(7)", "interrupts": "KeyboardInterrupt()", "cancelled": "CancelledError()",
        "no_repr": UNPRINTABLE["NoRepr"], "none_repr": UNPRINTABLE["NoneRepr"], "generator_exit": "", "stops": "",
    }  # fmt: skip
    judges = ("saw", *(f"diff_bad_judges.py:{name}" for name in wanted), "by_name")
    case = Case("diff_callables:plain", evaluators=judges)
    receipt, seen = stage.ours(case, stage.dataset(case))
    assert (receipt.restarts, receipt.states) == (0, {"visible": 2})
    for number, root in seen.items():
        assert root["outputs"] == {"sum": int(number) + 1}
        scores = {score["key"]: score for score in root["scores"]}
        assert scores["saw"]["score"] == scores["by_name"]["score"] == 1
        for key, text in wanted.items():
            assert scores[key]["extra"] == {"error": True}, (key, scores[key])
            assert str(scores[key]["comment"]).startswith(text), (key, scores[key]["comment"])
            assert key == "of_class" or scores[key]["judge"]["ended"], key
    assert receipt.warnings == []


def test_so_does_what_an_evaluator_gives_and_nobody_can_read(stage: Stage) -> None:
    case = Case("diff_callables:plain", evaluators=("diff_bad_judges.py:unreadable", "by_name"))
    receipt, seen = stage.ours(case, stage.dataset(case))
    assert (receipt.restarts, receipt.states) == (0, {"visible": 2})
    assert [(one.evaluator, one.error) for one in receipt.evaluator_errors] == [
        ("unreadable", "Panic('in a repr')")
    ]
    for number, root in seen.items():
        assert root["outputs"] == {"sum": int(number) + 1}
        assert [score["score"] for score in root["scores"] if score["key"] == "by_name"] == [1]
