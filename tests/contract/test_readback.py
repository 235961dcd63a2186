"""Reading an experiment back from a real server: by id, page by page, and nothing that is not there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from langsmith import Client

from evalrunner.service.paging import PAGE
from evalrunner.verify.readback import IDS, ReadBack, RootRun
from tests.support.backend import (
    Backend,
    Process,
    body,
    eventually,
    part,
    patch,
    post,
    run_id,
)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    process = Process(tmp_path_factory.mktemp("backend") / "backend.db")
    yield process.backend
    assert process.terminate() == 0


class Shown:
    """An experiment over a dataset, and its reader."""

    def __init__(self, backend: Backend, client: Client, newer: bool, examples: int = 3) -> None:
        self.backend = backend
        dataset = client.create_dataset(f"data-{uuid.uuid4().hex[:8]}")
        rows = [{"inputs": {"x": i}} for i in range(examples)]
        made = client.create_examples(dataset_id=dataset.id, examples=rows)
        self.examples = [str(example) for example in made["example_ids"]]
        self.project = client.create_project(f"e-{uuid.uuid4().hex[:8]}", reference_dataset_id=dataset.id)
        self.client, self.newer = client, newer
        self.reader = ReadBack(client, str(self.project.id), newer=newer)

    def post(self, run: str, **fields: Any) -> bytes:
        return post(run, str(self.project.name), **fields)

    def child(self, run: str, root: str) -> bytes:
        order = f"20260102T030405000006Z{root}.20260102T030405000007Z{run}"
        return self.post(run, trace_id=root, parent_run_id=root, dotted_order=order)

    def score(self, run: str, key: str = "exact", **fields: Any) -> bytes:
        made = {"id": str(uuid.uuid4()), "run_id": run, "trace_id": run, "key": key, **fields}
        return bytes(part(f"feedback.{made['id']}", made))

    def send(self, *parts: bytes) -> None:
        for start in range(0, len(parts), 200):
            answer = self.backend.multipart(body(*parts[start : start + 200]))
            assert answer.status_code == 202, answer.text


@pytest.fixture(params=[False, True], ids=["older reads", "newer reads"])
def shown(backend: Backend, request: pytest.FixtureRequest) -> Iterator[Shown]:
    with backend.client() as client:
        yield Shown(backend, client, request.param)


def test_every_root_run_is_read_once_over_all_pages(shown: Shown) -> None:
    runs = [run_id() for _ in range(2 * PAGE + 50)]
    shown.send(*(shown.post(run, reference_example_id=shown.examples[0]) for run in runs))
    found = eventually(lambda: list(shown.reader.roots()), lambda roots: len(roots) >= len(runs))
    assert sorted(root.id for root in found) == sorted(runs)
    assert {root.example_id for root in found} == {shown.examples[0]}


def test_roots_say_what_is_wrong_with_them(shown: Shown) -> None:
    good, failed, pending, unlinked, child = (run_id() for _ in range(5))
    example = shown.examples[1]
    shown.send(
        shown.post(good, reference_example_id=example),
        shown.post(failed, reference_example_id=example, error="boom"),
        shown.post(pending, reference_example_id=example, end_time=None),
        shown.post(unlinked),
        shown.child(child, good),
    )
    found = eventually(lambda: list(shown.reader.roots()), lambda roots: len(roots) >= 4)
    assert sorted(found, key=lambda root: root.id) == sorted(
        [
            RootRun(good, example, True, None),
            RootRun(failed, example, True, "boom"),
            RootRun(pending, example, False, None),
            RootRun(unlinked, None, True, None),
        ],
        key=lambda root: root.id,
    )


def test_seen_are_the_runs_that_are_there_and_have_ended(backend: Backend, shown: Shown) -> None:
    runs = [run_id() for _ in range(PAGE + 30)]
    child, pending, elsewhere = run_id(), run_id(), run_id()
    with backend.client() as client:
        other = Shown(backend, client, False)
        other.send(other.post(elsewhere))
        eventually(lambda: list(other.reader.roots()), lambda roots: len(roots) == 1)
    shown.send(*map(shown.post, runs), shown.child(child, runs[0]), shown.post(pending, end_time=None))
    asked = [*runs, child, pending, elsewhere, run_id()]
    found = eventually(lambda: shown.reader.seen(asked), lambda seen: len(seen) >= len(runs) + 1)
    assert found == {*runs, child}
    assert shown.reader.seen([]) == set()
    shown.send(patch(pending, end_time="2026-01-02T03:04:06+00:00"))
    eventually(lambda: shown.reader.seen([pending]), lambda seen: seen == {pending})


def test_live_a_run_of_which_the_opening_is_missing_is_not_seen(shown: Shown) -> None:
    """Its end has arrived, linked to its example: without the post that opened it, it has no inputs."""
    whole, headless = run_id(), run_id()
    shown.send(shown.post(whole, inputs={"x": 1}), shown.post(headless, inputs=None))
    live = ReadBack(shown.client, str(shown.project.id), newer=shown.newer, openings=True)
    both = {whole, headless}
    eventually(lambda: shown.reader.seen([*both]), lambda seen: seen == both)
    assert live.seen([*both]) == {whole}
    assert live.once().seen([*both]) == {whole}


def test_scores_are_read_whole_over_all_pages_and_only_those_of_the_runs(shown: Shown) -> None:
    runs = [run_id() for _ in range(60)]
    shown.send(*map(shown.post, runs))
    shown.send(*(shown.score(run, key) for run in runs for key in ("a", "b", "c")))
    found = eventually(lambda: list(shown.reader.scores(runs)), lambda scores: len(scores) >= 180)
    assert sorted((score.run_id, score.key) for score in found) == sorted(
        (run, key) for run in runs for key in "abc"
    )
    assert len({score.id for score in found}) == 180
    assert {score.run_id for score in shown.reader.scores(runs[:2])} == set(runs[:2])
    assert list(shown.reader.scores([])) == []


def test_one_score_a_run_costs_one_request_for_all_that_are_asked_for_at_once(shown: Shown) -> None:
    """A page that is full leaves it open whether there is another one."""
    runs = [run_id() for _ in range(2 * IDS)]
    shown.send(*map(shown.post, runs))
    shown.send(*map(shown.score, runs))
    eventually(lambda: list(shown.reader.scores(runs)), lambda scores: len(scores) == len(runs))
    asked: list[str] = []
    shown.client.session.hooks["response"].append(lambda answer, **_: asked.append(answer.request.path_url))
    assert len(list(shown.reader.scores(runs))) == len(runs)
    assert len(asked) == 2, asked


def test_what_a_score_says(shown: Shown) -> None:
    run = run_id()
    shown.send(
        shown.post(run),
        shown.score(run, "number", score=0.25, comment="so so"),
        shown.score(run, "truth", score=True),
        shown.score(run, "word", value="good"),
        shown.score(run, "failed", comment="boom", extra={"error": True}),
    )
    found = eventually(lambda: list(shown.reader.scores([run])), lambda scores: len(scores) >= 4)
    said = {score.key: (score.score, score.value, score.failed, score.comment) for score in found}
    assert said["number"] == (0.25, None, False, "so so")
    assert said["truth"][0] == 1.0
    assert said["word"] == (None, "good", False, None)
    assert said["failed"][2:] == (True, "boom")


def test_scores_of_the_experiment_itself_are_apart(backend: Backend, shown: Shown) -> None:
    run = run_id()
    shown.send(shown.post(run), shown.score(run))
    with backend.client(auto_batch_tracing=False) as client:
        client.create_feedback(None, "total", score=3, project_id=shown.project.id)
    found = eventually(lambda: list(shown.reader.session_scores()), lambda scores: len(scores) >= 1)
    assert [(score.key, score.run_id, score.score) for score in found] == [("total", None, 3.0)]


def test_an_experiment_without_runs_is_empty(shown: Shown) -> None:
    assert list(shown.reader.roots()) == []
    assert list(shown.reader.session_scores()) == []
