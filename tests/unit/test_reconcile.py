"""Whose run is it? By id, never by count."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from evalrunner.verify.readback import RootRun
from evalrunner.verify.reconcile import Assignment, assign, required_keys


def ours(example: str, repetition: int) -> Sequence[str]:
    return [f"{example}.{repetition}.{attempt}" for attempt in (1, 2, 3)]


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


def test_the_keys_that_most_runs_have_are_required() -> None:
    assert required_keys({}) == set()
    assert required_keys({"1": {"k"}, "2": set()}) == {"k"}
    assert required_keys({"1": {"k", "l"}, "2": {"k"}, "3": {"k"}}) == {"k"}
    assert required_keys({"1": set(), "2": set()}) == set()
