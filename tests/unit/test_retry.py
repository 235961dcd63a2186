"""Retry: what statuses mean, and that a delay is never too short, too long or the same for everybody."""

from __future__ import annotations

import random
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.delivery.sending.retry import (
    FIRST_DELAY,
    LONGEST_DELAY,
    LONGEST_RETRY_AFTER,
    Verdict,
    classify,
    next_delay,
    parse_retry_after,
)

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=timezone.utc)
attempts = st.integers(1, 10_000)
seeds = st.integers().map(random.Random)


@pytest.mark.parametrize(
    ("verdict", "statuses"),
    [
        (Verdict.ACCEPTED, [200, 201, 202, 204, 299]),
        (Verdict.CONFLICT, [409]),
        (Verdict.TOO_LARGE, [413]),
        (Verdict.THROTTLED, [429]),
        (Verdict.UNAVAILABLE, [503]),
        (Verdict.TRANSIENT, [408, 425, 500, 502, 504, 507, 520, 599]),
        (Verdict.UNAUTHORIZED, [401, 403]),
        (Verdict.REFUSED, [400, 404, 405, 415, 422, 100, 301, 302, 307, 308, 600, 0]),
    ],
)
def test_every_status_has_one_meaning(verdict: Verdict, statuses: list[int]) -> None:
    assert {classify(status) for status in statuses} == {verdict}


@given(attempts, seeds)
def test_a_delay_lies_in_the_upper_half_of_its_doubling(attempt: int, rng: random.Random) -> None:
    doubled = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempt - 1, 64))

    assert doubled / 2 <= next_delay(attempt, None, rng) <= doubled


@given(attempts, st.floats(0, 1e9), seeds)
def test_a_retry_after_is_the_minimum_up_to_an_hour(attempt: int, asked: float, rng: random.Random) -> None:
    believed = min(asked, LONGEST_RETRY_AFTER)

    delay = next_delay(attempt, asked, rng)

    assert believed <= delay <= max(LONGEST_DELAY, believed * 1.1)


@given(attempts, st.none() | st.floats(1, 100))
def test_two_workers_do_not_come_back_together(attempt: int, asked: float | None) -> None:
    delays = {next_delay(attempt, asked, random.Random(seed)) for seed in range(5)}

    assert len(delays) == 5


@given(st.integers(0, 999_999_999))
def test_seconds_are_read(seconds: int) -> None:
    assert parse_retry_after(f" {seconds} ", NOW) == seconds


@given(st.integers(-100_000, 100_000))
def test_a_date_is_counted_from_now_and_never_negative(seconds: int) -> None:
    when = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)

    assert parse_retry_after(when, NOW) == max(0, seconds)


def test_a_date_without_a_zone_is_utc() -> None:
    assert parse_retry_after("Fri, 20 Nov 2026 12:00:07 -0000", NOW) == 7


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1e9", "nan", "inf", "٣", "1,5", "0x10", "9" * 50])
def test_what_says_nothing_is_none(value: str | None) -> None:
    assert parse_retry_after(value, NOW) is None


@given(st.text())
def test_no_header_can_break_it(value: str) -> None:
    seconds = parse_retry_after(value, NOW)

    assert seconds is None or 0 <= seconds < float("inf")
