"""The pure parts of a download: order, times, lines, pace."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalrunner.clock import ManualClock
from evalrunner.transfer.download.form import line, moment, one_line
from evalrunner.transfer.download.index import in_order
from evalrunner.transfer.download.progress import Progress
from evalrunner.transfer.download.summary import Downloaded
from evalrunner.transfer.remote.reads import Row, Run


@given(st.lists(st.tuples(st.integers(0, 12), st.none() | st.integers(0, 12)), unique_by=lambda one: one[0]))
def test_parents_come_before_children_and_nothing_is_lost(pairs: list[tuple[int, int | None]]) -> None:
    members = [(str(run), None if parent is None else str(parent)) for run, parent in pairs]
    found = list(in_order(members))
    assert sorted(found) == sorted(run for run, _ in members)
    parents, known = dict(members), {run for run, _ in members}
    place = {run: number for number, run in enumerate(found)}

    def rooted(run: str) -> bool:
        seen = set()
        while run not in seen:
            seen.add(run)
            above = parents[run]
            if above is None or above not in known:
                return True
            run = above
        return False

    for run, parent in members:
        if parent in known and rooted(run):
            assert place[str(parent)] < place[run]


def test_a_long_chain_is_no_recursion() -> None:
    members: list[tuple[str, str | None]] = [(str(number), str(number - 1)) for number in range(25_000)]
    assert list(in_order(members[::-1])) == [run for run, _ in members]


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05.000000+00:00"),
        ("2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.100000+00:00"),
        ("2026-01-02 03:04:05.123456789", "2026-01-02T03:04:05.123456+00:00"),
        ("2026-01-02T03:04:05.5+05:30", "2026-01-01T21:34:05.500000+00:00"),
        ("2026-01-02T03:04:05-0800", "2026-01-02T11:04:05.000000+00:00"),
        ("2026-13-02T03:04:05", "2026-13-02T03:04:05"),
        ("0001-01-01T00:00:00+05:00", "0001-01-01T00:00:00+05:00"),
        ("yesterday", "yesterday"),
        (None, None),
    ],
)
def test_times_are_utc_with_microseconds(told: str | None, wanted: str | None) -> None:
    assert moment(told) == wanted


@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_times_keep_their_instant(at: datetime, minutes: int) -> None:
    aware = at.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    try:
        wanted = aware.astimezone(timezone.utc).isoformat(timespec="microseconds")
    except OverflowError:
        wanted = aware.isoformat()
    assert moment(aware.isoformat()) == wanted


@given(st.recursive(st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists))
def test_json_on_several_lines_is_the_same_on_one(value: object) -> None:
    raw = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    assert orjson.loads(one_line(raw)) == value
    assert b"\n" not in one_line(raw)


def test_the_parent_is_found_in_either_generation() -> None:
    assert Row("a", "t", "", parent_run_id="p").parent == "p"
    up, own = "20260101T000000000000Z" + "p" * 36, "20260101T000000000000Z" + "a" * 36
    assert Row("a", "t", "", dotted_order=f"{up}.{own}").parent == "p" * 36
    assert Row("a", "t", "", parent_run_ids=["r", "p"]).parent == "p"
    assert Row("a", "t", "", dotted_order=own, parent_run_ids=[]).parent is None


def test_values_of_a_line_are_the_bytes_that_came() -> None:
    raw = b'{"id":"a","trace_id":"a","start_time":"2026-01-01","run_type":"LLM","inputs":{"x":1.0},"manifest":[1E2]}'
    (told,) = b"".join(
        line(msgspec.json.decode(raw, type=Run), {"outputs": b"1180591620717411303424"}, [], [])
    ).splitlines()
    assert b'"inputs":{"x":1.0},"outputs":1180591620717411303424,' in told
    assert b'"serialized":[1E2]' in told
    assert b'"run_type":"llm"' in told


def test_progress_says_rate_and_time_left_every_few_seconds() -> None:
    said: list[str] = []
    clock = ManualClock()
    progress = Progress(said.append, clock)
    done = Downloaded({}, "", "")
    progress.writing(done, 1000)
    clock.advance(10)
    done.runs, done.bytes = 200, 2_500_000
    progress.writing(done, 1000)
    progress.writing(done, 1000)
    assert said == ["200 of 1,000 runs, 2.5 MB, 20 runs/s, 40 s left"]
    clock.advance(5)
    progress.listing(1200)
    clock.advance(5)
    progress.comparing(900, 800)
    assert said[1:] == ["1,200 runs found so far", "compared with what is there now: 800 of 800 runs"]
