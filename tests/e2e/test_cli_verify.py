"""`evalrunner verify`: what the real SDK leaves behind when it is well used, and when it is not."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from langsmith import Client, evaluate, traceable
from langsmith.schemas import Dataset

from tests.support.cli import in_process
from tests.support.rig import Backend, Finished, backend_in, read_experiment

Verify = Callable[..., Finished]
OLD = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with backend_in(tmp_path_factory.mktemp("backend")) as one:
        yield one


@pytest.fixture(params=["older", "newer"])
def verify(request: pytest.FixtureRequest, place: Backend, tmp_path: Path) -> Verify:
    """The command, before a backend that answers in one generation of reads only while it is asked."""

    def run(*words: str) -> Finished:
        newer = request.param == "newer"
        place.flags(sdb_query_enabled=newer, ch_query_enabled=not newer)
        try:
            return in_process("verify", *words, cwd=tmp_path, env=place.environment())
        finally:
            place.flags(sdb_query_enabled=False, ch_query_enabled=True)

    return run


@traceable
def step(number: int) -> int:
    return number + 1


def target(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"i": step(inputs["i"])}


def right(outputs: dict[str, Any], reference_outputs: dict[str, Any]) -> bool:
    return bool(outputs["i"] == reference_outputs["i"])


def plain(place: Backend, data: Any, **options: Any) -> str:
    """Evaluate with the SDK alone; return the experiment's name."""
    done = evaluate(options.pop("call", target), data=data, client=place.client, max_concurrency=1, **options)
    done.wait()
    return str(done.experiment_name)


def told(done: Finished) -> dict[str, list[Any]]:
    """Return code -> ids."""
    return {one["code"]: one["ids"] for one in done.receipt["symptoms"]}


def root_of(place: Backend, name: str, number: int) -> Any:
    [found] = [one for one in read_experiment(place.client, name).roots if _number(one) == number]
    return found


def _number(root: Any) -> int:
    inputs = root.inputs or {}
    return int(inputs.get("inputs", inputs)["i"])


def create(client: Client, experiment: str, **fields: Any) -> str:
    """Post a root run by itself; return its id."""
    run = str(uuid.uuid4())
    kept = {"run_type": "chain", "start_time": OLD, "trace_id": run, "project_name": experiment, **fields}
    kept.setdefault("dotted_order", f"20260101T000000000000Z{run}")
    client.create_run("target", inputs={"i": 0}, id=run, **kept)
    return run


def test_what_is_whole_is_called_whole(place: Backend, verify: Verify) -> None:
    dataset = place.dataset(5)
    name = plain(place, dataset.name, evaluators=[right], num_repetitions=2)
    done = verify(name)
    assert done.code == 0, done.out
    lines = done.out.splitlines()
    assert "meant: 5 examples x 2 repetitions = 10 items" in lines
    assert "there: 10 root runs (0 ended in an error), 10 runs below them" in lines
    assert "       right: on 10 of 10 complete runs" in lines
    assert lines[-1] == "WHOLE: 10 of 10 items have their complete run; no symptom was found"
    assert verify(name, "-q").out == lines[-1] + "\n"
    document = verify(str(place.client.read_project(project_name=name).id), "--json").receipt
    assert (document["symptoms"], document["exit_code"], document["scores"]) == ([], 0, {"right": 10})


def test_an_experiment_over_nothing_is_not_whole(place: Backend, verify: Verify) -> None:
    dataset = place.dataset(2)
    name = plain(place, dataset.name)
    for one in place.client.list_examples(dataset_id=dataset.id):
        place.client.delete_example(one.id)
    done = verify(name)
    assert done.code == 3
    assert "nothing-meant" in done.out.splitlines()[-1]
    assert verify(place.experiment(place.dataset(0))).code == 3


def test_errors_of_the_target_are_no_loss(place: Backend, verify: Verify) -> None:
    def raises(inputs: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(inputs["i"])

    name = plain(place, place.dataset(2).name, call=raises)
    done = verify(name)
    assert done.code == 0, done.out
    assert "there: 2 root runs (2 ended in an error), 0 runs below them" in done.out


def test_two_processes_over_a_target_that_raises_make_duplicates_too(place: Backend, verify: Verify) -> None:
    def raises(inputs: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(inputs["i"])

    dataset = place.dataset(2)
    name = plain(place, dataset.name, call=raises)
    plain(place, dataset.name, call=raises, experiment=name)
    assert len(told(verify(name, "--json"))["run-duplicate"]) == 2


def test_runs_that_are_missing_are_named_by_example(place: Backend, verify: Verify) -> None:
    dataset = place.dataset(4)
    name = plain(place, dataset.name)
    gone = [root_of(place, name, number) for number in (1, 3)]
    place.delete_traces(place.client.read_project(project_name=name), [str(one.id) for one in gone])
    done = verify(name, "--json")
    assert done.code == 3
    assert {one["example"]: one["lacks"] for one in told(done)["run-missing"]} == {
        str(one.reference_example_id): 1 for one in gone
    }
    shown = verify(name, "--ids").out
    assert all(f"example={one.reference_example_id} lacks=1" in shown for one in gone)
    assert f"`evalrunner repair {name}` brings back" in shown
    assert "more may come" in shown
    assert shown.splitlines()[-1].startswith("NOT WHOLE: 2 of 4 items have their complete run; run-missing")


def test_pending_unlinked_and_duplicate_runs_are_told_apart(place: Backend, verify: Verify) -> None:
    dataset = place.dataset(3)
    name = plain(place, dataset.name)
    [example, *_] = list(place.client.list_examples(dataset_id=dataset.id))
    end = OLD + timedelta(seconds=1)
    pending = create(place.client, name, reference_example_id=example.id)
    now = datetime.now(timezone.utc)
    fresh = str(uuid.uuid4())
    order = f"{now:%Y%m%dT%H%M%S%f}Z{fresh}"
    place.client.create_run(
        "target", {"i": 0}, "chain", id=fresh, trace_id=fresh, dotted_order=order, start_time=now,
        project_name=name, reference_example_id=example.id,
    )  # fmt: skip
    unlinked = create(place.client, name, end_time=end)
    create(place.client, name, end_time=end, reference_example_id=example.id)
    create(place.client, name, end_time=end, reference_example_id=example.id, error="an attempt that failed")
    found = told(verify(name, "--json"))
    assert set(found) == {"run-pending", "run-under-way", "run-unlinked", "run-duplicate"}
    assert [one["run"] for one in found["run-pending"]] == [pending]
    assert [one["run"] for one in found["run-under-way"]] == [fresh]
    assert [one["run"] for one in found["run-unlinked"]] == [unlinked]
    assert [one["example"] for one in found["run-duplicate"]] == [str(example.id)]


def test_a_run_without_a_link_takes_nothing_away(place: Backend, verify: Verify) -> None:
    name = plain(place, place.dataset(2).name)
    create(place.client, name, end_time=OLD + timedelta(seconds=1))
    done = verify(name)
    assert done.code == 0
    assert done.out.splitlines()[-1] == "WHOLE: 2 of 2 items have their complete run; run-unlinked"


def test_traces_without_their_root_and_children_without_a_parent(place: Backend, verify: Verify) -> None:
    dataset = place.dataset(2)
    name = plain(place, dataset.name)
    root = root_of(place, name, 0)
    lost, end = str(uuid.uuid4()), OLD + timedelta(seconds=1)
    headless = create(
        place.client, name, trace_id=lost, parent_run_id=lost, end_time=end,
        dotted_order=f"20260101T000000000000Z{lost}.20260101T000000000000Z{uuid.uuid4()}",
    )  # fmt: skip
    between = uuid.uuid4()
    orphan = create(
        place.client, name, trace_id=root.id, parent_run_id=between,
        dotted_order=f"{root.dotted_order}.20260101T000000000000Z{between}.20260101T000000000000Z{uuid.uuid4()}",
    )  # fmt: skip
    found = told(verify(name, "--json"))
    assert headless not in str(found)
    assert [one["run"] for one in found["trace-headless"]] == [lost]
    assert found["child-orphan"] == [{"run": orphan, "trace": str(root.id)}]
    assert found["child-pending"] == [{"run": orphan, "trace": str(root.id)}]
    assert verify(name).code == 3


def hidden_by_the_last(place: Backend) -> tuple[Dataset, str]:
    """Let two writers share an experiment, each with a split; the metadata is the last one's."""
    dataset = place.dataset(6, split=lambda number: [f"s{number % 2}"])
    name = place.experiment(dataset)
    for split in ("s0", "s1"):
        examples = place.client.list_examples(dataset_id=dataset.id, splits=[split])
        plain(place, examples, experiment=name)
    return dataset, name


def test_what_the_last_writer_hides_is_there_and_shown_again_by_a_run(
    place: Backend, verify: Verify, tmp_path: Path
) -> None:
    _, name = hidden_by_the_last(place)
    done = verify(name)
    assert done.code == 3
    assert "view-hidden: 3 complete root runs are hidden by the experiment's metadata" in done.out
    assert done.out.splitlines()[-1].startswith(
        "NOT WHOLE: 6 of 6 items have their complete run; view-hidden"
    )
    (tmp_path / "t.py").write_text("def target(inputs):\n    raise SystemExit('nothing is to be executed')\n")
    words = ("--experiment", name, "--target", "t.py:target", "--workers", "1", "--json")
    mended = in_process(*words, cwd=tmp_path, env=place.environment())
    assert (mended.code, mended.receipt["executions"]) == (0, 0), mended.err
    assert verify(name).code == 0


def test_evaluators_that_raised_have_a_code_of_their_own(place: Backend, verify: Verify) -> None:
    def judge(inputs: dict[str, Any]) -> bool:
        if inputs["i"] == 1:
            raise RuntimeError("judge quota exceeded")
        return True

    name = plain(place, place.dataset(3).name, evaluators=[judge])
    done = verify(name)
    assert done.code == 5, done.out
    assert "score-failed: evaluators raised on 1 runs: judge" in done.out
    assert "       judge: on 2 of 3 complete runs" in done.out
    assert done.out.splitlines()[-1].startswith(
        "NOT SCORED: 3 of 3 items have their complete run; score-failed"
    )


def test_a_suite_whose_tests_log_their_inputs_hides_none(
    place: Backend, verify: Verify, tmp_path: Path
) -> None:
    dataset = place.dataset(2)
    lines = ["import pytest", "from langsmith import get_current_run_tree, testing"]
    for at, one in enumerate(place.client.list_examples(dataset_id=dataset.id)):
        lines += [
            f"@pytest.mark.langsmith(id={str(one.id)!r})",
            f"def test_{at}():",
            f"    testing.log_inputs({{'i': {(one.inputs or {})['i']}}})",
            "    print('experiment', get_current_run_tree().session_name)",
        ]
    (tmp_path / "test_suite.py").write_text("\n".join(lines) + "\n")
    suite = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-q", "-p", "no:randomly", "test_suite.py"],
        cwd=tmp_path,
        env=place.environment(LANGSMITH_TEST_SUITE=str(dataset.name), LANGSMITH_TRACING="true"),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert suite.returncode == 0, suite.stdout
    name = re.search(r"experiment (\S+)", suite.stdout)
    assert name, suite.stdout
    assert verify(name[1], "--json").receipt["symptoms"] == []


def test_scores_that_are_there_are_not_called_lost_because_of_what_is_missing(
    place: Backend, verify: Verify
) -> None:
    dataset = place.dataset(5)
    name = place.experiment(dataset)
    made: dict[
        str, Any
    ] = {}  # an evaluator whose source nobody can read: where it raises, only its trace says so
    exec("def odd(outputs):\n    return {'key': 'odd', 'score': 1 // (outputs['i'] - 2)}", made)
    examples = sorted(
        place.client.list_examples(dataset_id=dataset.id), key=lambda one: (one.inputs or {})["i"]
    )
    plain(place, examples[:4], experiment=name, evaluators=[made["odd"]])
    lost = root_of(place, name, 3)
    place.delete_traces(place.client.read_project(project_name=name), [str(lost.id)])
    found = told(verify(name, "--json"))
    assert {code: len(ids) for code, ids in found.items()} == {"run-missing": 2, "score-silent": 1}


@pytest.mark.parametrize("named", ["nowhere", "plain tracing"])
def test_what_is_no_experiment_is_refused(place: Backend, verify: Verify, named: str) -> None:
    if named == "plain tracing" and not place.client.has_project(named):
        place.client.create_project(named)
    done = verify(named)
    assert (done.code, done.out) == (2, "")
    assert len([line for line in done.err.splitlines() if line.startswith("error: ")]) == 1
    assert "Traceback" not in done.err


def test_nothing_is_changed(place: Backend, verify: Verify) -> None:
    _, name = hidden_by_the_last(place)
    before = place.client.read_project(project_name=name)
    writing = [{"match": f"{method} *", "action": "delay"} for method in ("PATCH", "PUT", "DELETE")]
    place.faults(
        *writing, {"match": "POST /runs*", "action": "delay"}, {"match": "POST /sessions*", "action": "delay"}
    )
    try:
        verify(name)
        fired = {rule["match"]: rule["fired"] for rule in place.fault_report()["rules"]}
    finally:
        place.faults()
    assert not any(number for match, number in fired.items() if match not in ("POST /runs*",))
    assert place.client.read_project(project_name=name) == before
