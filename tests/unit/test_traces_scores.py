"""Scores: which item they ride with, and under which id."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import orjson
import pytest
from langsmith import trace
from langsmith.evaluation import EvaluationResult, EvaluationResults, RunEvaluator
from langsmith.schemas import Example, Run

from tests.support.traces import SESSION, Bench, Wire, benches, double


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield from benches(live=False)


class Twice(RunEvaluator):
    """Gives two scores under one key, and one under another."""

    def evaluate_run(
        self, run: Run, example: Example | None = None, evaluator_run_id: UUID | None = None
    ) -> EvaluationResults:
        results = [EvaluationResult(key=key, score=0.5) for key in ("a", "a", "b")]
        return EvaluationResults(results=results)


def executed(bench: Bench, run_id: UUID) -> list[Wire]:
    """One execution of an attempt, with its scores, as an evaluation makes them."""
    item = bench.open(run_id=run_id)
    with trace("root", client=bench.client, run_id=item.run_id) as tree:
        assert double(2) == 4
    run = Run(
        id=run_id, name="root", run_type="chain", start_time=tree.start_time, inputs={}, trace_id=run_id,
        dotted_order=tree.dotted_order, session_id=SESSION,
    )  # fmt: skip
    item.evaluator = "first"
    bench.client._log_evaluation_feedback(Twice().evaluate_run(run), run)
    item.evaluator = "second"
    bench.client._log_evaluation_feedback(Twice().evaluate_run(run), run)
    return [wire for wire in bench.close(item) if wire.kind == "feedback"]


def test_scores_have_the_same_ids_when_the_same_attempt_is_executed_again(bench: Bench) -> None:
    run_id = uuid4()
    first, second = executed(bench, run_id), executed(bench, run_id)
    assert [wire.id for wire in first] == [wire.id for wire in second]
    assert len({wire.id for wire in first}) == 6
    assert not {wire.id for wire in executed(bench, uuid4())} & {wire.id for wire in first}
    assert [wire["key"] for wire in first] == ["a", "a", "b"] * 2
    assert {(wire["run_id"], wire["trace_id"]) for wire in first} == {(str(run_id), str(run_id))}


def test_scores_come_after_the_runs(bench: Bench) -> None:
    item = bench.open()
    bench.score(item.run_id)
    with trace("root", client=bench.client, run_id=item.run_id):
        pass
    assert [wire.kind for wire in bench.close(item)] == ["post", "feedback"]


def test_a_score_of_a_child_without_trace_id_is_filed_under_the_items_trace(bench: Bench) -> None:
    item = bench.open()
    with trace("root", client=bench.client, run_id=item.run_id):
        with trace("child", client=bench.client) as child:
            pass
    bench.client.create_feedback(child.id, "k", score=1, session_id=SESSION)
    *_, score = bench.close(item)
    assert (score["run_id"], score["trace_id"], score["score"]) == (str(child.id), str(item.run_id), 1)


def test_a_score_of_a_foreign_run_without_trace_id_is_left_to_the_sdk(bench: Bench) -> None:
    bench.open()
    body = orjson.dumps({"id": str(uuid4()), "run_id": str(uuid4())})
    run_id, feedback_id = uuid4(), str(uuid4())
    assert not bench.book.feedback(body, feedback_id, run_id, None)
    assert not bench.book.feedback(body, feedback_id, None, None)
    assert bench.emitted == []


def test_a_score_outside_any_item_is_loose_and_has_an_id_at_random(bench: Bench) -> None:
    run_id = uuid4()
    bench.score(run_id)
    bench.score(run_id)
    assert [wire.kind for wire in bench.emitted] == ["feedback", "feedback"]
    assert len({wire.id for wire in bench.emitted}) == 2


def test_a_score_with_an_id_of_the_users_keeps_it(bench: Bench) -> None:
    item, chosen = bench.open(), uuid4()
    bench.score(item.run_id, feedback_id=chosen)
    (score,) = bench.close(item)
    assert score.id == str(chosen)


def test_only_scores_of_the_items_own_runs_are_asked_for_later(bench: Bench) -> None:
    """What scores another run is delivered with the item; its visibility is not the item's."""
    item, elsewhere = bench.open(), uuid4()
    with trace("root", client=bench.client, run_id=item.run_id):
        pass
    bench.score(item.run_id)
    bench.score(elsewhere)
    *_, own, other = bench.close(item)
    assert (own["run_id"], other["run_id"]) == (str(item.run_id), str(elsewhere))
    assert item.scores == [own.id]
