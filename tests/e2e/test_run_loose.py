"""What passes our client and belongs to no item, and the openings of --live: in the books like the rest."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalrunner.report.receipt import Receipt
from tests.support.rig import Backend, read_experiment, wait_until

Run = Callable[..., Receipt]
SENDING = "POST /runs/multipart"


@pytest.fixture
def faults(backend: Backend) -> Iterator[Callable[..., None]]:
    """Make the service misbehave; it recovers at the test's end."""
    yield lambda **rule: backend.faults({"match": SENDING, "action": "status", **rule})
    backend.faults()


def marked(marker: str) -> dict[str, str]:
    return {"MARKER": marker, "LANGSMITH_TRACING": "true", "LANGSMITH_PROJECT": f"elsewhere-{marker}"}


def spools(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "run" / "spool").glob("*.spool"))


@contextlib.contextmanager
def gate_after_fault(backend: Backend, gate: Path) -> Iterator[None]:
    """Open the gate when the service has misbehaved for the first time."""

    def let_on() -> None:
        wait_until(lambda: backend.fault_report()["rules"][0]["fired"], what="the fault")
        gate.touch()

    watcher = threading.Thread(target=let_on)
    watcher.start()
    yield
    watcher.join()


def test_loose_traces_that_arrive_are_in_the_books(backend: Backend, run: Run, tmp_path: Path) -> None:
    receipt = run("loose.py:background", dataset=backend.dataset(4).name, env=marked(uuid.uuid4().hex))
    assert (receipt.exit_code, receipt.states) == (0, {"visible": 4})
    assert (receipt.loose.promised, receipt.loose.accepted, receipt.loose.visible) == (4, 4, 4)
    assert "nothing was lost" in receipt.verdict
    assert spools(tmp_path) == []


@pytest.mark.parametrize("live", [False, True])
def test_what_never_ends_is_named_and_its_item_is_there_all_the_same(
    backend: Backend, run: Run, tmp_path: Path, live: bool
) -> None:
    """Its end cannot come back: whoever waited for it would execute the item again and again."""
    options: dict[str, Any] = {"env": marked(uuid.uuid4().hex), "grace": 0.2, "workers": 1, "live": live}
    receipt = run("loose.py:never_ends", dataset=backend.dataset(2).name, **options)
    assert (receipt.exit_code, receipt.states) == (0, {"visible": 2}), receipt.items
    said = "\n".join(receipt.warnings)
    assert said.count("1 child run(s) had not ended when their item did") == 2
    assert "2 run(s) outside the items had not ended when their worker did: endless, endless" in said
    options["experiment"] = receipt.experiment["name"]
    again = run("loose.py:never_ends", run_dir=tmp_path / "second", **options)
    assert (again.exit_code, again.executions) == (0, 0)
    seen = read_experiment(backend.client, str(receipt.experiment["name"]))
    assert (len(seen.roots), sorted(one.name for one in seen.pending)) == (2, ["endless child"] * 2)


def test_what_a_set_up_traces_is_in_the_books_too(
    backend: Backend, run: Run, faults: Callable[..., None], tmp_path: Path
) -> None:
    """The SDK would make a client of its own for it, and nobody would count what that one sends."""
    marker = uuid.uuid4().hex
    dataset = backend.dataset(2).name
    receipt = run("loose.py:SetsUp", dataset=dataset, env=marked(marker), workers=1)
    assert receipt.exit_code == 0, receipt.verdict
    assert (receipt.loose.promised, receipt.loose.visible) == (2, 2)
    assert not any("outside the books" in warning for warning in receipt.warnings)
    faults(status=422, carries=f"{marker}-0")
    refused = run(
        "loose.py:SetsUp", dataset=dataset, env=marked(marker), workers=1, run_dir=tmp_path / "second"
    )
    assert refused.exit_code == 3, refused.verdict
    assert [(one.name, one.state) for one in refused.loose.missing] == [("loose_work", "refused")]


@pytest.mark.parametrize(("status", "state"), [(422, "refused"), (202, "not visible")])
def test_a_loose_trace_that_is_refused_or_forgotten_is_a_finding(
    backend: Backend, run: Run, faults: Callable[..., None], tmp_path: Path, status: int, state: str
) -> None:
    marker = uuid.uuid4().hex
    # 202 is a service that accepts and forgets.
    faults(status=status, carries=f"{marker}-0")
    env = {**marked(marker), "GATE": str(tmp_path / "gate")}
    options: dict[str, Any] = {"env": env, "visible_deadline": 1.0, "workers": 1}
    with gate_after_fault(backend, tmp_path / "gate"):
        receipt = run("loose.py:background_and_gate", dataset=backend.dataset(3).name, **options)
    assert receipt.exit_code == 3, receipt.verdict
    assert not receipt.complete
    assert "nothing was lost" not in receipt.verdict
    assert f"outside the items 1 {state}" in receipt.verdict
    (entry,) = receipt.loose.missing
    assert (entry.kind, entry.name, entry.project) == ("post", "loose_work", f"elsewhere-{marker}")
    assert ("422" if status == 422 else "does not come back") in entry.reason
    assert spools(tmp_path), "it can be sent again"
    # Still so for whoever goes on while the service is as before; and well when it is well again.
    options["experiment"] = receipt.experiment["name"]
    again = run("loose.py:background_and_gate", **options)
    assert (again.exit_code, len(again.loose.missing), again.executions) == (3, 1, 0)
    backend.faults()
    healed = run("loose.py:background_and_gate", **options)
    assert (healed.exit_code, healed.loose.missing, healed.executions) == (0, [], 0)
    assert spools(tmp_path) == []


def test_what_a_dead_worker_traced_is_sent_on_and_its_refusal_said(
    backend: Backend, run: Run, faults: Callable[..., None], tmp_path: Path
) -> None:
    marker = uuid.uuid4().hex
    faults(status=422, carries=f"{marker}-2")
    env = {**marked(marker), "DIED": str(tmp_path / "died")}
    receipt = run("loose.py:background_and_death", dataset=backend.dataset(5).name, env=env, workers=1)
    assert receipt.exit_code == 3, receipt.verdict
    assert receipt.restarts == 1
    assert receipt.states == {"visible": 5}
    # The item was begun twice, and traced each time.
    assert [entry.state for entry in receipt.loose.missing] == ["refused"] * 2
    assert receipt.loose.promised == 6
    assert receipt.loose.visible == 4


def test_a_score_on_another_run(backend: Backend, run: Run, faults: Callable[..., None]) -> None:
    marker = uuid.uuid4().hex
    env = marked(marker)
    dataset = backend.dataset(2).name
    good = run("loose.py:scores_elsewhere", dataset=dataset, env=env)
    assert (good.exit_code, good.loose.promised, good.loose.visible) == (0, 2, 2)
    faults(status=422, carries=marker)
    receipt = run(
        "loose.py:scores_elsewhere", dataset=dataset, env=env, run_dir=Path(good.run_dir).parent / "second"
    )
    assert receipt.exit_code == 3, receipt.verdict
    assert {(entry.kind, entry.name) for entry in receipt.loose.missing} == {("feedback", "loose-score")}


def test_a_score_that_can_ride_with_no_trace_and_is_refused(
    backend: Backend, run: Run, faults: Callable[..., None]
) -> None:
    backend.faults({"match": "POST /feedback", "action": "status", "status": 422})
    receipt = run("loose.py:scores_nothing", dataset=backend.dataset(2).name)
    backend.faults()
    assert receipt.exit_code == 3, receipt.verdict
    assert [(entry.kind, entry.name) for entry in receipt.loose.missing] == [("feedback", "alone")] * 2
    # There is nothing that could be sent again: the next run does not say it for ever.
    again = run("loose.py:scores_nothing", experiment=receipt.experiment["name"])
    assert (again.exit_code, again.executions) == (0, 0)


def test_live_an_opening_that_is_refused_is_its_items_refusal(
    backend: Backend, run: Run, faults: Callable[..., None], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    faults(status=422, carries='{"i":0}')
    receipt = run(
        "loose.py:waits", dataset=backend.dataset(3).name, live=True, workers=1, env={"GATE": str(gate)}
    )
    assert receipt.exit_code == 3, receipt.verdict
    assert receipt.states == {"visible": 2, "not delivered": 1}
    (item,) = [item for item in receipt.items if item.state == "not delivered"]
    assert "the post that opens its trace was refused" in str(item.reason)
    assert receipt.loose.promised == 0, "an opening belongs to its item"
    backend.faults()
    again = run("loose.py:waits", experiment=receipt.experiment["name"], live=True)
    assert (again.exit_code, again.executions) == (0, 0)


def test_live_an_opening_that_is_forgotten_leaves_its_item_not_visible(
    backend: Backend, run: Run, faults: Callable[..., None], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    faults(status=202, carries='{"i":0}')
    options: dict[str, Any] = {
        "live": True,
        "workers": 1,
        "env": {"GATE": str(gate)},
        "visible_deadline": 1.0,
    }
    with gate_after_fault(backend, gate):
        receipt = run("loose.py:waits", dataset=backend.dataset(3).name, **options)
    assert receipt.exit_code == 3, receipt.verdict
    assert receipt.states == {"visible": 2, "not visible": 1}
    backend.faults()
    again = run("loose.py:waits", experiment=receipt.experiment["name"], **options)
    assert (again.exit_code, again.executions) == (0, 0)
    roots = read_experiment(backend.client, receipt.experiment["name"]).roots
    assert sorted((root.inputs or {}).get("i", -1) for root in roots) == [0, 1, 2]
