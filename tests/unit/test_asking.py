"""What is asked of one worker alone, of a script here: to import what the user named, and to summarise."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from langsmith import Client
from langsmith.schemas import TracerSession

from evalrunner.clock import ManualClock
from evalrunner.config import RunConfig, TargetSpec
from evalrunner.engines.scripted import ScriptedEngine, ScriptedWorker
from evalrunner.errors import TargetError
from evalrunner.protocol.messages import Message
from evalrunner.protocol.orders import Summarise
from evalrunner.protocol.reports import Leaving, Ready, Report, StartFailed, Summarised
from evalrunner.protocol.worker import COULD_NOT_START
from evalrunner.supervisor.setup.check import preflight
from evalrunner.supervisor.summarise import summarise
from evalrunner.verify.facts import Summary
from evalrunner.verify.readback import ReadBack, Score
from tests.support.scripts import Diligent
from tests.support.shell import BEGAN, ENDPOINT, Run

Deed = Callable[[ScriptedWorker], None]


class Does(Diligent):
    """Does one thing when it is born, and another when it is told to summarise."""

    def __init__(self, at_birth: Deed = lambda _: None, told_to: Deed = lambda _: None) -> None:
        super().__init__()
        self.at_birth, self.told_to = at_birth, told_to

    def born(self, worker: ScriptedWorker) -> None:
        self.at_birth(worker)

    def told(self, worker: ScriptedWorker, order: Message) -> None:
        assert isinstance(order, Summarise)
        assert order.runs == {"run": "example"}
        assert order.as_of == "v1"
        self.told_to(worker)


def says(*messages: Message, then: int | None = None) -> Deed:
    def deed(worker: ScriptedWorker) -> None:
        for message in messages:
            worker.say(message)
        if then is not None:
            worker.die(then)

    return deed


# -- can it be imported? -----------------------------------------------------------------------------


def check(deed: Deed, folder: Path, limit: float = 600.0) -> Ready:
    engine = ScriptedEngine(lambda _: Does(deed), ManualClock(), latency=0.01)
    config = RunConfig(TargetSpec(target="t.py:t"), setup_timeout=limit)
    try:
        with preflight(engine, config, ENDPOINT, folder / "log") as answer:
            return answer()
    finally:
        assert engine.workers[0].order.role == "check"
        assert engine.workers[0].exitcode() is not None, "the process is gone, whatever it said"
        assert engine.wait(0.0) == []


def test_what_can_be_imported_is_answered_with_what_it_is(tmp_path: Path) -> None:
    ready = Ready(1, 8, {"exact": ["exact"]})
    assert check(says(ready), tmp_path) == ready
    assert check(says(ready, then=0), tmp_path) == ready, "its last word counts"


@pytest.mark.parametrize(
    ("deed", "limit", "said"),
    [
        (says(StartFailed("no module 'x'", "Traceback"), then=COULD_NOT_START), 600.0, "^no module 'x'$"),
        (says(then=-signal.SIGSEGV), 600.0, "target and evaluators was killed by SIGSEGV$"),
        (says(Report()), 0.0, r"still loading after 0 s \(--setup-timeout\)"),
    ],
)
def test_what_cannot_is_answered_with_why(tmp_path: Path, deed: Deed, limit: float, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        check(deed, tmp_path, limit)


# -- the summary evaluators --------------------------------------------------------------------------


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Callable[..., tuple[Summary, ScriptedEngine]]]:
    run = Run(tmp_path, items=1, workers=1)

    def asked(deed: Deed, stops: Callable[[], int] = lambda: 0) -> tuple[Summary, ScriptedEngine]:
        engine = ScriptedEngine(lambda _: Does(told_to=deed), run.clock, latency=0.01)
        session = TracerSession(
            id=uuid.UUID(int=9), start_time=BEGAN, name="x", tenant_id=uuid.UUID(int=2),
            reference_dataset_id=uuid.UUID(int=1), extra={"metadata": {"dataset_version": "v1"}},
        )  # fmt: skip
        client = SimpleNamespace(read_project=lambda project_id: session)
        there = [Score("s1", None, "mean", 0.5, None, failed=False, comment=None)]
        readback = SimpleNamespace(session_scores=lambda: there)
        summary = summarise(
            run.context, cast(Client, client), engine, cast(ReadBack, readback), {"run": "example"}, stops
        )
        assert engine.workers[0].exitcode() is not None
        assert engine.wait(0.0) == []
        return summary, engine

    yield asked
    run.close()


def scores(**ids: str) -> dict[str, dict[str, Any]]:
    return {key: {"id": each, "score": 0.5, "value": None, "comment": None} for key, each in ids.items()}


def test_scores_are_visible_that_come_back(ask: Callable[..., tuple[Summary, ScriptedEngine]]) -> None:
    summary, _ = ask(says(Summarised(scores(mean="s1", most="s2"), {"least": "ValueError: empty"})))
    assert {key: score["visible"] for key, score in summary.scores.items()} == {"mean": True, "most": False}
    assert summary.errors == {"least": "ValueError: empty"}


def test_what_its_process_came_to_is_said(ask: Callable[..., tuple[Summary, ScriptedEngine]]) -> None:
    summary, _ = ask(says(then=-signal.SIGKILL))
    assert summary.errors["process"].startswith("it was killed by SIGKILL; see ")
    summary, _ = ask(lambda worker: worker.babble("no message"))
    assert summary.errors["process"].startswith("it was killed by SIGKILL; see ")
    summary, _ = ask(says(Summarised({}, {}), then=0))
    assert summary.errors == {}, "its last word counts"
    summary, _ = ask(says(Leaving("TargetError: no such name"), then=4))
    assert summary.errors == {"process": "TargetError: no such name"}


def test_whoever_stops_the_run_does_not_wait_for_it(
    ask: Callable[..., tuple[Summary, ScriptedEngine]],
) -> None:
    summary, engine = ask(lambda _: None, lambda: 1)
    assert summary.errors == {"process": "it was interrupted; the same command runs them again"}
    assert engine.clock.monotonic() < 1001.0


def test_what_it_leaves_running_is_ended(ask: Callable[..., tuple[Summary, ScriptedEngine]]) -> None:
    def leaves(worker: ScriptedWorker) -> None:
        worker.left = ["daemon"]
        worker.say(Summarised({}, {}))

    _, engine = ask(leaves)
    assert engine.end_leftovers() == []
