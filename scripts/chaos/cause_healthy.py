"""Healthy experiments that look like something else: decoys, survived outages, siblings, parts that were meant.

Of none of them is there anything to say.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from scripts.chaos import cause_whole as whole
from scripts.chaos.cause_stage import BATCHES, Stage, some
from scripts.chaos.cause_ways import otel_there
from tests.support.rig import Command

Kind = Callable[[Stage], None]


def plain(stage: Stage) -> None:
    _well(stage)


def in_threads(stage: Stage) -> None:
    _well(stage, sync=True, concurrency=3)


def shards(stage: Stage) -> None:
    """Several processes, one after the other, of one experiment."""
    stage.make(_count(stage))
    numbers = list(stage.ids)
    stage.rng.shuffle(numbers)
    for at in range(3):
        stage.work(numbers[at::3])


def decoy_tracing_off(stage: Stage) -> None:
    _well(stage, env={"LANGSMITH_TRACING": "false"})


def decoy_project(stage: Stage) -> None:
    _well(stage, env={"LANGSMITH_TRACING": "true", "LANGSMITH_PROJECT": f"p-{secrets.token_hex(4)}"})


def decoy_otel(stage: Stage) -> None:
    """Both ways at once: what goes to LangSmith is whole."""
    _well(stage, env={"LANGSMITH_OTEL_ENABLED": "true"} if otel_there() else {})


def decoy_sampling(stage: Stage) -> None:
    _well(stage, env={"LANGSMITH_TRACING_SAMPLING_RATE": "1.0"})


def short_outage(stage: Stage) -> None:
    """The SDK's own retries outlive it."""
    status = stage.rng.choice((500, 502, 503, 504))
    with_fault(stage, {"action": "status", "status": status, "first_n": 2})


def short_limit(stage: Stage) -> None:
    with_fault(stage, {"action": "status", "status": 429, "retry_after": 1, "first_n": 1})


def cut_answers(stage: Stage) -> None:
    """Requests are carried out and not answered: the SDK repeats them."""
    with_fault(stage, {"action": "cut_after", "first_n": 2})


def slow_answers(stage: Stage) -> None:
    with_fault(stage, {"action": "delay", "seconds": 1.0})


def with_fault(stage: Stage, rule: dict[str, object]) -> None:
    stage.make(_count(stage))
    with stage.fault({"match": BATCHES, **rule}):
        stage.work(list(stage.ids), concurrency=1, seconds=0.02)


def sibling_whole(stage: Stage) -> None:
    """Another experiment over the same examples, in the same hour."""
    stage.make(_count(stage))
    numbers = list(stage.ids)
    stage.work(numbers, experiment="", prefix=stage.experiment[:5])
    stage.work(numbers)
    stage.log.read()


def sibling_part(stage: Stage) -> None:
    """A trial over the first few had its own experiment."""
    stage.make(_count(stage))
    numbers = list(stage.ids)
    stage.work(numbers[:3], experiment="", prefix=stage.experiment[:5])
    stage.work(numbers)


def first_few(stage: Stage) -> None:
    """Only the first examples were meant: the experiment was made for them."""
    stage.make(_count(stage))
    _own(stage, list(stage.ids)[: stage.rng.randint(2, 5)])


def picked(stage: Stage) -> None:
    """Only some examples were meant, wherever they stand."""
    stage.make(_count(stage))
    _own(stage, some(stage.rng, list(stage.ids), 2))


def split(stage: Stage) -> None:
    stage.make(_count(stage), split=lambda number: ["test" if number % 3 == 0 else "train"])
    numbers = [number for number in stage.ids if number % 3 == 0]
    if stage.rng.random() < 0.5:
        _own(stage, numbers)
        return
    stage.make(_count(stage), tell=False, split=lambda number: ["test" if number % 3 == 0 else "train"])
    stage.ids = {number: one for number, one in stage.ids.items() if number % 3 == 0}
    stage.work(list(stage.ids))


def split_after_split(stage: Stage) -> None:
    """Each split has its own experiment, one after the other, of one prefix."""
    stage.make(_count(stage), split=lambda number: ["test" if number % 3 == 0 else "train"])
    numbers = [number for number in stage.ids if number % 3]
    stage.work([number for number in stage.ids if number % 3 == 0], experiment="", prefix="own")
    _own(stage, numbers)


def some_scored(stage: Stage) -> None:
    _well(stage, judges=["some"])


def several_scores(stage: Stage) -> None:
    _well(stage, judges=["several", "length"])


def no_scores(stage: Stage) -> None:
    _well(stage, judges=["unsure"])


def no_judges(stage: Stage) -> None:
    _well(stage, judges=[])


def summary(stage: Stage) -> None:
    _well(stage, summary=True)


def untraced_judges(stage: Stage) -> None:
    stage.make(_count(stage))
    stage.work(list(stage.ids), options={"disable_evaluator_tracing": True})


def target_raises(stage: Stage) -> None:
    stage.make(_count(stage))
    stage.work(list(stage.ids), judges=["length"], raises=some(stage.rng, list(stage.ids)))


def grown(stage: Stage) -> None:
    """The dataset has got more examples since."""
    _well(stage)
    ids = stage.ids
    whole.grow(stage, stage.rng.randint(1, 5))
    stage.ids = ids


def shrunk(stage: Stage) -> None:
    """An example has been deleted since."""
    _well(stage)
    number = stage.rng.choice(list(stage.ids))
    stage.backend.client.delete_example(stage.ids.pop(number))


def edited(stage: Stage) -> None:
    """An example has been changed since."""
    _well(stage)
    number = stage.rng.choice(list(stage.ids))
    stage.backend.client.update_example(stage.ids[number], outputs={"i": -1}, dataset_id=stage.dataset_id)


def repeated(stage: Stage) -> None:
    stage.repetitions = stage.rng.choice((2, 3))
    _well(stage)


def in_queue(stage: Stage) -> None:
    """A service that takes no compressed traces."""
    stage.backend.flags(zstd_compression_enabled=False)
    try:
        _well(stage)
    finally:
        stage.backend.flags(zstd_compression_enabled=True)


def scores_one_by_one(stage: Stage) -> None:
    """One failed look at /info, and every score is a request of its own."""
    stage.make(_count(stage))
    with stage.fault({"match": "GET /info", "action": "status", "status": 403}):
        stage.work(list(stage.ids))


def context_kept(stage: Stage) -> None:
    _well(stage, threads="context")


def forked_clean(stage: Stage) -> None:
    """Processes were forked before there was a client."""
    _well(stage, how="forked_clean", processes=2)


def own_loop(stage: Stage) -> None:
    _well(stage, how="loop", env={"LANGSMITH_TRACING": "true"})


def scored_later(stage: Stage) -> None:
    """A second evaluator came later, over the runs that were there."""
    stage.make(_count(stage))
    stage.work(list(stage.ids), judges=["right"])
    stage.work(list(stage.ids), "again", judges=["length"])


def failed_again(stage: Stage) -> None:
    """What had failed was evaluated once more, and has not failed."""
    stage.make(_count(stage))
    failed = some(stage.rng, list(stage.ids))
    stage.work(list(stage.ids), judges=["length"], raises=failed)
    stage.work(failed, judges=["length"])


def rated(stage: Stage) -> None:
    """People have given scores of their own to a few runs."""
    _well(stage)
    stage.log.read()
    for run in list(stage.log.begun)[:2]:
        stage.backend.client.create_feedback(run, key="human", score=1)


def pytest_suite(stage: Stage) -> None:
    stage.make(_count(stage))
    whole.suite(stage)


def pytest_skips(stage: Stage) -> None:
    """Some of the tests skip themselves once they have begun."""
    stage.make(_count(stage))
    whole.suite(stage, skips=some(stage.rng, list(stage.ids)))


def by_evalrunner(stage: Stage) -> None:
    """A run of our own."""
    stage.make(stage.rng.randint(6, 12))
    words = ["--experiment", stage.experiment, "--target", "t.py:target", "--workers", "2", "--json"]
    (stage.folder / "t.py").write_text("def target(inputs):\n    return {'i': inputs['i']}\n")
    Command(words, cwd=stage.folder, env=stage.backend.environment()).finish()


def _count(stage: Stage) -> int:
    stage.judges = stage.rng.choice((["right"], ["right", "length"]))
    return stage.rng.randint(6, 30)


def _well(stage: Stage, how: str = "well", **job: object) -> None:
    stage.make(_count(stage))
    stage.work(list(stage.ids), how, **job)


def _own(stage: Stage, numbers: list[int]) -> None:
    """Let the process make the experiment, of just these."""
    stage.ids = {number: stage.ids[number] for number in numbers}
    stage.work(numbers, experiment="", prefix="own")
    stage.log.read()
    stage.experiment = stage.log.experiments[-1]


KINDS: dict[str, Kind] = {
    kind.__name__.replace("_", "-"): kind
    for kind in (
        plain, in_threads, shards, decoy_tracing_off, decoy_project, decoy_otel, decoy_sampling, short_outage,
        short_limit, cut_answers, slow_answers, sibling_whole, sibling_part, first_few, picked, split,
        split_after_split, some_scored, several_scores, no_scores, no_judges, summary, untraced_judges,
        target_raises, grown, shrunk, edited,
        repeated, in_queue, scores_one_by_one, context_kept, forked_clean, own_loop, scored_later, failed_again,
        rated, pytest_suite, pytest_skips, by_evalrunner,
    )
}  # fmt: skip
