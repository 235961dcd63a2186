"""The end of a run against a real server: metadata, summary evaluators, and what can be let go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from langsmith import Client

from evalrunner.config import Endpoint, TargetSpec
from evalrunner.protocol.lease import ItemState
from evalrunner.service.client import make_client
from evalrunner.supervisor.core.events import Renamed
from evalrunner.supervisor.finish import finish
from evalrunner.supervisor.outcome import Outcome
from evalrunner.verify.codes import Code
from tests.support.leftover import Leftover
from tests.support.rig import Backend

S = ItemState
Make = Callable[..., Leftover]


def finished(one: Leftover, client: Client | None = None, **facts: Any) -> Outcome:
    outcome = one.outcome(**facts)
    finish(one.context, client or one.link.client, one.engine, outcome, lambda: 0)
    return outcome


def codes(outcome: Outcome) -> list[Code]:
    return [one.code for one in outcome.findings]


def test_the_experiment_is_described_once_over_all_of_the_dataset(left: Make) -> None:
    one = left(2)
    for item in (1, 2):
        one.lease(item, item, S.VISIBLE)
    one.ledger.set_meta("evaluators", {"judge": ["good"]})
    outcome = finished(one)
    assert outcome.findings == []
    first = one.link.client.read_project(project_name=one.name).metadata
    assert first["dataset_version"] == one.reading.version
    assert first["num_repetitions"] == 1
    assert first["evalrunner"]["guessed"] == {"judge": ["good"]}
    finished(one)
    assert one.link.client.read_project(project_name=one.name).metadata == first


@pytest.mark.parametrize("state", [S.PRODUCED, S.NOT_DELIVERED, S.ACCEPTED, S.NOT_VISIBLE])
def test_a_spool_stays_as_long_as_something_in_it_has_not_come_back(left: Make, state: ItemState) -> None:
    one = left(2)
    one.lease(1, 1, state)
    one.lease(2, 2, S.VISIBLE)
    owes, done = one.spool((1, 1)), one.spool((2, 2), name="000002")
    of_an_earlier_lease = one.spool((1, 0), name="000003")
    unreadable = one.folder.spool / "000004.spool"
    unreadable.write_bytes(b"no spool")
    (one.folder.boards / "000001.board").write_bytes(b"")
    finished(one)
    there = {path.name for path in one.folder.spool.iterdir()}
    assert there == {owes.name, unreadable.name}, (done, of_an_earlier_lease)
    assert list(one.folder.boards.iterdir()) == []


def test_nothing_is_left_of_a_run_whose_items_are_all_visible(left: Make) -> None:
    one = left(1)
    one.lease(1, 1, S.VISIBLE)
    one.spool((1, 1))
    finished(one)
    assert list(one.folder.spool.iterdir()) == []


def test_a_service_that_is_gone_costs_a_warning_and_no_result(left: Make) -> None:
    one = left(1)
    one.lease(1, 1, S.PRODUCED)
    path = one.spool((1, 1))
    outcome = finished(one, make_client(Endpoint("http://127.0.0.1:9", key="k"), retries=0))
    assert codes(outcome) == [Code.METADATA_UNWRITTEN]
    assert "127.0.0.1:9 cannot be reached" in outcome.silence
    assert path.exists()


def test_summary_evaluators_wait_until_everything_is_visible(left: Make) -> None:
    one = left(2, spec=TargetSpec("m:t", summary_evaluators=("m:s",)))
    one.lease(1, 1, S.VISIBLE)
    assert codes(finished(one)) == [Code.SUMMARY_WAITS]
    one.lease(2, 2, S.VISIBLE)
    assert codes(finished(one, stopped=True)) == [Code.SUMMARY_WAITS]


def test_where_runs_may_lie_that_went_to_the_old_name_is_said(left: Make, backend: Backend) -> None:
    one = left(1)
    one.lease(1, 1, S.NOT_VISIBLE)
    one.context.heed(Renamed(f"old-{one.name}", one.name))
    one.context.course.scope = replace(one.context.scope, name=one.name)
    assert codes(finished(one)) == []
    backend.client.create_project(f"old-{one.name}")
    assert codes(finished(one)) == [Code.STRAY_RUNS]


def test_an_experiment_that_was_deleted_at_last_is_not_described(left: Make, backend: Backend) -> None:
    one = left(1)
    one.lease(1, 1, S.VISIBLE)
    one.context.watch.begin(one.context.scope)
    backend.client.delete_project(project_name=one.name)
    outcome = finished(one)
    assert outcome.gone == f"the experiment '{one.name}' was deleted while the run went on"
    assert [found.code for found in one.context.course.findings] == [Code.EXPERIMENT_DELETED]
    assert outcome.findings == [], "what the course found is added by the session"
