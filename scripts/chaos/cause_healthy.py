"""Healthy experiments that look like something else: decoys, survived outages, siblings, parts that were meant.

Of none of them is there anything to say.
"""

from __future__ import annotations

from collections.abc import Callable

from scripts.chaos import cause_decoys as decoys
from scripts.chaos import cause_whole as whole
from scripts.chaos.cause_decoys import count, own, well
from scripts.chaos.cause_stage import Stage, some
from tests.support.rig import Command

Kind = Callable[[Stage], None]


def plain(stage: Stage) -> None:
    well(stage)


def in_threads(stage: Stage) -> None:
    well(stage, sync=True, concurrency=3)


def shards(stage: Stage) -> None:
    """Several processes, one after the other, of one experiment."""
    stage.make(count(stage))
    numbers = list(stage.ids)
    stage.rng.shuffle(numbers)
    for at in range(3):
        stage.work(numbers[at::3])


def sibling_whole(stage: Stage) -> None:
    """Another experiment over the same examples, in the same hour."""
    stage.make(count(stage))
    numbers = list(stage.ids)
    stage.work(numbers, experiment="", prefix=stage.experiment[:5])
    stage.work(numbers)
    stage.log.read()


def sibling_part(stage: Stage) -> None:
    """A trial over the first few had its own experiment."""
    stage.make(count(stage))
    numbers = list(stage.ids)
    stage.work(numbers[:3], experiment="", prefix=stage.experiment[:5])
    stage.work(numbers)


def first_few(stage: Stage) -> None:
    """Only the first examples were meant: the experiment was made for them."""
    stage.make(count(stage))
    own(stage, list(stage.ids)[: stage.rng.randint(2, 5)])


def picked(stage: Stage) -> None:
    """Only some examples were meant, wherever they stand."""
    stage.make(count(stage))
    own(stage, some(stage.rng, list(stage.ids), 2))


def split(stage: Stage) -> None:
    stage.make(count(stage), split=lambda number: ["test" if number % 3 == 0 else "train"])
    numbers = [number for number in stage.ids if number % 3 == 0]
    if stage.rng.random() < 0.5:
        own(stage, numbers)
        return
    stage.make(count(stage), tell=False, split=lambda number: ["test" if number % 3 == 0 else "train"])
    stage.ids = {number: one for number, one in stage.ids.items() if number % 3 == 0}
    stage.work(list(stage.ids))


def split_after_split(stage: Stage) -> None:
    """Each split has its own experiment, one after the other, of one prefix."""
    stage.make(count(stage), split=lambda number: ["test" if number % 3 == 0 else "train"])
    numbers = [number for number in stage.ids if number % 3]
    stage.work([number for number in stage.ids if number % 3 == 0], experiment="", prefix="own")
    own(stage, numbers)


def some_scored(stage: Stage) -> None:
    well(stage, judges=["some"])


def several_scores(stage: Stage) -> None:
    well(stage, judges=["several", "length"])


def no_scores(stage: Stage) -> None:
    well(stage, judges=["unsure"])


def no_judges(stage: Stage) -> None:
    well(stage, judges=[])


def summary(stage: Stage) -> None:
    well(stage, summary=True)


def untraced_judges(stage: Stage) -> None:
    stage.make(count(stage))
    stage.work(list(stage.ids), options={"disable_evaluator_tracing": True})


def target_raises(stage: Stage) -> None:
    stage.make(count(stage))
    stage.work(list(stage.ids), judges=["length"], raises=some(stage.rng, list(stage.ids)))


def grown(stage: Stage) -> None:
    """The dataset has got more examples since."""
    well(stage)
    ids = stage.ids
    whole.grow(stage, stage.rng.randint(1, 5))
    stage.ids = ids


def shrunk(stage: Stage) -> None:
    """An example has been deleted since."""
    well(stage)
    number = stage.rng.choice(list(stage.ids))
    stage.backend.client.delete_example(stage.ids.pop(number))


def edited(stage: Stage) -> None:
    """An example has been changed since."""
    well(stage)
    number = stage.rng.choice(list(stage.ids))
    stage.backend.client.update_example(stage.ids[number], outputs={"i": -1}, dataset_id=stage.dataset_id)


def repeated(stage: Stage) -> None:
    stage.repetitions = stage.rng.choice((2, 3))
    well(stage)


def context_kept(stage: Stage) -> None:
    well(stage, threads="context")


def forked_clean(stage: Stage) -> None:
    """Processes were forked before there was a client."""
    well(stage, how="forked_clean", processes=2)


def own_loop(stage: Stage) -> None:
    well(stage, how="loop", env={"LANGSMITH_TRACING": "true"})


def scored_later(stage: Stage) -> None:
    """A second evaluator came later, over the runs that were there."""
    stage.make(count(stage))
    stage.work(list(stage.ids), judges=["right"])
    stage.work(list(stage.ids), "again", judges=["length"])


def failed_again(stage: Stage) -> None:
    """What had failed was evaluated once more, and has not failed."""
    stage.make(count(stage))
    failed = some(stage.rng, list(stage.ids))
    stage.work(list(stage.ids), judges=["length"], raises=failed)
    stage.work(failed, judges=["length"])


def rated(stage: Stage) -> None:
    """People have given scores of their own to a few runs."""
    well(stage)
    stage.log.read()
    for run in list(stage.log.begun)[:2]:
        stage.backend.client.create_feedback(run, key="human", score=1)


def pytest_suite(stage: Stage) -> None:
    stage.make(count(stage))
    whole.suite(stage)


def pytest_skips(stage: Stage) -> None:
    """Some of the tests skip themselves once they have begun."""
    stage.make(count(stage))
    whole.suite(stage, skips=some(stage.rng, list(stage.ids)))


def pytest_logs(stage: Stage) -> None:
    """The tests log their inputs, which the SDK writes on the examples and not on the runs."""
    stage.make(count(stage))
    whole.suite(stage, logs=True)


def by_evalrunner(stage: Stage) -> None:
    """A run of our own."""
    stage.make(stage.rng.randint(6, 12))
    words = ["--experiment", stage.experiment, "--target", "t.py:target", "--workers", "2", "--json"]
    (stage.folder / "t.py").write_text("def target(inputs):\n    return {'i': inputs['i']}\n")
    Command(words, cwd=stage.folder, env=stage.backend.environment()).finish()


KINDS: dict[str, Kind] = {
    kind.__name__.replace("_", "-"): kind
    for kind in (
        plain, in_threads, shards, decoys.decoy_tracing_off, decoys.decoy_project, decoys.decoy_otel,
        decoys.decoy_sampling, decoys.short_outage, decoys.short_limit, decoys.cut_answers, decoys.slow_answers,
        decoys.in_queue, decoys.scores_one_by_one, sibling_whole, sibling_part, first_few, picked, split,
        split_after_split, some_scored, several_scores, no_scores, no_judges, summary, untraced_judges,
        target_raises, grown, shrunk, edited, repeated, context_kept, forked_clean, own_loop, scored_later,
        failed_again,
        rated, pytest_suite, pytest_skips, pytest_logs, by_evalrunner,
    )
}  # fmt: skip
