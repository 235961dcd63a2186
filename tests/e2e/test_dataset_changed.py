"""A dataset that was changed after plain `evaluate` had run over it: what was meant is what was there then."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import datetime, timezone

import pytest
import requests
from langsmith import evaluate
from langsmith.schemas import Dataset, Example

from evalbackend.web.door import sign_in_path
from evalrunner.doctor.place import find
from evalrunner.doctor.survey import survey
from evalrunner.doctor.symptoms import complete, symptoms
from evalrunner.report.receipt import Receipt
from tests.support.rig import Backend, ExecutionLog, read_experiment

Run = Callable[..., Receipt]
TARGET = "kinds.py:sync"


class Changed:
    """Nine examples, three to a split, and an experiment; then runs are lost, and examples change."""

    def __init__(self, backend: Backend, *, splits: bool = True) -> None:
        self.backend = backend
        split = {"split": lambda number: [["train", "test", "hard"][number % 3]]} if splits else {}
        self.dataset: Dataset = backend.dataset(9, **split)
        self.name = ""

    def there(self) -> dict[int, Example]:
        examples = self.backend.client.list_examples(dataset_id=self.dataset.id)
        return {int((one.inputs or {})["i"]): one for one in examples}

    def whole(self) -> None:
        self._evaluate(self.dataset.name)

    def first(self, count: int) -> None:
        self._evaluate(list(self.backend.client.list_examples(dataset_id=self.dataset.id))[:count])

    def split(self, *, counted: bool) -> None:
        """Evaluate the split `test`, that is 1, 4 and 7; as a list, the SDK says how many there are."""
        data = self.backend.client.list_examples(dataset_id=self.dataset.id, splits=["test"])
        self._evaluate(list(data) if counted else data)

    def _evaluate(self, data: object) -> None:
        done = evaluate(
            lambda inputs: {"i": inputs["i"]}, data=data, client=self.backend.client, max_concurrency=1
        )  # type: ignore[call-overload]
        done.wait()
        self.name = str(done.experiment_name)

    def lose(self, numbers: Collection[int]) -> None:
        if not numbers:
            return
        experiment = self.backend.client.read_project(project_name=self.name)
        ids = {one.id for number, one in self.there().items() if number in numbers}
        roots = read_experiment(self.backend.client, self.name).roots
        self.backend.delete_traces(
            experiment, [str(one.id) for one in roots if one.reference_example_id in ids]
        )

    def move(self, number: int, split: str) -> None:
        self.backend.client.update_example(self.there()[number].id, split=split)

    def delete(self, number: int) -> None:
        self.backend.client.delete_example(self.there()[number].id)

    def verified(self) -> tuple[int, int, set[str]]:
        """Return how many items `verify` sees meant, how many complete, and the symptoms."""
        seen = survey(find(self.backend.endpoint, self.name))
        found = {one.code.value for one in symptoms(seen, datetime.now(timezone.utc))}
        return len(seen.meant.examples), sum(map(bool, complete(seen).values())), found

    def missing_on_the_page(self) -> int:
        """Return how many items the local backend's page and progress bar lack."""
        experiment = self.backend.client.read_project(project_name=self.name)
        with requests.Session() as visitor:
            visitor.get(self.backend.url + sign_in_path(self.backend.token), timeout=60)
            page = visitor.get(f"{self.backend.url}/ui/experiments/{experiment.id}", timeout=60).text
        told = requests.get(
            f"{self.backend.url}/sessions/{experiment.id}?include_stats=true",
            headers={"x-api-key": self.backend.token},
            timeout=60,
        )
        counts = {word: int(count) for count, word in re.findall(r"<b>(\d+)</b> (planned|visible)", page)}
        assert told.json()["experiment_progress"]["expected_run_count"] == counts["planned"]
        return counts["planned"] - counts["visible"]


def counts(receipt: Receipt) -> tuple[int, int, int]:
    plan = receipt.plan
    return plan["items"], plan["already_complete"], plan["to_run"]


def settled(run: Run, log: ExecutionLog, made: Changed, items: int, lost: Collection[int]) -> None:
    """Plan, complete and plan it again: what was lost of what was meant is executed, and nothing else."""
    plan = run(TARGET, experiment=made.name, plan=True)
    assert counts(plan) == (items, items - len(lost), len(lost)), plan.warnings
    missing = {"run-missing"} if lost else set()
    assert made.verified() == (items, items - len(lost), missing)
    assert made.missing_on_the_page() == len(lost)
    done = run(TARGET, experiment=made.name)
    assert (done.exit_code, done.executions) == (0, len(lost)), done.verdict
    assert log.counts() == {str(number): 1 for number in lost}
    assert counts(run(TARGET, experiment=made.name, plan=True)) == (items, items, 0)
    assert made.verified() == (items, items, set())
    assert made.missing_on_the_page() == 0


@pytest.mark.parametrize("counted", [False, True], ids=["iterator", "list"])
@pytest.mark.parametrize("lost", [(), (4,), (7,), (4, 7)], ids=str)
def test_what_was_moved_to_another_split_since_was_meant(
    backend: Backend, run: Run, log: ExecutionLog, counted: bool, lost: tuple[int, ...]
) -> None:
    made = Changed(backend)
    made.split(counted=counted)
    made.lose(lost)
    made.move(4, "train")
    made.move(0, "test")
    settled(run, log, made, 3, lost)


@pytest.mark.parametrize("lost", [(), (4,), (7,)], ids=str)
def test_what_was_deleted_since_from_a_split_is_not_missing(
    backend: Backend, run: Run, log: ExecutionLog, lost: tuple[int, ...]
) -> None:
    made = Changed(backend)
    made.split(counted=True)
    made.lose(lost)
    made.delete(4)
    settled(run, log, made, 2, set(lost) - {4})


@pytest.mark.parametrize("lost", [(), (2,), (2, 5)], ids=str)
def test_what_was_deleted_since_from_the_dataset_is_not_missing(
    backend: Backend, run: Run, log: ExecutionLog, lost: tuple[int, ...]
) -> None:
    made = Changed(backend, splits=False)
    made.whole()
    made.lose(lost)
    made.delete(2)
    settled(run, log, made, 8, set(lost) - {2})


@pytest.mark.parametrize("lost", [(1,), (2,)], ids=str)
def test_what_was_deleted_since_from_the_first_ones_is_not_missing(
    backend: Backend, run: Run, log: ExecutionLog, lost: tuple[int, ...]
) -> None:
    made = Changed(backend, splits=False)
    made.first(3)
    made.lose(lost)
    made.delete(1)
    settled(run, log, made, 2, set(lost) - {1})
