"""A run that is there and lacks scores is scored over what it recorded; its target is never executed again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langsmith import Client, aevaluate

import evalrunner
from evalrunner.report.receipt import EvaluatorEntry, Receipt
from tests.support.rig import Backend, Finished, Reading, assert_whole, read_experiment, wait_until

Run = Callable[..., Receipt]
COUNT = 6
JUDGE, EXACT = "judging.py:judge", "judging.py:exact"


def calls(folder: Path, what: str) -> Counter[str]:
    path = folder / what
    return Counter(path.read_text().split()) if path.exists() else Counter()


def entries(receipt: Receipt) -> dict[str, EvaluatorEntry]:
    return {entry.key: entry for entry in receipt.evaluators}


def keys(seen: Reading) -> list[list[str]]:
    return [sorted(score.key for score in seen.feedback.get(root.id, [])) for root in seen.roots]


def test_a_mended_judge_scores_what_it_failed_on_and_nothing_else(
    backend: Backend, run: Run, tmp_path: Path
) -> None:
    first = run("judging.py:target", JUDGE, EXACT, dataset=backend.dataset(COUNT).name, env={"BREAKS": "0"})
    assert (first.exit_code, first.scored) == (5, 0)
    name = first.experiment["name"]
    before = read_experiment(backend.client, name)

    plan = run("judging.py:target", JUDGE, EXACT, experiment=name, plan=True)
    assert plan.plan["to_score"] == 2
    assert plan.verdict == (
        "0 of 6 items would be executed, and 2 scored only (their runs are there and lack scores); "
        "nothing has been."
    )

    (tmp_path / "mended").touch()
    second = run("judging.py:target", JUDGE, EXACT, experiment=name)
    assert (second.exit_code, second.executions, second.scored) == (0, 0, 2), second
    assert second.evaluator_errors == []
    row = entries(second)["answer_quality"]
    assert (row.n, row.errors, row.missing, row.evaluator) == (COUNT, 0, 0, "judge")
    assert set(entries(second)) == {"answer_quality", "exact"}
    assert calls(tmp_path, "target") == {str(n): 1 for n in range(COUNT)}
    assert calls(tmp_path, "exact") == {str(n): 1 for n in range(COUNT)}
    assert calls(tmp_path, "judge") == {str(n): 1 + (n % 3 == 0) for n in range(COUNT)}
    after = assert_whole(backend.client, name, keys=["answer_quality", "exact"])
    assert {root.id for root in after.roots} == {root.id for root in before.roots}
    assert keys(after) == [["answer_quality", "exact"]] * COUNT, "the record of the error is gone"
    # It saw the outputs as they had been recorded.
    scores = [score for some in after.feedback.values() for score in some if score.key == "answer_quality"]
    assert sorted(score.score or 0 for score in scores) == list(range(1, COUNT + 1))

    third = run("judging.py:target", JUDGE, EXACT, experiment=name)
    assert (third.exit_code, third.executions, third.scored) == (0, 0, 0)
    elsewhere = run("judging.py:target", JUDGE, EXACT, experiment=name, run_dir=tmp_path / "elsewhere")
    assert (elsewhere.exit_code, elsewhere.executions, elsewhere.scored) == (0, 0, 0)


def test_an_error_that_another_folder_has_mended_is_said_no_more(
    backend: Backend, run: Run, tmp_path: Path
) -> None:
    first = run("judging.py:target", JUDGE, EXACT, dataset=backend.dataset(3).name)
    name = first.experiment["name"]
    (tmp_path / "mended").touch()
    elsewhere = run("judging.py:target", JUDGE, EXACT, experiment=name, run_dir=tmp_path / "elsewhere")
    assert (elsewhere.exit_code, elsewhere.evaluator_errors) == (0, [])
    again = run("judging.py:target", JUDGE, EXACT, experiment=name)
    assert (again.exit_code, again.scored, again.evaluator_errors) == (0, 0, []), again.verdict
    row = entries(again)["answer_quality"]
    assert (row.n, row.errors, row.missing) == (3, 0, 0)


def test_one_that_still_fails_fails_again_and_nothing_grows(
    backend: Backend, run: Run, tmp_path: Path
) -> None:
    first = run("judging.py:target", JUDGE, dataset=backend.dataset(3).name)
    name = first.experiment["name"]
    before = read_experiment(backend.client, name)
    for place in ("run", "elsewhere", "elsewhere"):
        again = run("judging.py:target", JUDGE, experiment=name, run_dir=tmp_path / place)
        assert (again.exit_code, again.executions, again.scored) == (5, 0, 3), again
        assert [len(one.items) for one in again.evaluator_errors] == [3]
    after = read_experiment(backend.client, name)
    assert {root.id for root in after.roots} == {root.id for root in before.roots}
    assert keys(after) == keys(before) == [["judge"]] * 3
    assert calls(tmp_path, "target").total() == 3


def test_one_that_is_added_later_scores_the_runs_that_are_there(
    backend: Backend, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "mended").touch()
    first = run("judging.py:target", EXACT, dataset=backend.dataset(COUNT).name, repetitions=2)
    name = first.experiment["name"]
    added = (JUDGE, "judging.py:sometimes", "judging.py:never")
    second = run("judging.py:target", EXACT, *added, experiment=name)
    assert (second.exit_code, second.executions, second.scored) == (0, 0, 2 * COUNT), second
    assert calls(tmp_path, "target").total() == calls(tmp_path, "exact").total() == 2 * COUNT
    found = Counter(key for some in keys(read_experiment(backend.client, name)) for key in some)
    assert found == {"exact": 2 * COUNT, "answer_quality": 2 * COUNT, "even": COUNT}
    third = run("judging.py:target", EXACT, *added, experiment=name)
    assert (third.exit_code, third.executions, third.scored) == (0, 0, 0)
    elsewhere = run("judging.py:target", EXACT, *added, experiment=name, run_dir=tmp_path / "elsewhere")
    assert (elsewhere.exit_code, elsewhere.executions, elsewhere.scored) == (0, 0, 0)
    assert elsewhere.evaluators == third.evaluators


def test_what_an_evaluator_had_nothing_to_say_about_is_not_repeated_anywhere(
    backend: Backend, run: Run, tmp_path: Path
) -> None:
    names = ("judging.py:sometimes", "judging.py:never", EXACT)
    first = run("judging.py:target", *names, dataset=backend.dataset(COUNT).name)
    assert first.exit_code == 0, first
    name = first.experiment["name"]
    before = read_experiment(backend.client, name)
    for place in ("one", "two", "run"):
        again = run("judging.py:target", *names, experiment=name, run_dir=tmp_path / place)
        assert (again.exit_code, again.executions, again.scored) == (0, 0, 0), again
        assert again.evaluators == first.evaluators, "nothing that was not to be said is missing"
    after = read_experiment(backend.client, name)
    assert {root.id for root in after.roots} == {root.id for root in before.roots}
    assert sorted(map(len, keys(after))) == sorted(map(len, keys(before)))
    assert calls(tmp_path, "target").total() == COUNT


@pytest.mark.parametrize("place", ["run", "elsewhere"])
def test_feedback_that_was_deleted_is_made_again_without_the_target(
    backend: Backend, run: Run, tmp_path: Path, place: str
) -> None:
    first = run("judging.py:target", EXACT, "judging.py:bare_list", dataset=backend.dataset(4).name)
    name = first.experiment["name"]
    seen = assert_whole(backend.client, name, keys=["exact", "first", "second"])
    gone = next(score for score in seen.feedback[seen.roots[2].id] if score.key == "second")
    backend.client.delete_feedback(gone.id)
    second = run(
        "judging.py:target", EXACT, "judging.py:bare_list", experiment=name, run_dir=tmp_path / place
    )
    assert (second.exit_code, second.executions, second.scored) == (0, 0, 1), second
    after = assert_whole(backend.client, name, keys=["exact", "first", "second"])
    assert keys(after) == [["exact", "first", "second"]] * 4
    assert calls(tmp_path, "exact").total() == 4
    assert gone.id in {score.id for scores in after.feedback.values() for score in scores}


def test_runs_of_another_tool_are_scored_at_most_once_and_never_executed(
    backend: Backend, run: Run, tmp_path: Path
) -> None:
    """A key that only some runs have is nobody's business but its evaluator's."""
    (tmp_path / "mended").touch()
    dataset = backend.dataset(COUNT)
    experiment = backend.experiment(dataset)
    plain(backend, experiment, [*backend.client.list_examples(dataset_id=dataset.id)])
    before = read_experiment(backend.client, experiment)
    names = ("judging.py:sometimes", EXACT, JUDGE)
    first = run("judging.py:target", *names, experiment=experiment)
    assert (first.exit_code, first.executions, first.scored) == (0, 0, COUNT), first
    assert calls(tmp_path, "exact").total() == 0, "every run has its score"
    after = read_experiment(backend.client, experiment)
    assert {root.id for root in after.roots} == {root.id for root in before.roots}
    both, odd = ["answer_quality", "even", "exact"], ["answer_quality", "exact"]
    assert sorted(keys(after)) == sorted([both] * 3 + [odd] * 3), "nothing stands there twice"
    for place in ("run", "elsewhere"):
        again = run("judging.py:target", *names, experiment=experiment, run_dir=tmp_path / place)
        assert (again.exit_code, again.executions, again.scored) == (0, 0, 0), again


def test_an_error_that_another_tool_recorded_gives_way_to_the_score(
    backend: Backend, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "mended").touch()
    dataset = backend.dataset(3)
    experiment = backend.experiment(dataset)
    plain(backend, experiment, [*backend.client.list_examples(dataset_id=dataset.id)], broken=True)
    names = (EXACT, "judging.py:sometimes", JUDGE)
    told = run("judging.py:target", *names[:2], experiment=experiment)
    assert (told.exit_code, told.executions) == (5, 0), "an error that stands there is said, whoever made it"
    assert [(one.evaluator, len(one.items)) for one in told.evaluator_errors] == [("judge", 3)]
    receipt = run("judging.py:target", *names, experiment=experiment)
    assert (receipt.exit_code, receipt.executions, receipt.scored) == (0, 0, 3), receipt
    found = Counter(key for some in keys(read_experiment(backend.client, experiment)) for key in some)
    assert found == {"exact": 3, "even": 2, "answer_quality": 3}


def test_a_command_that_names_no_evaluator_asks_for_no_score(backend: Backend, run: Run) -> None:
    first = run("judging.py:target", JUDGE, dataset=backend.dataset(2).name)
    second = run("judging.py:target", experiment=first.experiment["name"])
    assert (second.executions, second.scored) == (0, 0)


def test_scoring_sees_what_executing_sees(backend: Backend, run: Run, tmp_path: Path) -> None:
    """Outputs, errors, children and the example are the same for an evaluator that comes later."""
    (tmp_path / "mended").touch()
    dataset = backend.dataset(COUNT).name
    together = run("kinds.py:sync", "judging.py:sees", dataset=dataset, run_dir=tmp_path / "a")
    apart = run("kinds.py:sync", dataset=dataset, run_dir=tmp_path / "b")
    scored = run(
        "kinds.py:sync", "judging.py:sees", experiment=apart.experiment["name"], run_dir=tmp_path / "b"
    )
    assert scored.scored == COUNT
    seen = [read_experiment(backend.client, one.experiment["name"]) for one in (together, scored)]
    told = [sorted(str(s.comment) for scores in one.feedback.values() for s in scores) for one in seen]
    assert told[0] == told[1]
    assert all("'add'" in text for text in told[0]), told[0]


FILE = """
def target(inputs):
    return {"sum": inputs["i"] + 1}

def exact(outputs):
    return True
"""


def test_resume_knows_an_evaluator_by_the_name_that_run_knew_it_by(
    backend: Backend, command: Callable[..., Finished], tmp_path: Path
) -> None:
    """A path from here, and the same as an absolute one, name the same evaluator."""
    (tmp_path / "here.py").write_text(FILE)
    dataset = backend.dataset(2).name
    first = command("-d", dataset, "-t", "here.py:target", "--evaluator", "here.py:exact", "--json")
    assert first.code == 0, first.err
    for arguments in (["resume"], ["resume", "--evaluator", str(tmp_path / "here.py:exact")]):
        again = command(*arguments, "--json")
        assert (again.code, again.receipt["warnings"]) == (0, []), again.err
        assert (again.receipt["executions"], again.receipt["scored"]) == (0, 0)


def test_from_python_it_is_the_same(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    broken = tmp_path / "broken"
    broken.touch()

    def judge(outputs: dict[str, Any]) -> dict[str, Any]:
        if broken.exists():
            raise RuntimeError("judge quota exceeded")
        return {"key": "quality", "score": outputs["sum"]}

    def target(inputs: dict[str, Any]) -> dict[str, Any]:
        with (tmp_path / "calls").open("a") as file:
            file.write("1")
        return {"sum": inputs["i"] + 1}

    said: dict[str, Any] = {"evaluators": [judge], "workers": 1, "endpoint": backend.endpoint}
    first = evalrunner.run(target, dataset=backend.dataset(2).name, **said)
    assert (first.exit_code, [one.evaluator for one in first.evaluator_errors]) == (5, ["judge"])
    broken.unlink()
    second = evalrunner.run(target, experiment=first.experiment["name"], **said)
    assert (second.exit_code, second.executions, second.scored) == (0, 0, 2), second
    assert (tmp_path / "calls").read_text() == "11"


def plain(backend: Backend, experiment: str, examples: list[Any], *, broken: bool = False) -> None:
    """Do what anybody does without evalrunner, with a key for every second run."""

    async def target(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"sum": inputs["i"] + 1, "i": inputs["i"]}

    def exact(outputs: dict[str, Any]) -> dict[str, Any]:
        return {"key": "exact", "score": 1}

    def sometimes(outputs: dict[str, Any]) -> dict[str, Any]:
        return {"results": [{"key": "even", "score": 1}] if outputs["i"] % 2 == 0 else []}

    def judge(outputs: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("judge quota exceeded")

    async def evaluate(client: Client) -> None:
        project = client.read_project(project_name=experiment)
        results = await aevaluate(
            target,
            data=examples,
            evaluators=[exact, sometimes, judge][: 3 if broken else 2],
            experiment=project,
            client=client,
        )
        async for _ in results:
            pass

    client = Client(api_url=backend.url, api_key=backend.endpoint.key)
    try:
        asyncio.run(evaluate(client))
        client.flush()
        wanted = len(examples) * (1 + broken) + (len(examples) + 1) // 2
        wait_until(lambda: scored(backend, experiment) == wanted, what="the SDK's own feedback")
    finally:
        client.close()


def scored(backend: Backend, experiment: str) -> int:
    return sum(len(scores) for scores in read_experiment(backend.client, experiment).feedback.values())


@pytest.mark.parametrize("way", [{"trace_evaluators": False}, {"live": True}, {"max_concurrency": 3}])
def test_every_way_of_working_scores(backend: Backend, run: Run, tmp_path: Path, way: dict[str, Any]) -> None:
    """One that has nothing to say and leaves no trace has nothing to send, and is done all the same."""
    (tmp_path / "mended").touch()
    first = run("judging.py:target", EXACT, dataset=backend.dataset(COUNT).name, **way)
    name = first.experiment["name"]
    before = read_experiment(backend.client, name)
    names = (EXACT, "judging.py:never", "judging.py:sometimes")
    second = run("judging.py:target", *names, experiment=name, **way)
    assert (second.exit_code, second.executions, second.scored) == (0, 0, COUNT), second
    after = read_experiment(backend.client, name)
    assert {one.id for one in after.runs} == {one.id for one in before.runs}
    assert sorted(keys(after)) == sorted([["even", "exact"]] * 3 + [["exact"]] * 3)
    third = run("judging.py:target", *names, experiment=name, **way)
    assert (third.exit_code, third.executions, third.scored) == (0, 0, 0), third


def test_a_run_whose_target_raised_is_scored_as_it_is(backend: Backend, run: Run, tmp_path: Path) -> None:
    first = run("judging.py:raises", dataset=backend.dataset(3).name)
    assert first.exit_code == 1
    second = run("judging.py:raises", "judging.py:forgives", experiment=first.experiment["name"])
    assert (second.exit_code, second.executions, second.scored) == (1, 0, 3), second
    assert second.states == {"failed": 3}
    seen = read_experiment(backend.client, first.experiment["name"])
    assert [[score.comment for score in seen.feedback[root.id]] for root in seen.roots] == [
        ["RuntimeError"]
    ] * 3
