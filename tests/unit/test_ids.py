"""Ids: a function of what they name, and of nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from evalrunner.protocol.ids import example_id, feedback_id, may_be_ours, root_run_id

EXPERIMENT = UUID("3b3b8c22-5c5e-4a09-9d8f-1a3e8a000001")
EXAMPLE = UUID("3b3b8c22-5c5e-4a09-9d8f-1a3e8a000002")
EPOCH = datetime(2026, 11, 20, 12, 0, 0, 123000, tzinfo=timezone.utc)

attempts = st.tuples(st.uuids(), st.uuids(), st.integers(0, 99), st.integers(1, 99))
epochs = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(timezone.utc))


def test_known_ids_never_change() -> None:
    """A resumed experiment finds its runs by these; another formula would evaluate everything again."""
    assert str(root_run_id(EXPERIMENT, EXAMPLE, 0, 1, EPOCH)) == "01a1f8d3-ea7b-7d34-9b55-ce29b938a9e1"
    assert str(feedback_id(EXAMPLE, "exact", "exact_match", 0)) == "54755e52-6b56-5304-a60d-0d6f42a72116"
    assert str(example_id("desk", b'{"inputs":{"x":1}}', 0)) == "aa38e665-191e-5bef-8f4e-88ae5989306c"


@given(attempts, epochs)
def test_a_run_id_is_a_uuid_of_version_7_at_the_epoch(
    named: tuple[UUID, UUID, int, int], epoch: datetime
) -> None:
    made = root_run_id(*named, epoch)
    assert made == root_run_id(*named, epoch)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == int(epoch.timestamp() * 1000)


@given(attempts, epochs, epochs)
def test_only_an_id_that_begins_at_the_epoch_may_be_ours(
    named: tuple[UUID, UUID, int, int], epoch: datetime, other: datetime
) -> None:
    made = str(root_run_id(*named, epoch))
    assert may_be_ours(made, epoch)
    assert may_be_ours(made, other) == (int(epoch.timestamp() * 1000) == int(other.timestamp() * 1000))


@given(st.lists(attempts, min_size=2, max_size=20, unique=True))
def test_attempts_that_differ_in_anything_have_ids_that_differ(
    named: list[tuple[UUID, UUID, int, int]],
) -> None:
    assert len({root_run_id(*each, EPOCH) for each in named}) == len(named)


def test_neighbours_differ() -> None:
    """Numbers that run into each other (repetition 1, attempt 11 and repetition 11, attempt 1) do not."""
    pairs = [(1, 11), (11, 1), (0, 1), (1, 1), (111, 1), (1, 111)]
    assert len({root_run_id(EXPERIMENT, EXAMPLE, *pair, EPOCH) for pair in pairs}) == len(pairs)
    assert root_run_id(EXPERIMENT, EXAMPLE, 0, 1, EPOCH) != root_run_id(EXAMPLE, EXPERIMENT, 0, 1, EPOCH)


def test_the_epoch_counts_in_any_time_zone() -> None:
    elsewhere = EPOCH.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert root_run_id(EXPERIMENT, EXAMPLE, 0, 1, EPOCH) == root_run_id(EXPERIMENT, EXAMPLE, 0, 1, elsewhere)
    later = EPOCH + timedelta(milliseconds=1)
    assert root_run_id(EXPERIMENT, EXAMPLE, 0, 1, EPOCH) < root_run_id(EXPERIMENT, EXAMPLE, 0, 1, later)


def test_scores_are_told_apart_by_run_evaluator_key_and_index() -> None:
    named = [
        (EXAMPLE, "a", "k", 0),
        (EXPERIMENT, "a", "k", 0),
        (EXAMPLE, "b", "k", 0),
        (EXAMPLE, "a", "l", 0),
        (EXAMPLE, "a", "k", 1),
    ]
    assert len({feedback_id(*each) for each in named}) == len(named)
    assert feedback_id(*named[0]) == feedback_id(*named[0])


def test_equal_rows_of_a_file_are_told_apart_by_their_occurrence() -> None:
    assert example_id("desk", b"{}", 0) == example_id("desk", b"{}", 0)
    assert (
        len({example_id("desk", b"{}", 0), example_id("desk", b"{}", 1), example_id("lamp", b"{}", 0)}) == 3
    )


def test_two_folders_never_make_runs_under_one_id() -> None:
    named = {root_run_id(EXPERIMENT, EXAMPLE, 0, 1, EPOCH, salt) for salt in ("", "a", "b")}
    assert len(named) == 3
    assert root_run_id(EXPERIMENT, EXAMPLE, 0, 1, EPOCH) in named
