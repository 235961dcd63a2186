"""Receipts from a real ledger: every planned item is in it, and in every denominator."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from langsmith.schemas import TracerSession
from langsmith.utils import LangSmithConnectionError, LangSmithError

from evalrunner.config import RunConfig, TargetSpec
from evalrunner.ledger.columns import evaluated_json
from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.ids import root_run_id
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.reports import ProducedItem, Ready
from evalrunner.protocol.rows import WorkerRow
from evalrunner.report.account import account
from evalrunner.report.receipt import EvaluatorErrors, Receipt
from evalrunner.supervisor.conclude import conclude
from evalrunner.supervisor.outcome import Outcome
from evalrunner.supervisor.setup.dataset import Reading
from evalrunner.supervisor.setup.folder import RunFolder
from evalrunner.supervisor.setup.plan import Plan
from evalrunner.supervisor.setup.scope import Scope
from evalrunner.verify import findings
from evalrunner.verify.facts import Summary
from evalrunner.verify.readback import ReadBack, RootRun, Score

S = ItemState
EPOCH = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
EXPERIMENT, DATASET = uuid.uuid4(), uuid.uuid4()


class Experiment:
    """What the experiment shows, as the reader hands it out."""

    def __init__(self) -> None:
        self.shown: list[RootRun] = []
        self.given: list[Score] = []
        self.broken = False
        #: Run id -> what the service does when it is asked for its scores; "" for whichever.
        self.fails: dict[str, Exception] = {}
        self.asked = 0

    def once(self) -> Experiment:
        return self

    def seen(self, run_ids: Sequence[str]) -> set[str]:
        return set()

    def roots(self) -> Iterator[RootRun]:
        if self.broken:
            raise ConnectionError("gone")
        yield from self.shown

    def scores(self, run_ids: Sequence[str]) -> Iterator[Score]:
        self.asked += 1
        for run_id, error in self.fails.items():
            if run_id in ("", *run_ids):
                raise error
        yield from (score for score in self.given if score.run_id in run_ids)


class Run:
    """A run of the command over so many examples, each in a state of its own."""

    def __init__(self, path: Path, states: Sequence[ItemState], before: int = 0) -> None:
        self.folder = RunFolder(path)
        self.ledger = Ledger(self.folder.ledger)
        self.examples = [str(uuid.uuid5(DATASET, str(n))) for n in range(len(states))]
        self.experiment = Experiment()
        with self.ledger.transaction():
            self.ledger.put_examples((example, orjson.dumps({"id": example})) for example in self.examples)
            self.ledger.add_items((example, 0) for example in self.examples)
            self.session = self.ledger.begin_session("now")
            for item, state in enumerate(states, 1):
                self.write(item, state)
        keys = [(example, 0) for example in self.examples]
        complete = {
            key: RootRun(self.run_id(n), key[0], True, None) for n, key in enumerate(keys[:before], 1)
        }
        self.plan = Plan(complete, keys[before:])

    def run_id(self, item: int) -> str:
        return str(root_run_id(EXPERIMENT, uuid.UUID(self.examples[item - 1]), 0, 1, EPOCH))

    def write(self, item: int, state: ItemState, error: str | None = None) -> None:
        made = ProducedItem(item, item, [self.run_id(item)], [], [], error, [], 1.0)
        if state in (S.PRODUCED, S.ACCEPTED, S.VISIBLE, S.NOT_DELIVERED, S.NOT_VISIBLE):
            self.ledger.produced(made, 1)
        reason = {S.NOT_DELIVERED: "422: too deep", S.FAILED: "2 workers died"}.get(state)
        self.ledger.move(item, state, attempt=1, token=item, session=self.session, reason=reason)
        if state is S.VISIBLE:
            example = self.examples[item - 1]
            self.experiment.shown.append(RootRun(self.run_id(item), example, True, error))

    def score(self, item: int, key: str, score: float | None = None, **more: Any) -> None:
        facts = {"value": None, "failed": False, "comment": None, **more}
        self.experiment.given.append(Score(str(uuid.uuid4()), self.run_id(item), key, score, **facts))

    def outcome(self, **more: Any) -> Outcome:
        session = TracerSession(
            id=EXPERIMENT,
            start_time=EPOCH,
            name="desk-1",
            tenant_id=uuid.uuid4(),
            reference_dataset_id=DATASET,
        )
        scope = Scope(session, EXPERIMENT, "desk-1", EPOCH, DATASET, "desk", 1, (), None, None)
        return Outcome(
            config=RunConfig(TargetSpec("m:t")),
            scope=scope,
            reading=Reading(dict.fromkeys(self.examples), "v1", {"base"}),
            plan=self.plan,
            ledger=self.ledger,
            folder=self.folder,
            readback=cast(ReadBack, self.experiment),
            session=self.session,
            **more,
        )

    def receipt(self, *, plan_only: bool = False, **more: Any) -> Receipt:
        return account(conclude(self.outcome(**more), plan_only=plan_only))


Make = Callable[..., Run]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    runs: list[Run] = []

    def begin(*states: ItemState, before: int = 0) -> Run:
        runs.append(Run(tmp_path / f"run{len(runs)}", states, before))
        return runs[-1]

    yield begin
    for run in runs:
        run.ledger.close()
        run.folder.close()


def test_every_state_of_the_ledger_has_its_word_in_the_receipt(make: Make) -> None:
    run = make(*sorted(S))
    receipt = run.receipt()
    found = {state: (item.state, item.reason) for state, item in zip(sorted(S), receipt.items, strict=True)}
    stopped = ("not run", "the run was stopped")
    unread = ("not visible", "accepted, and not read back before the run was stopped")
    assert {state: said for state, said in found.items() if state is not S.FAILED} == {
        S.AVAILABLE: stopped,
        S.LEASED: stopped,
        S.RETRYABLE: stopped,
        S.CANCELLED: stopped,
        S.PRODUCED: ("not delivered", "not sent before the run was stopped"),
        S.NOT_DELIVERED: ("not delivered", "422: too deep"),
        S.ACCEPTED: unread,
        S.NOT_VISIBLE: unread,
        S.VISIBLE: ("visible", None),
    }
    assert "2 workers died" in (found[S.FAILED][1] or "")
    assert sum(receipt.states.values()) == len(receipt.items) == len(S)
    assert (receipt.complete, receipt.exit_code) == (False, 3)
    books = receipt.books
    assert (books.produced, books.accepted, books.visible) == (5, 3, 1)


def test_items_come_in_the_datasets_order_with_their_run(make: Make) -> None:
    run = make(S.VISIBLE, S.AVAILABLE, S.ACCEPTED)
    receipt = run.receipt()
    assert [item.example_id for item in receipt.items] == run.examples
    assert [item.run_id for item in receipt.items] == [run.run_id(1), None, run.run_id(3)]


def test_all_visible(make: Make) -> None:
    receipt = make(S.VISIBLE, S.VISIBLE, S.VISIBLE, before=1).receipt(stopped=False)
    assert [item.state for item in receipt.items] == ["already complete", "visible", "visible"]
    assert (receipt.complete, receipt.exit_code, receipt.command) == (True, 0, None)
    assert receipt.plan == {
        "examples": 3,
        "repetitions": 1,
        "items": 3,
        "already_complete": 1,
        "to_run": 2,
        "to_score": 0,
    }


def test_what_was_visible_and_is_gone_at_the_last_look_is_not_visible(make: Make) -> None:
    run = make(S.VISIBLE, S.VISIBLE)
    del run.experiment.shown[0]
    receipt = run.receipt()
    assert [item.state for item in receipt.items] == ["not visible", "visible"]
    assert receipt.items[0].reason == "it was visible, and is no longer"
    assert receipt.books.visible == receipt.states["visible"], "the third book and the items say the same"
    assert receipt.exit_code == 3


def test_a_run_that_only_counts_like_ours_does_not_stand_for_ours(make: Make) -> None:
    """As many runs as items, and yet one item is not there."""
    run = make(S.VISIBLE, S.VISIBLE)
    run.experiment.shown[0] = RootRun("stranger", run.examples[1], True, None)
    receipt = run.receipt()
    assert [item.state for item in receipt.items] == ["not visible", "visible"]
    assert [(item.run_id, item.state) for item in receipt.duplicates] == [("stranger", "duplicate")]


def test_strangers_are_named_with_their_reason(make: Make) -> None:
    run = make(S.VISIBLE)
    run.experiment.shown += [RootRun("p", run.examples[0], False, None), RootRun("q", None, True, None)]
    assert run.receipt().strangers == ["p: pending: it has no end", "q: not linked to an example"]


def test_an_item_whose_target_raised_is_failed_and_visible(make: Make) -> None:
    run = make(S.VISIBLE, S.VISIBLE)
    run.write(2, S.VISIBLE, "ValueError: three")
    receipt = run.receipt()
    assert [(item.state, item.error) for item in receipt.items] == [
        ("visible", None),
        ("failed", "ValueError: three"),
    ]
    assert (receipt.complete, receipt.exit_code) == (True, 1)


def test_an_item_that_was_given_up_had_no_more_attempts_than_it_may_have(make: Make) -> None:
    """Its error run bears the next number, so that no attempt's id is used twice; nothing was executed for it."""
    run = make(S.VISIBLE, S.VISIBLE)
    run.write(2, S.VISIBLE, "evalrunner: 2 workers died while they executed it")
    run.ledger.move(2, S.VISIBLE, attempt=3, deaths=2, worker=0)
    assert [item.attempt for item in run.receipt().items] == [1, 2]


def test_a_mean_never_leaves_out_what_is_missing_or_failed_from_the_count(make: Make) -> None:
    run = make(S.VISIBLE, S.VISIBLE, S.VISIBLE, S.ACCEPTED, S.AVAILABLE, before=1)
    run.ledger.set_meta("evaluators", {"judge": ["exact", "never"]})
    run.score(1, "exact", 1.0)
    run.score(2, "exact", 0.0)
    run.score(3, "exact", failed=True, comment="boom")
    run.score(1, "word", value="good")
    run.score(2, "word", value="good")
    run.score(3, "word", value="bad")
    entries = {entry.key: entry for entry in run.receipt().evaluators}
    assert set(entries) == {"exact", "word"}, "a key that was only guessed makes no row"
    exact, word = entries["exact"], entries["word"]
    assert (exact.n, exact.errors, exact.missing, exact.of, exact.mean) == (2, 1, 2, 5, 0.5)
    assert (word.n, word.missing, word.of, word.mean) == (3, 2, 5, None)
    assert word.values == {"good": 2, "bad": 1}
    for entry in entries.values():
        assert entry.n + entry.errors + entry.missing == entry.of == 5


def test_scores_of_runs_that_do_not_count_are_not_counted(make: Make) -> None:
    run = make(S.VISIBLE)
    run.experiment.given.append(Score("s", "stranger", "exact", 1.0, None, failed=False, comment=None))
    assert run.receipt().evaluators == []


def test_a_plan_reads_nothing_and_says_what_would_run(make: Make) -> None:
    run = make(S.VISIBLE, S.AVAILABLE, before=1)
    run.experiment.broken = True
    receipt = run.receipt(plan_only=True, checked=Ready(1, 1))
    assert [(item.state, item.reason) for item in receipt.items] == [
        ("already complete", None),
        ("not run", None),
    ]
    assert (receipt.exit_code, receipt.evaluators, receipt.run_dir) == (0, [], "")


def test_an_experiment_that_cannot_be_read_once_more_is_said(make: Make) -> None:
    run = make(S.VISIBLE, S.ACCEPTED)
    run.experiment.broken = True
    receipt = run.receipt()
    assert [item.state for item in receipt.items] == ["visible", "not visible"]
    assert receipt.exit_code == 3
    assert any("could not be read once more" in warning for warning in receipt.warnings)


OUTAGE = LangSmithConnectionError("Connection refused")


def test_scores_that_cannot_be_read_at_all_make_no_table(make: Make) -> None:
    run = make(S.VISIBLE, S.VISIBLE)
    run.experiment.fails[""] = OUTAGE
    receipt = run.receipt()
    assert (receipt.evaluators, receipt.exit_code) == ([], 0)
    why = "LangSmith cannot be reached: connection refused"
    assert receipt.warnings == [f"the scores could not be read once more ({why})"]


def test_scores_that_came_back_during_the_run_stand_though_the_others_cannot_be_read(make: Make) -> None:
    run = make(S.VISIBLE, S.VISIBLE, S.VISIBLE)
    run.experiment.fails[""] = OUTAGE
    run.ledger.set_meta("evaluators", {"judge": ["exact"]})
    given = Evaluated("judge", ("exact",))
    with run.ledger.transaction():
        for item in (1, 2, 3):
            run.ledger.move(item, S.VISIBLE, evaluated=evaluated_json([given]))
    score = Score("", None, "exact", 1.0, None, failed=False, comment=None)
    receipt = run.receipt(scores={1: (score,), 2: (score,)})
    assert [(one.key, one.n, one.missing) for one in receipt.evaluators] == [("exact", 2, 1)]
    why = "LangSmith cannot be reached: connection refused"
    assert receipt.warnings == [
        f"the scores of up to 1 item(s) could not be read and count as missing ({why})"
    ]


def test_one_item_at_whose_scores_the_service_fails_does_not_hide_the_others(make: Make) -> None:
    run = make(S.VISIBLE, S.VISIBLE, S.VISIBLE)
    run.ledger.set_meta("evaluators", {"judge": ["exact"]})
    for item in (1, 2, 3):
        run.score(item, "exact", 1.0)
    run.experiment.fails[run.run_id(2)] = LangSmithError("500")
    receipt = run.receipt()
    assert [(one.key, one.n, one.missing) for one in receipt.evaluators] == [("exact", 2, 1)]
    assert [one.code for one in receipt.findings] == ["scores-unread"]
    assert receipt.warnings[0].startswith("the scores of 1 item(s) could not be read and count as missing: ")


def test_a_service_that_is_silent_is_asked_nothing_more(make: Make) -> None:
    run = make(S.VISIBLE)
    receipt = run.receipt(silence="it does not answer within 5 s")
    assert (run.experiment.asked, receipt.evaluators) == (0, [])
    assert [one.code for one in receipt.findings] == ["experiment-unread"]
    assert "(it does not answer within 5 s)" in receipt.warnings[0]


def test_nothing_is_looked_for_in_an_experiment_that_is_gone(make: Make) -> None:
    run = make(S.VISIBLE)
    receipt = run.receipt(gone="the experiment 'desk-1' was deleted while the run went on")
    assert (run.experiment.asked, receipt.evaluators, receipt.warnings) == (0, [], [])
    assert [(one.state, one.reason) for one in receipt.items] == [
        ("not visible", "the experiment 'desk-1' was deleted while the run went on")
    ]


def test_workers_and_warnings_are_those_of_this_run(make: Make) -> None:
    run = make(S.VISIBLE, S.VISIBLE)
    with run.ledger.transaction():
        run.ledger.add_worker(WorkerRow(1, run.session, 0, 100, 1.0, "a", None))
        run.ledger.add_worker(WorkerRow(2, run.session + 1, 1, 101, 1.0, "b", None))
        run.ledger.worker_ended(1, "was killed by SIGKILL")
        run.ledger.move(1, S.VISIBLE, warnings='["a child was late"]')
        run.ledger.move(2, S.VISIBLE, warnings='["earlier"]', session=run.session + 1)
    receipt = run.receipt(restarts=1, findings=[findings.summary_waits()])
    assert [(w.slot, w.pid, w.ended, w.items) for w in receipt.workers] == [
        (0, 100, "was killed by SIGKILL", 2)
    ]
    assert receipt.warnings == [findings.summary_waits().text, f"{run.examples[0]} #0: a child was late"]
    assert [(one.code, one.text) for one in receipt.findings] == [
        ("summary-waits", receipt.warnings[0]),
        ("item-odd", receipt.warnings[1]),
    ]
    assert receipt.restarts == 1


def test_summary_scores_that_do_not_come_back_are_said(make: Make) -> None:
    run = make(S.VISIBLE)
    scores: dict[str, dict[str, Any]] = {
        "total": {"score": 3, "value": None, "comment": None, "visible": True},
        "word": {"score": None, "value": "good", "comment": None, "visible": False},
    }
    receipt = run.receipt(summary=Summary(scores, {"bad": "ValueError: no"}))
    assert receipt.summary == {"total": 3, "word": "good"}
    assert receipt.warnings == ["the summary score word does not come back"]
    assert receipt.evaluator_errors == [EvaluatorErrors("bad", "ValueError: no", [], summary=True)]
    assert receipt.exit_code == 5


def test_a_receipt_is_json_that_says_the_same(make: Make) -> None:
    receipt = make(*sorted(S)).receipt()
    assert orjson.loads(receipt.to_json()) == orjson.loads(orjson.dumps(receipt.to_dict()))
    assert orjson.loads(receipt.to_json())["states"] == receipt.states
