"""How much to give to whom."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.supervisor.core.policy import LOOKAHEAD, SMOOTHING, Policy, smoothed, window

concurrencies = st.integers(1, 64)
rates = st.floats(0, 10_000)


@given(concurrencies, rates, st.integers(0, 100_000), st.integers(0, 64))
def test_a_window_feeds_every_lane_and_is_bounded(
    concurrency: int, rate: float, ready: int, workers: int
) -> None:
    size = window(concurrency, rate, ready, workers)
    assert concurrency <= size <= concurrency + math.ceil(rate * LOOKAHEAD)


@given(concurrencies, st.floats(2.001, 3600), st.integers(0, 100_000), st.integers(1, 64))
def test_an_item_of_more_than_two_seconds_is_never_prefetched(
    concurrency: int, each: float, ready: int, workers: int
) -> None:
    assert window(concurrency, concurrency / each, ready, workers) == concurrency


@given(st.integers(1, 64), st.integers(1, 64))
def test_at_the_end_nobody_hoards(workers: int, ready: int) -> None:
    """However fast a worker is, it holds no more than its share of what is left."""
    assert window(1, 1000.0, ready, workers) <= max(1, math.ceil(ready / workers))


def test_a_fast_worker_holds_half_a_second_of_work() -> None:
    assert window(1, 100.0, 10_000, 4) == 51
    assert window(8, 100.0, 10_000, 4) == 58
    assert window(1, 1.0, 10_000, 4) == 2


@given(rates, st.integers(1, 1000), st.floats(0.001, 100))
def test_a_rate_moves_towards_the_newest_interval(rate: float, items: int, seconds: float) -> None:
    after, now = smoothed(rate, items, seconds), items / seconds
    slack = 1e-9 * max(rate, now)
    assert min(rate, now) - slack <= after <= max(rate, now) + slack


def test_rates() -> None:
    assert smoothed(0, 10, 2.0) == 5.0
    assert smoothed(10.0, 10, 2.0) == pytest.approx(10.0 + SMOOTHING * (5.0 - 10.0))
    assert smoothed(7.0, 3, 0.0) == 7.0
    assert smoothed(7.0, 3, -1.0) == 7.0


def test_the_budget_of_futile_deaths_grows_with_the_workers() -> None:
    assert [Policy(workers).futile_deaths for workers in (1, 4, 16)] == [5, 11, 35]
    assert Policy(4).max_attempts == 2
