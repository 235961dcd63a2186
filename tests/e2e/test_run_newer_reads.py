"""Against a service that has given up the older reads (`/runs/query`): the whole of the main job, by /api/v2."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.rig import Backend, ExecutionLog, assert_whole, backend_in, evalrunner

TARGETS = Path(__file__).resolve().parent / "targets"
WHAT = (
    *("--target", f"{TARGETS}/kinds.py:sync", "--evaluator", f"{TARGETS}/judges.py:right"),
    *("--summary-evaluator", f"{TARGETS}/judges.py:total", "--workers", "2", "--json"),
)


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A backend of its own: its flags are not those of the others' tests."""
    with backend_in(tmp_path_factory.mktemp("newer")) as backend:
        yield backend


@pytest.mark.parametrize("prefix", ["", "/api", "/api/v1"])
def test_a_run_is_confirmed_found_complete_and_completed(
    newer: Backend, tmp_path: Path, log: ExecutionLog, prefix: str
) -> None:
    dataset = newer.dataset(12)
    env = newer.environment(EXECUTIONS=str(log.path), LANGSMITH_ENDPOINT=newer.url + prefix)
    newer.flags(ch_query_enabled=False, sdb_query_enabled=True)
    first = evalrunner("--dataset", dataset.name, *WHAT, cwd=tmp_path, env=env)
    assert first.code == 0, first.err
    assert first.receipt["summary"]["total"] == sum(range(1, 13))
    name = first.receipt["experiment"]["name"]
    second = evalrunner("--experiment", name, *WHAT, cwd=tmp_path, env=env)
    assert (second.code, second.receipt["executions"]) == (0, 0), second.err

    newer.flags(ch_query_enabled=True, sdb_query_enabled=False)
    before = assert_whole(newer.client, name, keys=["right"], children=1)
    gone = before.roots[::4]
    newer.delete_traces(before.project, [str(root.id) for root in gone])
    newer.flags(ch_query_enabled=False, sdb_query_enabled=True)
    third = evalrunner("--experiment", name, *WHAT, cwd=tmp_path, env=env)
    assert (third.code, third.receipt["executions"]) == (0, len(gone)), third.err
    newer.flags(ch_query_enabled=True, sdb_query_enabled=False)
    assert_whole(newer.client, name, keys=["right"], children=1)


def test_what_belongs_to_no_item_is_read_back_too(newer: Backend, tmp_path: Path, log: ExecutionLog) -> None:
    newer.flags(ch_query_enabled=False, sdb_query_enabled=True)
    env = newer.environment(EXECUTIONS=str(log.path), MARKER="newer", LANGSMITH_TRACING="true")
    target = ("--target", f"{TARGETS}/loose.py:background", "--workers", "1", "--json")
    done = evalrunner("--dataset", newer.dataset(3).name, *target, cwd=tmp_path, env=env)
    newer.flags(ch_query_enabled=True, sdb_query_enabled=False)
    assert done.code == 0, done.err
    loose = done.receipt["loose"]
    assert (loose["promised"], loose["accepted"], loose["visible"]) == (3, 3, 3)


def test_a_run_that_is_there_is_scored_over_what_it_recorded(
    newer: Backend, tmp_path: Path, log: ExecutionLog
) -> None:
    env = newer.environment(EXECUTIONS=str(log.path))
    newer.flags(ch_query_enabled=False, sdb_query_enabled=True)
    target = ("--target", f"{TARGETS}/kinds.py:sync", "--workers", "1", "--json")
    judges = ("--evaluator", f"{TARGETS}/judging.py:sees", "--evaluator", f"{TARGETS}/judging.py:never")
    first = evalrunner("--dataset", newer.dataset(2).name, *target, *judges[2:], cwd=tmp_path, env=env)
    assert first.code == 0, first.err
    name = first.receipt["experiment"]["name"]
    other = ("--run-dir", str(tmp_path / "elsewhere"))
    second = evalrunner("--experiment", name, *target, *judges, *other, cwd=tmp_path, env=env)
    newer.flags(ch_query_enabled=True, sdb_query_enabled=False)
    assert (second.code, second.receipt["executions"], second.receipt["scored"]) == (0, 0, 2), second.err
    seen = assert_whole(newer.client, name, keys=["sees"], children=1)
    told = [score.comment or "" for scores in seen.feedback.values() for score in scores]
    assert all("'add'" in text for text in told), told
