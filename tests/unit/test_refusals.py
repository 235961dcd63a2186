"""What a run is refused for, and what one that broke says: each one sentence, with the way on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests

from evalrunner.config import RunConfig, TargetSpec
from evalrunner.errors import RunFolderError, UsageError
from evalrunner.ledger.ledger import Ledger
from evalrunner.supervisor.setup.folder import RunFolder
from evalrunner.supervisor.setup.refusals import MOST_ITEMS, broken, check_config, check_owner, check_size
from evalrunner.supervisor.setup.scope import Scope

SCOPE = Scope(
    None, UUID(int=1), "x", datetime(2026, 1, 1, tzinfo=timezone.utc), UUID(int=2), "d", 1, (), None, None
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    one = RunFolder(tmp_path / "run")
    yield one
    one.close()


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"spec": TargetSpec("m:t"), "workers": 0}, "--workers is 0"),
        ({"spec": TargetSpec()}, "no target is given"),
        (
            {"spec": TargetSpec("m:t"), "metadata": {"a": 2**70}},
            "--metadata .* a is 1180591620717411303424, and",
        ),
    ],
)
def test_a_configuration_that_nothing_can_be_done_with(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_config(RunConfig(**facts))


def test_objects_from_python_are_a_target() -> None:
    check_config(RunConfig(TargetSpec(pickled=b"")))


def test_a_folder_is_its_experiments(folder: RunFolder) -> None:
    ledger = Ledger(folder.ledger)
    check_owner(ledger, folder, SCOPE)
    ledger.set_meta("experiment_id", str(SCOPE.experiment_id))
    check_owner(ledger, folder, SCOPE)
    ledger.set_meta("experiment_id", "another")
    with pytest.raises(RunFolderError, match="belongs to experiment another"):
        check_owner(ledger, folder, SCOPE)
    ledger.close()


def test_as_many_items_as_a_run_can_hold_and_no_more() -> None:
    check_size(MOST_ITEMS, 1)
    with pytest.raises(UsageError, match=f"{MOST_ITEMS // 2 + 1} examples with 2 repetitions"):
        check_size(MOST_ITEMS // 2 + 1, 2)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (requests.ConnectionError("Connection refused"), "LangSmith cannot be reached (connection refused)"),
        (TimeoutError("timed out"), "LangSmith cannot be reached (it does not answer in time)"),
        (OSError(errno.ENOSPC, "No space left on device"), "the run had to end: "),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "the run had to end: "),
    ],
)
def test_a_run_that_broke_says_why_where_and_how_it_goes_on(
    folder: RunFolder, error: Exception, said: str
) -> None:
    told = broken(error, folder, SCOPE, RunConfig(TargetSpec("m:t"), dataset="d"))
    assert said in told
    assert ("LangSmith" in told) is ("LangSmith" in said)
    assert f"what was produced is in {folder.path}: " in told
    assert "then go on with: evalrunner resume x" in told
