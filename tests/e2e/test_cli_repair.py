"""`evalrunner repair`: what is held elsewhere comes back without an execution; what is missing is executed."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from langsmith import Client, aevaluate, evaluate
from langsmith.utils import get_env_var

from evalbackend.web.door import sign_in_path
from tests.support.cli import in_process
from tests.support.rig import Backend, Finished, backend_in, read_experiment

TARGET = """
from pathlib import Path
def target(inputs):
    with open(Path(__file__).parent / "executed", "a") as log:
        log.write(f"{inputs['i']}\\n")
    return {"i": inputs["i"]}
def right(outputs, reference_outputs):
    return outputs["i"] == reference_outputs["i"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with backend_in(tmp_path_factory.mktemp("backend")) as one:
        yield one


def right(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> bool:
    return bool(outputs["i"] == reference_outputs["i"])


def whole(run: Any, example: Any) -> dict[str, Any]:
    return {"key": "whole", "score": 0.5, "comment": f"of {run.name}"}


def several(outputs: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": "one", "score": 1}, {"key": "two", "value": f"v{outputs['i']}"}]


def twice(outputs: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": "same", "score": 1}, {"key": "same", "score": 0}]


def target(inputs: dict[str, Any]) -> dict[str, Any]:
    if inputs["i"] == 7:
        raise ValueError("seven")
    return {"i": inputs["i"]}


def plain(place: Backend, data: Any, client: Client | None = None, **options: Any) -> str:
    """Evaluate with the SDK alone; return the experiment's name."""
    client = client or place.client
    done = evaluate(options.pop("call", target), data=data, client=client, max_concurrency=1, **options)
    done.wait()
    client.flush()
    return str(done.experiment_name)


def repair(place: Backend, folder: Path, name: str, *words: str, **env: str) -> Finished:
    return in_process("repair", name, *words, "--recent", "0", cwd=folder, env=place.environment(**env))


def steps(done: Finished) -> list[str]:
    return [one["step"] for one in done.receipt.get("done", [{"step": done.err}])]


def fields(run: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(run, name) for name in names}


def feedback(place: Backend, name: str) -> dict[tuple[str, str], Any]:
    """Return (run, key) -> what was given."""
    session = str(place.client.read_project(project_name=name).id)
    found: list[dict[str, Any]] = []
    while True:
        params = {"session": session, "limit": 100, "offset": len(found)}
        page = place.client.request_with_retries("GET", "/feedback", params=params).json()
        found += page
        if len(page) < 100:
            break
    told = {(one["run_id"], one["key"]): (one["score"], one["value"], one["comment"]) for one in found}
    assert len(told) == len(found)
    return told


def test_what_evaluators_traces_hold_comes_back_without_an_execution(place: Backend, tmp_path: Path) -> None:
    name = plain(place, place.dataset(6).name, evaluators=[right, whole, several])
    before, given = {run.id: run for run in read_experiment(place.client, name).roots}, feedback(place, name)
    gone = list(before)[:3]
    place.delete_traces(place.client.read_project(project_name=name), [str(one) for one in gone])
    assert len(feedback(place, name)) == len(given) // 2
    shown = repair(place, tmp_path, name)
    assert shown.code == 3
    assert "1. rebuild: write 3 root runs again" in shown.out
    assert "nothing was changed: the same command with --yes does it" in shown.out
    assert len(read_experiment(place.client, name).roots) == 3
    done = repair(place, tmp_path, name, "--yes", "--json")
    assert (done.code, steps(done)) == (0, ["rebuild", "scores"]), done.receipt
    after = {run.id: run for run in read_experiment(place.client, name).roots}
    assert set(after) == set(before)
    same = (
        "name",
        "inputs",
        "outputs",
        "error",
        "start_time",
        "end_time",
        "reference_example_id",
        "dotted_order",
    )
    assert all(fields(after[one], *same) == fields(before[one], *same) for one in before)
    assert feedback(place, name) == given
    again = repair(place, tmp_path, name, "--yes", "--json")
    assert (again.code, again.receipt["plan"]) == (0, [])


def test_without_the_whole_run_its_outputs_come_back_and_its_times_are_near(
    place: Backend, tmp_path: Path
) -> None:
    name = plain(place, place.dataset(8).name, evaluators=[several])
    before, given = {run.id: run for run in read_experiment(place.client, name).roots}, feedback(place, name)
    place.delete_traces(place.client.read_project(project_name=name), [str(one) for one in before])
    done = repair(place, tmp_path, name, "--yes", "--json")
    assert steps(done) == ["rebuild", "scores"]
    after = {run.id: run for run in read_experiment(place.client, name).roots}
    # Of the one that failed its evaluator's trace does not say so: it is not made up.
    failed = {one for one, run in before.items() if run.error}
    assert set(after) == set(before) - failed
    assert done.code == 3
    for one, run in after.items():
        assert run.outputs == before[one].outputs
        assert run.reference_example_id == before[one].reference_example_id
        assert abs((run.start_time - before[one].start_time).total_seconds()) < 0.01
    scored = {key: told for key, told in given.items() if uuid.UUID(key[0]) not in failed}
    assert feedback(place, name) == scored


def test_a_key_that_is_given_twice_comes_back_twice(place: Backend, tmp_path: Path) -> None:
    name = plain(place, place.dataset(2).name, evaluators=[twice])
    session = place.client.read_project(project_name=name)
    [gone, _] = read_experiment(place.client, name).roots
    place.delete_traces(session, [str(gone.id)])
    assert repair(place, tmp_path, name, "--yes").code == 0
    params = {"run": [str(gone.id)]}
    told = place.client.request_with_retries("GET", "/feedback", params=params).json()
    assert sorted((one["key"], one["score"]) for one in told) == [("same", 0), ("same", 1)]


def test_an_end_that_was_lost_comes_back_too(place: Backend, tmp_path: Path) -> None:
    dataset = place.dataset(3)
    name = plain(place, dataset.name, evaluators=[several])
    roots = read_experiment(place.client, name).roots
    given = feedback(place, name)
    place.delete_traces(place.client.read_project(project_name=name), [str(roots[0].id)])
    lost = roots[0]
    place.client.create_run(
        lost.name, lost.inputs, "chain", id=lost.id, trace_id=lost.id, dotted_order=lost.dotted_order,
        start_time=lost.start_time, project_name=name, reference_example_id=lost.reference_example_id,
    )  # fmt: skip
    place.client.flush()
    done = repair(place, tmp_path, name, "--yes", "--json")
    assert (done.code, steps(done)) == (0, ["rebuild", "scores"]), done.receipt
    [mended] = [root for root in read_experiment(place.client, name).roots if root.id == lost.id]
    assert mended.outputs == lost.outputs
    assert mended.end_time
    assert feedback(place, name) == given


@pytest.mark.parametrize("status", [503, 413])
def test_requests_that_were_kept_are_sent_again(
    place: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    kept = tmp_path / "kept"
    monkeypatch.setenv("LANGSMITH_FAILED_TRACES_DIR", str(kept))
    cast(Any, get_env_var).cache_clear()
    client = Client(api_url=place.url, api_key=place.token)
    monkeypatch.delenv("LANGSMITH_FAILED_TRACES_DIR")
    cast(Any, get_env_var).cache_clear()
    dataset, other = place.dataset(4), place.dataset(1)
    name = place.experiment(dataset)
    place.faults({"match": "POST /runs/multipart", "action": "status", "status": status})
    try:
        plain(place, dataset.name, client, experiment=name, evaluators=[right])
        plain(place, other.name, client)
    finally:
        place.faults()
    assert not read_experiment(place.client, name).roots
    done = repair(place, tmp_path, name, "--yes", "--json", LANGSMITH_FAILED_TRACES_DIR=str(kept))
    assert (done.code, done.receipt["done"][0]["step"]) == (0, "failed-traces"), done.receipt
    assert len(read_experiment(place.client, name).roots) == 4
    assert len(feedback(place, name)) == 4
    assert list(kept.glob("trace_*.json")), "what is another experiment's stays"


def test_what_is_truly_missing_is_executed_and_what_never_ended_is_closed(
    place: Backend, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(TARGET)
    dataset = place.dataset(4)
    examples = list(place.client.list_examples(dataset_id=dataset.id))
    name = place.experiment(dataset)
    plain(place, examples[:2], experiment=name, evaluators=[right])
    run = str(uuid.uuid4())
    place.client.create_run(
        "target", {"i": 2}, "chain", id=run, trace_id=run, dotted_order=f"20260101T000000000000Z{run}",
        start_time="2026-01-01T00:00:00+00:00", project_name=name, reference_example_id=examples[2].id,
    )  # fmt: skip
    place.client.flush()
    shown = repair(place, tmp_path, name)
    assert "what is truly missing needs a target" in shown.out
    words = ("--target", "mine.py:target", "--evaluator", "mine.py:right", "--workers", "1")
    assert (
        "1. run: execute the target for 2 items (at most 2 executions)"
        in repair(place, tmp_path, name, *words).out
    )
    assert not (tmp_path / "executed").exists()
    done = repair(place, tmp_path, name, *words, "--yes", "--json")
    assert (done.code, steps(done)) == (0, ["run", "close"]), done.receipt
    numbers = sorted(str((one.inputs or {})["i"]) for one in examples[2:])
    assert sorted((tmp_path / "executed").read_text().split()) == numbers
    [closed] = [one for one in read_experiment(place.client, name).roots if str(one.id) == run]
    assert closed.end_time == closed.start_time
    assert "it never ended" in str(closed.error)


_SHARD = """
import sys
from langsmith import Client, evaluate
client = Client()
examples = client.list_examples(dataset_id=sys.argv[1], splits=[sys.argv[3]])
evaluate(lambda inputs: {"i": inputs["i"]}, data=examples, experiment=sys.argv[2], client=client)
client.flush()
"""


def test_the_articles_own_case(place: Backend, tmp_path: Path) -> None:
    """A process per split: the list counts all runs, the view shows those of the last."""
    dataset = place.dataset(6, split=lambda number: [f"s{number % 2}"])
    name = place.experiment(dataset)
    for split in ("s0", "s1"):
        words = [sys.executable, "-c", _SHARD, str(dataset.id), name, split]
        subprocess.run(words, env=place.environment(), check=True, capture_output=True, timeout=120)
    project = place.client.read_project(project_name=name, include_stats=True)
    assert (project.run_count, (project.metadata or {})["dataset_splits"]) == (6, ["s1"])
    told = in_process("doctor", name, "--json", cwd=tmp_path, env=place.environment()).receipt["findings"]
    assert [(one["code"], len(one["ids"])) for one in told] == [("view-hidden", 3)]
    done = repair(place, tmp_path, name, "--yes", "--json")
    assert (done.code, steps(done)) == (0, ["metadata"])
    assert not (tmp_path / "executed").exists()
    metadata = place.client.read_project(project_name=name).metadata or {}
    assert metadata["dataset_splits"] == ["s0", "s1"]
    with requests.Session() as visitor:
        visitor.get(place.url + sign_in_path(place.token), timeout=60)
        page = visitor.get(f"{place.url}/ui/experiments/{project.id}", timeout=60).text
    counts = {word: int(count) for count, word in re.findall(r"<b>(\d+)</b> (planned|visible)", page)}
    assert counts == {"planned": 6, "visible": 6}
    assert re.findall(r'class="row"><b>(\d+)</b> (\w+)', page) == [], "no holes"


def test_links_and_runs_too_many_are_changed_with_their_own_flags_only(
    place: Backend, tmp_path: Path
) -> None:
    dataset = place.dataset(8)
    name = plain(place, dataset.name, error_handling="ignore")
    plain(place, list(place.client.list_examples(dataset_id=dataset.id))[:1], experiment=name)
    shown = repair(place, tmp_path, name, "--yes")
    assert "--relink writes linked copies of 1 runs" in shown.out
    assert "--delete-duplicates deletes 1 runs" in shown.out
    assert shown.code == 3
    done = repair(place, tmp_path, name, "--yes", "--json", "--relink", "--delete-duplicates")
    assert (done.code, sorted(steps(done))) == (0, ["duplicates", "relink"])
    roots = read_experiment(place.client, name).roots
    linked = [root.reference_example_id for root in roots if root.reference_example_id]
    assert len(set(linked)) == len(linked) == 8
    [copy] = [root for root in roots if root.reference_example_id and root.error]
    assert (copy.inputs or {})["i"] == 7


def test_wrong_words_are_refused_before_anything_is_changed(place: Backend, tmp_path: Path) -> None:
    name = plain(place, place.dataset(1).name)
    for words, said in (
        (("--dataset", "d"), "No such option: --dataset"),
        (("--plan",), "No such option: --plan"),
        (("--failed-traces", "nowhere"), "nowhere is no folder"),
        (("--target", "nothing"), "--target"),
    ):
        done = repair(place, tmp_path, name, *words)
        assert (done.code, done.out) == (2, ""), (words, done.out)
        assert said in done.err
    assert json.loads(repair(place, tmp_path, name, "--json").out)["plan"] == []


def test_traces_of_aevaluate_name_no_example_and_are_matched(place: Backend, tmp_path: Path) -> None:
    async def call(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"i": inputs["i"]}

    for evaluator in (whole, right):
        options: dict[str, Any] = {"client": place.client, "evaluators": [evaluator], "max_concurrency": 1}
        name = asyncio.run(aevaluate(call, data=place.dataset(4).name, **options)).experiment_name
        place.client.flush()
        given = feedback(place, name)
        before = {run.id: run for run in read_experiment(place.client, name).roots}
        session = place.client.read_project(project_name=name)
        place.delete_traces(session, [str(one) for one in list(before)[:2]])
        mended = repair(place, tmp_path, name, "--yes", "--json")
        assert (mended.code, steps(mended)) == (0, ["rebuild", "scores"]), mended.receipt
        after = {run.id: run for run in read_experiment(place.client, name).roots}
        same = ("outputs", "reference_example_id")
        assert {one: fields(run, *same) for one, run in after.items()} == {
            one: fields(run, *same) for one, run in before.items()
        }
        assert feedback(place, name) == given


def test_nothing_is_executed_beside_what_may_still_be_under_way(place: Backend, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TARGET)
    dataset = place.dataset(2)
    examples = list(place.client.list_examples(dataset_id=dataset.id))
    name = place.experiment(dataset)
    plain(place, examples[:1], experiment=name)
    run, now = str(uuid.uuid4()), datetime.now(timezone.utc)
    place.client.create_run(
        "target", examples[1].inputs or {}, "chain", id=run, trace_id=run, start_time=now, project_name=name,
        dotted_order=f"{now:%Y%m%dT%H%M%S%f}Z{run}", reference_example_id=examples[1].id,
    )  # fmt: skip
    place.client.flush()
    words = ("repair", name, "--yes", "--target", "mine.py:target", "--workers", "1")
    done = in_process(*words, cwd=tmp_path, env=place.environment())
    assert done.code == 3
    assert "--recent 0 says that nothing goes on any more: 1 runs" in done.out
    assert not (tmp_path / "executed").exists()
    assert in_process(*words, "--recent", "0", cwd=tmp_path, env=place.environment()).code == 0
    assert len((tmp_path / "executed").read_text().split()) == 1
