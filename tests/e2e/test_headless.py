"""A run whose beginning the service refused and whose end it took, as the real SDK sends it: pages and `verify`."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
from langsmith import Client, evaluate, traceable
from langsmith.schemas import Example

from evalbackend.web.door import sign_in_path
from tests.support.cli import in_process
from tests.support.rig import Backend, Finished, backend_in, read_experiment, wait_until

Ask = Callable[..., Finished]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with backend_in(tmp_path_factory.mktemp("backend")) as one:
        yield one


@pytest.fixture
def ask(place: Backend, tmp_path: Path) -> Ask:
    return lambda *words: in_process(*words, cwd=tmp_path, env=place.environment())


@traceable
def step(number: int) -> int:
    return number + 1


def headless(place: Backend, *, batched: bool, below: bool) -> tuple[str, list[Example], str]:
    """Evaluate three examples with the SDK, and refuse the first one's create.

    Args:
        below: let its target trace a step.

    Returns:
        The experiment's name, its examples, and the id of the run.
    """
    client = Client(api_url=place.url, api_key=place.token, auto_batch_tracing=batched)
    dataset = place.dataset(3)
    examples = list(client.list_examples(dataset_id=dataset.id))
    refused: dict[str, Any] = {"action": "status", "status": 422, "first_n": 1}
    if batched:
        refused |= {"match": "POST /runs/multipart", "carries": str(examples[0].id)}
    else:
        refused |= {"match": "POST /runs"}
    place.faults(refused)

    def target(inputs: dict[str, Any]) -> dict[str, Any]:
        # Create and end are not to go in one request: the end waits for the create to have been refused.
        wait_until(lambda: place.fault_report()["rules"][0]["fired"], what="the refusal")
        return {"i": step(inputs["i"]) if below else inputs["i"]}

    def right(outputs: dict[str, Any]) -> dict[str, Any]:
        return {"key": "right", "score": "i" in outputs}

    done = evaluate(
        target, data=examples, client=client, max_concurrency=1, evaluators=[right],
        experiment_prefix=f"x-{secrets.token_hex(4)}",
    )  # fmt: skip
    done.wait()
    client.flush()
    client.close()
    place.faults()
    runs = place.truth(str(done.experiment_name))["runs"]
    [run] = [run for run, told in runs.items() if told["post"] == 0]
    assert (runs[run]["patch"], runs[run]["is_root"]) == (1, True)
    assert runs[run]["reference_example_id"] == str(examples[0].id)
    return str(done.experiment_name), examples, run


@pytest.mark.parametrize("batched", [True, False], ids=["batched", "one by one"])
@pytest.mark.parametrize("below", [True, False], ids=["with runs below it", "alone"])
def test_a_root_that_has_only_an_end_counts_for_nothing_and_is_shown(
    place: Backend, ask: Ask, tmp_path: Path, batched: bool, below: bool
) -> None:
    name, examples, run = headless(place, batched=batched, below=below)
    done = ask("verify", name, "--json")
    assert done.code == 3
    found = {one["code"]: one["ids"] for one in done.receipt["symptoms"]}
    assert found == {
        "run-missing": [{"example": str(examples[0].id), "lacks": 1}],
        **({"trace-headless": [{"run": run}]} if below else {}),
    }
    assert run not in {str(one.id) for one in read_experiment(place.client, name).runs}
    experiment = place.client.read_project(project_name=name)
    with requests.Session() as visitor:
        visitor.get(place.url + sign_in_path(place.token), timeout=60)
        page = visitor.get(f"{place.url}/ui/experiments/{experiment.id}", timeout=60).text
        assert re.findall(r'class="row"><b>(\d+)</b> (\w+)', page) == [("1", "headless")]
        assert "2 of 3 items are visible" in page
        assert f"/ui/runs/{run}" in page
        page = visitor.get(f"{place.url}/ui/runs/{run}", timeout=60).text
        assert "Only the end of this run arrived; its beginning was lost" in page
        assert (">step<" in page) is below
    (tmp_path / "t.py").write_text("def target(inputs):\n    return inputs\n")
    words = ("--experiment", name, "--target", "t.py:target", "--workers", "1", "--json")
    mended = ask(*words)
    assert (mended.code, mended.receipt["executions"]) == (0, 1), mended.err
    left = ask("verify", name)
    said = "trace-headless" if below else "no symptom was found"
    assert (left.code, left.out.splitlines()[-1]) == (
        0,
        f"WHOLE: 3 of 3 items have their complete run; {said}",
    )


def test_a_run_that_never_ended_is_no_loss_where_another_has_taken_its_place(
    place: Backend, ask: Ask
) -> None:
    dataset = place.dataset(2)
    done = evaluate(lambda inputs: inputs, data=dataset.name, client=place.client, max_concurrency=1)
    done.wait()
    examples = list(place.client.list_examples(dataset_id=dataset.id))
    run = str(uuid.uuid4())
    place.client.create_run(
        "target", {"i": 0}, "chain", id=run, trace_id=run, dotted_order=f"20260101T000000000000Z{run}",
        start_time=datetime(2026, 1, 1, tzinfo=timezone.utc), project_name=done.experiment_name,
        reference_example_id=examples[0].id,
    )  # fmt: skip
    left = ask("verify", done.experiment_name)
    assert left.code == 0, left.out
    assert left.out.splitlines()[-1] == "WHOLE: 2 of 2 items have their complete run; run-pending"
    [other] = [one for one in read_experiment(place.client, done.experiment_name).roots if str(one.id) != run
               and one.reference_example_id == examples[0].id]  # fmt: skip
    place.delete_traces(place.client.read_project(project_name=done.experiment_name), [str(other.id)])
    left = ask("verify", done.experiment_name)
    assert (left.code, left.out.splitlines()[-1].partition(";")[0]) == (
        3,
        "NOT WHOLE: 1 of 2 items have their complete run",
    )
