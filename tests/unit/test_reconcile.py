"""Whose run is it? By id, never by count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from evalrunner.verify.readback import RootRun
from evalrunner.verify.reconcile import Assignment, Trial, assign


def ours(example: str) -> Iterator[Trial]:
    for attempt in (1, 2, 3):
        for repetition in range(4):
            yield repetition, (0, attempt), f"{example}.{repetition}.{attempt}"


def run(name: str, example: str | None = "a", *, ended: bool = True, error: str | None = None) -> RootRun:
    return RootRun(name, example, ended, error)


def assigned(roots: Sequence[RootRun], repetitions: int = 1, examples: str = "ab") -> Assignment:
    return assign(list(examples), repetitions, roots, ours)


def ids(found: Assignment) -> dict[tuple[str, int], str]:
    return {key: root.id for key, root in found.runs.items()}


def test_our_own_runs_are_found_by_their_ids() -> None:
    found = assigned([run("b.0.1", "b"), run("a.1.2"), run("a.0.1")], 2)
    assert ids(found) == {("a", 0): "a.0.1", ("a", 1): "a.1.2", ("b", 0): "b.0.1"}
    assert (found.duplicates, found.superseded, found.strangers) == ([], [], {})


def test_the_later_attempt_counts_and_the_earlier_is_named() -> None:
    found = assigned([run("a.0.1"), run("a.0.3"), run("a.0.2")])
    assert ids(found) == {("a", 0): "a.0.3"}
    assert [(key, root.id) for key, root in found.superseded] == [(("a", 0), "a.0.1"), (("a", 0), "a.0.2")]


def test_a_run_without_an_error_counts_before_one_with() -> None:
    found = assigned([run("a.0.1"), run("a.0.2", error="boom")])
    assert ids(found) == {("a", 0): "a.0.1"}
    assert [root.id for _, root in found.superseded] == ["a.0.2"]


def test_runs_of_another_tool_fill_the_repetitions_that_are_free() -> None:
    found = assigned([run("x"), run("a.1.1"), run("y", error="boom")], 3)
    assert ids(found) == {("a", 0): "x", ("a", 1): "a.1.1", ("a", 2): "y"}
    assert found.duplicates == []


def test_what_is_more_than_planned_is_a_duplicate_though_another_item_is_missing() -> None:
    """Two runs for two items, and yet one item is missing: a count would not see it."""
    found = assigned([run("a.0.1"), run("x")])
    assert ids(found) == {("a", 0): "a.0.1"}
    assert [root.id for _, root in found.duplicates] == ["x"]


def test_our_id_on_another_example_does_not_count_as_ours() -> None:
    found = assigned([run("a.0.1", "b"), run("b.0.1", "b")])
    assert ids(found) == {("b", 0): "b.0.1"}
    assert [root.id for _, root in found.duplicates] == ["a.0.1"]


def test_strangers_and_why() -> None:
    found = assigned([run("p", ended=False), run("q", None), run("r", "z"), run("a.0.1", ended=False)])
    assert found.strangers == {
        "p": "pending: it has no end",
        "q": "not linked to an example",
        "r": "its example is not in the plan",
        "a.0.1": "pending: it has no end",
    }
    assert found.runs == {}


names = st.one_of(
    st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(1, 3)).map(
        lambda parts: "{}.{}.{}".format(*parts)
    ),
    st.text("xyz", min_size=1, max_size=3),
)
roots = st.lists(
    st.builds(RootRun, names, st.none() | st.sampled_from("abc"), st.booleans(), st.none() | st.just("boom")),
    max_size=12,
    unique_by=lambda root: root.id,
)


def searched_whole(example: str, repetitions: int, runs: list[RootRun]) -> dict[tuple[str, int], str]:
    """What is found by whoever works out every id of every attempt, and only then looks."""
    left = {one.id: one for one in runs}
    found = {}
    for repetition in range(repetitions):
        attempts = [
            left.pop(name) for _, _, name in sorted(ours(example)) if _of(name) == repetition and name in left
        ]
        if attempts:
            found[(example, repetition)] = sorted(attempts, key=lambda one: one.error is None)[-1].id
    foreign = sorted(left.values(), key=lambda one: (one.error is not None, one.id))
    for repetition in range(repetitions):
        if foreign and (example, repetition) not in found:
            found[(example, repetition)] = foreign.pop(0).id
    return found


def _of(name: str) -> int:
    return int(name.split(".")[1])


@given(roots, st.integers(1, 4))
def test_a_search_that_ends_early_finds_what_a_whole_one_finds(
    found: list[RootRun], repetitions: int
) -> None:
    result = assign("ab", repetitions, found, ours, may_be_ours=lambda name: "." in name)
    whole: dict[tuple[str, int], str] = {}
    for example in "ab":
        there = [one for one in found if one.ended and one.example_id == example]
        whole |= searched_whole(example, repetitions, there)
    assert ids(result) == whole


def test_ids_are_worked_out_only_for_what_needs_them_and_no_more_than_need_be() -> None:
    worked_out: list[str] = []

    def counted(example: str) -> Iterator[Trial]:
        for trial in ours(example):
            worked_out.append(trial[2])
            yield trial

    assign("ab", 1, [run("a.0.2"), run("x", "b")], counted)
    assert worked_out == [], "one run for one repetition counts, whoever made it"
    assign("ab", 2, [run("x"), run("y"), run("z", "b")], counted, may_be_ours=lambda name: "." in name)
    assert worked_out == [], "none of them can be ours"
    assign("ab", 2, [run("a.0.1"), run("a.1.1"), run("x")], counted, may_be_ours=lambda name: "." in name)
    assert worked_out == ["a.0.1", "a.1.1"], (
        "first attempts are looked for first, and nothing is left to look for"
    )


@given(roots, st.integers(1, 3), st.booleans())
def test_every_run_is_in_exactly_one_place(found: list[RootRun], repetitions: int, known: bool) -> None:
    counted = None
    plain = assign("ab", repetitions, found, ours)
    if known:
        counted = {key: root.id for key, root in plain.runs.items()}
    result = assign("ab", repetitions, found, ours, counted)
    places = [
        *(root.id for root in result.runs.values()),
        *(root.id for _, root in result.duplicates),
        *(root.id for _, root in result.superseded),
        *result.strangers,
    ]
    assert sorted(places) == sorted(root.id for root in found)
    for (example, repetition), root in result.runs.items():
        assert root.example_id == example
        assert root.ended
        assert 0 <= repetition < repetitions
    assert result == plain  # what the ledger knows saves work and changes nothing


def test_a_ledger_that_is_wrong_about_an_experiment_is_not_believed() -> None:
    counted = {("a", 0): "gone", ("b", 0): "b.0.1"}
    found = assign("ab", 1, [run("a.0.2"), run("b.0.1", "b"), run("b.0.2", "b")], ours, counted)
    assert ids(found) == {("a", 0): "a.0.2", ("b", 0): "b.0.2"}
