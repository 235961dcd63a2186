"""Where a target's code runs: a sync one in one thread from its import to its tear-down, an async one on the loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evalrunner.report.receipt import Receipt
from tests.support.rig import Backend, ExecutionLog, assert_whole

Run = Callable[..., Receipt]


@pytest.mark.parametrize(
    ("target", "factory", "ends"),
    [("Bound", False, {"torn", "left"}), ("factory", True, set()), ("managed", True, {"left"})],
)
def test_a_sync_target_is_imported_set_up_called_and_torn_down_in_one_thread(
    backend: Backend, run: Run, log: ExecutionLog, target: str, factory: bool, ends: set[str]
) -> None:
    receipt = run(
        f"threads.py:{target}",
        "judges.py:right",
        dataset=backend.dataset(4).name,
        factory=factory,
        workers=1,
    )
    assert (receipt.exit_code, receipt.warnings) == (0, []), receipt
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=["right"])
    for root in seen.roots:
        found = dict(root.outputs or {})
        assert found.pop("sum") == (root.inputs or {})["i"] + 1
        assert all(found.values()), found
    assert set(log.counts()) == ends


@pytest.mark.parametrize(
    ("target", "factory"),
    [("Awaiting", False), ("RunsALoopFirst", False), ("async_factory_in_disguise", True)],
)
def test_an_async_target_lives_on_the_event_loop_whatever_its_set_up_wants(
    backend: Backend, run: Run, target: str, factory: bool
) -> None:
    receipt = run(f"threads.py:{target}", dataset=backend.dataset(4).name, factory=factory, workers=1)
    assert (receipt.exit_code, receipt.warnings) == (0, []), receipt
    seen = assert_whole(backend.client, receipt.experiment["name"], keys=[])
    assert all((root.outputs or {})["same"] for root in seen.roots)
