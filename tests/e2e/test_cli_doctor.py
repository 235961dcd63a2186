"""`evalrunner doctor EXPERIMENT`: why, where the real SDK has done the wrong thing; and that it claims no more."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import pytest
from langsmith import Client, evaluate, traceable
from langsmith.utils import get_env_var

from tests.support.cli import in_process
from tests.support.rig import Backend, Command, Finished, backend_in, read_experiment, wait_until

Doctor = Callable[..., Finished]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with backend_in(tmp_path_factory.mktemp("backend")) as one:
        yield one


@pytest.fixture(params=["older", "newer"])
def doctor(request: pytest.FixtureRequest, place: Backend, tmp_path: Path) -> Doctor:
    """The command, before a backend that answers in one generation of reads only while it is asked."""

    def run(*words: str, **env: str) -> Finished:
        newer = request.param == "newer"
        place.flags(sdb_query_enabled=newer, ch_query_enabled=not newer)
        try:
            return in_process("doctor", *words, cwd=tmp_path, env=place.environment(**env))
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


def plain(place: Backend, data: Any, client: Client | None = None, **options: Any) -> str:
    """Evaluate with the SDK alone; return the experiment's name."""
    client = client or place.client
    done = evaluate(options.pop("call", target), data=data, client=client, max_concurrency=1, **options)
    done.wait()
    client.flush()
    return str(done.experiment_name)


def findings(done: Finished) -> dict[str, list[dict[str, Any]]]:
    """Return code -> its findings."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in done.receipt["findings"]:
        found.setdefault(one["code"], []).append(one)
    return found


def only(done: Finished, code: str) -> dict[str, Any]:
    """Return the one finding of a code."""
    [found] = findings(done)[code]
    return found


def delete_roots(place: Backend, name: str, numbers: set[int]) -> set[str]:
    """Delete the traces of these examples, as a service that forgets them would; return the examples."""
    roots = [
        root
        for root in read_experiment(place.client, name).roots
        if (root.inputs or {}).get("inputs", root.inputs)["i"] in numbers
    ]
    session = place.client.read_project(project_name=name)
    place.delete_traces(session, [str(root.id) for root in roots])
    return {str(root.reference_example_id) for root in roots}


def test_what_is_whole_has_no_finding(place: Backend, doctor: Doctor) -> None:
    def some(outputs: dict[str, Any]) -> dict[str, Any]:
        return {"results": [{"key": "some", "score": 1}] if outputs["i"] % 2 else []}

    name = plain(place, place.dataset(4).name, evaluators=[right, some], num_repetitions=2)
    done = doctor(name, "--json")
    assert (done.code, done.receipt["findings"]) == (0, []), done.receipt["findings"]
    assert doctor(name, "-q").out == "WHOLE: 8 of 8 items have their complete run; no symptom was found\n"


def test_what_was_executed_and_lost_is_told_by_its_evaluators_traces(place: Backend, doctor: Doctor) -> None:
    name = plain(place, place.dataset(5).name, evaluators=[right])
    gone = delete_roots(place, name, {1, 3})
    found = only(doctor(name, "--json", "--recent", "0"), "run-missing")
    assert {one["example"] for one in found["ids"]} == gone
    assert "forgotten" in found["causes"]
    assert "never-started" not in found["causes"]
    assert not found["certain"]
    assert "they were executed" in found["evidence"][0]


def test_what_was_never_executed_is_told_apart_from_what_was_lost(place: Backend, doctor: Doctor) -> None:
    dataset = place.dataset(6)
    examples = list(place.client.list_examples(dataset_id=dataset.id))
    name = place.experiment(dataset)
    plain(place, examples[:4], experiment=name, evaluators=[right])
    lost = delete_roots(place, name, {int((examples[0].inputs or {})["i"])})
    done = doctor(name, "--json", "--recent", "0")
    executed, unseen = sorted(findings(done)["run-missing"], key=lambda one: len(one["ids"]))
    assert {one["example"] for one in executed["ids"]} == lost
    assert {one["example"] for one in unseen["ids"]} == {str(one.id) for one in examples[4:]}
    assert "not-consumed" in unseen["causes"]
    assert "not-consumed" not in executed["causes"]


@pytest.mark.parametrize(
    ("status", "cause"),
    [(429, "rate-limited"), (503, "outage"), (401, "refused"), (413, "too-large")],
)
def test_inside_the_log_and_the_kept_requests_name_the_cause(
    place: Backend, doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, cause: str
) -> None:
    kept, log = tmp_path / "kept", tmp_path / "job.log"
    monkeypatch.setenv("LANGSMITH_FAILED_TRACES_DIR", str(kept))
    cast(Any, get_env_var).cache_clear()
    handler = logging.FileHandler(log)
    logging.getLogger("langsmith").addHandler(handler)
    dataset = place.dataset(3)
    name = place.experiment(dataset)
    examples = list(place.client.list_examples(dataset_id=dataset.id))
    plain(place, examples[:1], experiment=name)
    place.faults({"match": "POST /runs/multipart", "action": "status", "status": status})
    try:
        plain(place, examples[1:2], Client(api_url=place.url, api_key=place.token), experiment=name)
    finally:
        place.faults()
        logging.getLogger("langsmith").removeHandler(handler)
        handler.close()
        cast(Any, get_env_var).cache_clear()
    outside = only(doctor(name, "--json", "--recent", "0"), "run-missing")
    assert cause in outside["causes"]
    assert not outside["certain"]
    words = (name, "--json", "--recent", "0", "--inside", "--logs", str(log))
    found = findings(doctor(*words, LANGSMITH_FAILED_TRACES_DIR=str(kept)))["run-missing"]
    named = {one["example"]: (each["causes"], each["certain"]) for each in found for one in each["ids"]}
    assert named[str(examples[1].id)] == ([cause], True)
    causes, certain = named[str(examples[2].id)]
    assert not certain
    assert set(causes) <= {"never-started", "not-consumed", "exit-early", "forgotten", "forked"}
    assert place.token not in doctor(*words).out


def test_a_log_of_scores_that_were_refused_tells_nothing_of_runs(
    place: Backend, doctor: Doctor, tmp_path: Path
) -> None:
    dataset = place.dataset(3)
    name = place.experiment(dataset)
    plain(place, list(place.client.list_examples(dataset_id=dataset.id))[:2], experiment=name)
    log = tmp_path / "job.log"
    log.write_text(
        "Error creating feedback\nTraceback (most recent call last):\nrequests.exceptions.HTTPError: 401 Client "
        "Error: Unauthorized for url: http://127.0.0.1:1/feedback\n"
    )
    found = only(doctor(name, "--json", "--recent", "0", "--inside", "--logs", str(log)), "run-missing")
    assert "never-started" in found["causes"]
    assert "outage" not in found["causes"]


def test_a_lost_score_and_a_silent_error_are_told_apart_from_an_evaluator_that_says_nothing(
    place: Backend, doctor: Doctor
) -> None:
    scope: dict[str, Any] = {}
    exec(
        "def silent(outputs):\n    if outputs['i'] == 2: raise ValueError('silently')\n    return True", scope
    )
    name = plain(place, place.dataset(3).name, evaluators=[right, scope["silent"]])
    session = place.client.read_project(project_name=name)
    params = {"session": str(session.id)}
    scores = place.client.request_with_retries("GET", "/feedback", params=params).json()
    [victim, *_] = [one for one in scores if one["key"] == "right"]
    place.client.delete_feedback(victim["id"])
    done = doctor(name, "--json")
    assert done.code == 5
    assert set(findings(done)) == {"score-lost", "score-silent"}
    lost, silent = only(done, "score-lost"), only(done, "score-silent")
    assert [(one["run"], one["keys"]) for one in lost["ids"]] == [(victim["run_id"], ["right"])]
    assert (lost["causes"], silent["causes"]) == (["feedback-lost"], ["raised-silently"])
    assert [one["keys"] for one in silent["ids"]] == [["silent"]]


def test_fewer_repetitions_than_the_experiment_was_made_for(place: Backend, doctor: Doctor) -> None:
    dataset = place.dataset(3)
    project = place.client.create_project(
        f"x-{uuid.uuid4()}", reference_dataset_id=dataset.id, num_repetitions=2
    )
    plain(place, dataset.name, experiment=project.name)
    found = only(doctor(str(project.name), "--json", "--recent", "0"), "run-missing")
    assert (found["causes"], found["certain"]) == (["fewer-repetitions"], True)
    assert len(found["ids"]) == 3


def test_runs_in_another_project_are_found_there(place: Backend, doctor: Doctor) -> None:
    dataset = place.dataset(3)
    name = plain(place, dataset.name)
    gone = delete_roots(place, name, {2})
    [example] = gone
    run, elsewhere = str(uuid.uuid4()), f"elsewhere-{uuid.uuid4()}"
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%S000000Z", time.gmtime(now))
    place.client.create_run(
        "target", {"i": 2}, "chain", id=run, trace_id=run, dotted_order=stamp + run, project_name=elsewhere,
        start_time=time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(now)), reference_example_id=example,
    )  # fmt: skip
    place.client.flush()
    found = only(doctor(name, "--json", "--recent", "0"), "run-missing")
    assert (found["causes"], found["certain"]) == (["elsewhere"], True)
    assert elsewhere in found["evidence"][0]


def test_errors_that_were_ignored_are_matched_with_their_examples(place: Backend, doctor: Doctor) -> None:
    def odd(inputs: dict[str, Any]) -> dict[str, Any]:
        if inputs["i"] % 2:
            raise ValueError("odd")
        return inputs

    dataset = place.dataset(4)
    name = plain(place, dataset.name, call=odd, error_handling="ignore")
    done = doctor(name, "--json", "--recent", "0")
    assert only(done, "run-unlinked")["causes"] == ["error-ignored"]
    missing = only(done, "run-missing")
    assert (missing["causes"], missing["certain"], len(missing["ids"])) == (["error-ignored"], True, 2)


def test_an_experiment_for_each_process_is_one_that_was_split(place: Backend, doctor: Doctor) -> None:
    dataset = place.dataset(4)
    examples = list(place.client.list_examples(dataset_id=dataset.id))
    prefix = f"job{uuid.uuid4().hex[:6]}"
    other: list[str] = []

    def first(inputs: dict[str, Any]) -> dict[str, Any]:
        # The second process' experiment begins and ends while this one goes on.
        if not other:
            with ThreadPoolExecutor(1) as pool:
                other.append(pool.submit(plain, place, examples[2:], experiment_prefix=prefix).result(60))
        return inputs

    name = plain(place, examples[:2], call=first, experiment_prefix=prefix)
    done = doctor(name, "--json")
    assert done.code == 0
    found = only(done, "view-split")
    assert found["causes"] == ["elsewhere"]
    assert {one["example"] for one in found["ids"]} == {str(one.id) for one in examples[2:]}
    assert other[0] in doctor(name).out


def test_hidden_inputs_are_said_and_take_nothing_away(place: Backend, doctor: Doctor) -> None:
    client = Client(api_url=place.url, api_key=place.token, hide_inputs=True)
    name = plain(place, place.dataset(2).name, client)
    done = doctor(name, "--json")
    assert (done.code, set(findings(done))) == (0, {"view-inputs-hidden"})


def test_sampling_is_named_where_runs_tell_of_it(place: Backend, doctor: Doctor) -> None:
    client = Client(api_url=place.url, api_key=place.token, tracing_sampling_rate=0.5)
    dataset = place.dataset(16)
    name = plain(place, dataset.name, client, evaluators=[right])
    found = findings(doctor(name, "--json", "--recent", "0"))["run-missing"]
    assert all(one["causes"][0] == "sampled" for one in found)
    inside = findings(
        doctor(name, "--json", "--recent", "0", "--inside", LANGSMITH_TRACING_SAMPLING_RATE="0.5")
    )["run-missing"]
    assert all((one["causes"], one["certain"]) == (["sampled"], False) for one in inside)
    assert all("LANGSMITH_TRACING_SAMPLING_RATE=0.5" in one["evidence"][0] for one in inside)


def test_codes_explain_themselves_and_wrong_words_are_refused(doctor: Doctor, tmp_path: Path) -> None:
    assert doctor("--explain", "forked").out.startswith("forked: processes were forked after")
    assert doctor("--explain", "run-missing").out.startswith("run-missing: examples have fewer")
    wrong = doctor("--explain", "forkd")
    assert wrong.code == 2
    assert "there is no code 'forkd'; there is forked" in wrong.err
    lonely = doctor("--inside")
    assert (lonely.code, lonely.out) == (2, "")
    assert "name it" in lonely.err
    missing = doctor("x", "--logs", str(tmp_path / "none.log"))
    assert missing.code == 2
    assert "none.log cannot be read: No such file or directory" in missing.err


def test_the_story_of_an_example_is_read_back_in_order(
    place: Backend, doctor: Doctor, tmp_path: Path
) -> None:
    def judge(outputs: dict[str, Any]) -> bool:
        raise RuntimeError("judge quota exceeded")

    name = plain(place, place.dataset(2).name, evaluators=[right, judge])
    [gone] = delete_roots(place, name, {1})
    [kept] = [str(root.reference_example_id) for root in read_experiment(place.client, name).roots]

    def story(*words: str) -> Finished:
        return in_process("story", *words, cwd=tmp_path, env=place.environment())

    done = story(name, kept)
    assert done.code == 0
    assert done.out.splitlines()[0] == f"{kept} in {name!r}: 1 complete root runs"
    parts = (
        "the example was made",
        "root run 'Target' began",
        "root run ended",
        "right: False",
        "and raised: ",
    )
    print(done.out)
    order = [done.out.index(part) for part in (*parts[:3], parts[4])]
    assert order == sorted(order)
    assert parts[3] in done.out
    assert "judge: an error of its evaluator" in done.out
    lost = story(name, gone[:13], "--json").receipt
    assert (lost["complete"], len(lost["absent"])) == ([], 1)
    assert "looked at a run that is not there" in story(name, gone).out
    assert f"why: evalrunner doctor {name}" in story(name, gone).out
    for words, said in (
        ((name, str(uuid.uuid4())), "has no example"),
        (("nowhere", kept), "no project 'nowhere'"),
        ((name, kept, "more"), "say EXAMPLE, or EXPERIMENT EXAMPLE"),
        ((name, kept, "--repetition", "0"), "are of a run's ledger"),
    ):
        wrong = story(*words)
        assert (wrong.code, wrong.out) == (2, "")
        assert said in wrong.err


def test_what_may_yet_come_is_waited_for(place: Backend, tmp_path: Path) -> None:
    name = plain(place, place.dataset(3).name)
    [example] = delete_roots(place, name, {1})
    early = only(in_process("doctor", name, "--json", cwd=tmp_path, env=place.environment()), "run-missing")
    assert early["causes"][:2] == ["still-running", "read-lag"]
    place.faults({"match": "GET /examples*", "action": "delay"})
    started = Command(["doctor", name, "--wait", "100", "--json"], cwd=tmp_path, env=place.environment())
    try:
        wait_until(lambda: place.fault_report()["rules"][0]["matched"] > 0, timeout=60, what="the first look")
        now = datetime.now(timezone.utc)
        run = str(uuid.uuid4())
        place.client.create_run(
            "target", {"i": 1}, "chain", id=run, trace_id=run, dotted_order=f"{now:%Y%m%dT%H%M%S%f}Z{run}",
            project_name=name, start_time=now, end_time=now, reference_example_id=example,
        )  # fmt: skip
        place.client.flush()
        done = started.finish(100)
    finally:
        place.faults()
        started.process.kill()
    assert (done.code, done.receipt["findings"]) == (0, [])


def test_a_service_is_tried_and_left_as_it_was(place: Backend, doctor: Doctor) -> None:
    def left() -> set[str]:
        names = {str(one.name) for one in place.client.list_projects()}
        return names | {str(one.name) for one in place.client.list_datasets()}

    before = left()
    done = doctor("--service", "--json")
    assert done.code == 0, done.err
    seen = {one["question"]: one["answer"] for one in done.receipt["seen"]}
    assert seen["a run that is created twice"] == "answered 202, then 409"
    assert seen["a run that is ended twice"] == "answered 202, then 409"
    assert seen["a score that is given twice under one id"].endswith("; 1 there")
    assert seen["a new run in one request with one that is there already"].endswith("was kept")
    assert seen["how long until a run that was accepted can be read"].startswith("answered 202; there after ")
    assert left() == before
    refused = doctor("x", "--service")
    assert (refused.code, refused.out) == (2, "")


def test_the_ledger_of_a_run_of_ours_knows(place: Backend, doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "t.py").write_text("def target(inputs):\n    return inputs\n")
    dataset = place.dataset(3)
    place.faults({"match": "POST /runs/multipart", "action": "forget", "fraction": 1.0})
    try:
        words = (
            "--dataset",
            dataset.name,
            "--target",
            "t.py:target",
            "--workers",
            "1",
            "--visible-deadline",
            "1",
        )
        ran = in_process(*words, "--json", cwd=tmp_path, env=place.environment())
    finally:
        place.faults()
    assert ran.code == 3
    folder = ran.receipt["run_dir"]
    found = only(doctor(ran.receipt["experiment"]["id"], "--json", "--run-dir", folder), "run-missing")
    assert (found["causes"], found["certain"], len(found["ids"])) == (["forgotten"], True, 3)
    assert found["evidence"] == ["the run's ledger: the service has accepted all of it"]
    wrong = doctor(ran.receipt["experiment"]["id"], "--run-dir", str(tmp_path))
    assert wrong.code == 2
    assert "is no folder of a run" in wrong.err


def test_an_evaluator_that_raises_silently_everywhere_is_found(place: Backend, doctor: Doctor) -> None:
    scope: dict[str, Any] = {}
    exec("def silent(outputs):\n    raise ValueError('silently')", scope)
    name = plain(place, place.dataset(60).name, evaluators=[right, scope["silent"]])
    done = doctor(name, "--json")
    assert (done.code, len(only(done, "score-silent")["ids"])) == (5, 60)
