"""Examples that were deleted or moved after an experiment had run over them: what page and progress want."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from evalbackend.web.door import sign_in_path
from tests.support.backend import TOKEN, Backend, body, post, run_id, running

LATER = "2200-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("store") / "store.db") as found:
        yield found


@pytest.fixture(scope="module")
def visitor(backend: Backend) -> Iterator[requests.Session]:
    with requests.Session() as session:
        assert session.get(backend.url + sign_in_path(TOKEN), timeout=60).status_code == 200
        yield session


class Made:
    """Six examples, in the splits a, b, a, b, a, b, and an experiment over them as they are now."""

    def __init__(self, backend: Backend, told: int | None = None, times: int = 1, **metadata: Any) -> None:
        self.backend = backend
        self.dataset = backend.call("POST", "/datasets", json={"name": run_id()}).json()["id"]
        self.examples = [self._example(number) for number in range(6)]
        self.version = max(self._read(one)["modified_at"] for one in self.examples)
        kept = {"dataset_version": self.version, "num_repetitions": times, **metadata}
        fields = {"name": run_id(), "reference_dataset_id": self.dataset, "num_examples": told}
        made = backend.call("POST", "/sessions", json={**fields, "extra": {"metadata": kept}})
        self.session = made.json()["id"]

    def _example(self, number: int) -> str:
        fields = {
            "dataset_id": self.dataset,
            "inputs": {"q": number},
            "outputs": {},
            "split": "ab"[number % 2],
        }
        return str(self.backend.call("POST", "/examples", json=fields).json()["id"])

    def _read(self, example: str) -> dict[str, Any]:
        return dict(self.backend.call("GET", f"/examples/{example}").json())

    def run(self, *numbers: int, **fields: Any) -> None:
        told = [
            post(run_id(), "-", session_id=self.session, reference_example_id=self.examples[number], **fields)
            for number in numbers
        ]
        assert self.backend.multipart(body(*told)).status_code == 202

    def delete(self, number: int) -> None:
        assert self.backend.call("DELETE", f"/examples/{self.examples[number]}").status_code == 200

    def move(self, number: int, split: str) -> None:
        changed = self.backend.call("PATCH", f"/examples/{self.examples[number]}", json={"split": split})
        assert changed.status_code == 200

    def shown(self, visitor: requests.Session) -> tuple[int, int]:
        """Return how many items the page plans, and how many of them are visible; the progress must say so, too."""
        url = f"{self.backend.url}/ui/experiments/{self.session}"
        page = visitor.get(url, timeout=60).text
        numbers = {word: int(count) for count, word in re.findall(r"<b>(\d+)</b> (planned|visible)", page)}
        told = self.backend.call("GET", f"/sessions/{self.session}?include_stats=true").json()
        progress = told["experiment_progress"]
        assert progress["expected_run_count"] == numbers["planned"]
        share = numbers["visible"] / numbers["planned"] if numbers["planned"] else 0.0
        assert progress["run_progress"] == pytest.approx(share)
        return numbers["planned"], numbers["visible"]


@pytest.mark.parametrize("told", [None, 6])
def test_what_was_deleted_without_a_run_is_not_missing(
    backend: Backend, visitor: requests.Session, told: int | None
) -> None:
    made = Made(backend, told)
    made.run(0, 1, 2, 3)
    assert made.shown(visitor) == (6, 4)
    made.delete(4)
    assert made.shown(visitor) == (5, 4)
    made.delete(0)  # it has its run, and stays
    assert made.shown(visitor) == (5, 4)
    made.run(4)  # it comes late, and counts
    assert made.shown(visitor) == (6, 5)


def test_what_was_deleted_before_it_had_all_its_runs_is_not_missing(
    backend: Backend, visitor: requests.Session
) -> None:
    made = Made(backend, times=2)
    made.run(0, 1, 2, 3, 4)
    made.run(0, 1, 2, 5)
    made.run(5, end_time=None)
    made.delete(4)
    made.delete(5)
    assert made.shown(visitor) == (8, 7)
    page = visitor.get(f"{backend.url}/ui/experiments/{made.session}/holes?kind=unlinked", timeout=60).text
    assert page.count("deleted before it had all its runs") == 3


def test_what_a_run_of_ours_has_planned_is_missing_though_it_was_deleted(
    backend: Backend, visitor: requests.Session
) -> None:
    made = Made(backend, evalrunner={"version": "0"})
    made.run(0, 1, 2, 3, 4)
    made.delete(5)
    assert made.shown(visitor) == (6, 5)


def test_of_the_first_ones_the_missing_are_named_and_the_deleted_are_not(
    backend: Backend, visitor: requests.Session
) -> None:
    made = Made(backend, told=4)
    made.run(0, 3)
    assert made.shown(visitor) == (4, 2)
    holes = visitor.get(f"{backend.url}/ui/experiments/{made.session}/holes?kind=missing", timeout=60).text
    assert all(f"/ui/examples/{made.examples[number]}" in holes for number in (1, 2))
    made.delete(1)
    made.delete(5)  # it was not meant
    assert made.shown(visitor) == (3, 2)
    made.run(2)
    assert made.shown(visitor) == (3, 3)


def test_of_others_than_the_first_ones_those_without_a_run_cannot_be_named(
    backend: Backend, visitor: requests.Session
) -> None:
    made = Made(backend, told=4)
    made.run(0, 2, 5)
    made.delete(1)  # whether it was meant nobody knows
    assert made.shown(visitor) == (4, 3)


def test_what_a_run_of_ours_has_found_is_planned_as_it_was_then(
    backend: Backend, visitor: requests.Session
) -> None:
    made = Made(backend)
    made.run(0, 2)
    made.move(4, "b")
    made.move(1, "a")
    metadata = {
        "dataset_version": LATER,
        "dataset_splits": ["a", "b"],
        "evalrunner": {"splits": ["a"], "found": {"until": made.version, "splits": ["a"]}},
    }
    answer = backend.call("PATCH", f"/sessions/{made.session}", json={"extra": {"metadata": metadata}})
    assert answer.status_code == 200
    assert made.shown(visitor) == (3, 2)
    changed = {"inputs": {"q": "as it is now"}}
    assert backend.call("PATCH", f"/examples/{made.examples[4]}", json=changed).status_code == 200
    made.run(4)
    assert made.shown(visitor) == (3, 3)
    assert "as it is now" in visitor.get(f"{backend.url}/ui/experiments/{made.session}", timeout=60).text
