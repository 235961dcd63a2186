"""What a worker tells, and when: without a thread, a pipe or a clock."""

from __future__ import annotations

import pytest

from evalrunner.delivery.spool.record import Header, Op
from evalrunner.delivery.spool.writer import Entry
from evalrunner.protocol.reports import Ack, Report
from evalrunner.worker.reports import GATHER, Reports

META: dict[str, object] = {
    "runs": [],
    "others": [],
    "feedback": [],
    "error": None,
    "warnings": [],
    "seconds": 0.0,
}


def record(item: int | None, seq: int = 1, **meta: object) -> Entry:
    token = None if item is None else 7
    return Entry(seq, 0, 1, Header(item, token, {**META, **meta}, (Op("post", f"op-{seq}", 0, 1),)))


@pytest.fixture
def reports() -> Reports:
    return Reports()


def test_there_is_nothing_to_say_before_anything_happens(reports: Reports) -> None:
    assert reports.due(starving=True) is None
    assert reports.take() == []


def test_a_report_waits_for_company_unless_a_lane_starves(reports: Reports) -> None:
    reports.durable([record(0)])
    reports.noted(10.0)
    reports.durable([record(1, seq=2)])
    reports.noted(10.05)

    assert reports.due(starving=True) == 10.0
    assert reports.due(starving=False) == 10.0 + GATHER
    (report,) = reports.take()
    assert isinstance(report, Report)
    assert [made.item for made in report.produced] == [0, 1]
    assert reports.due(starving=True) is None, "it is said once"


def test_an_opening_is_no_news_until_its_item_is_accepted(reports: Reports) -> None:
    opening = Entry(1, 0, 1, Header(None, None, {"opening": [4, 7]}, (Op("post", "root", 0, 1),)))
    reports.durable([opening])
    reports.noted(1.0)
    assert reports.due(starving=True) is None
    reports.durable([record(4, seq=2)])
    reports.accepted([record(4, seq=2)])
    reports.noted(2.0)
    (report,) = reports.take()
    assert isinstance(report, Report)
    assert ([made.item for made in report.produced], report.accepted) == ([4], [])
    reports.accepted([opening])
    reports.noted(3.0)
    (report,) = reports.take()
    assert isinstance(report, Report)
    assert report.accepted == [(4, 7)]


def test_the_last_word_says_how_much_was_told_and_waits_for_nothing(reports: Reports) -> None:
    reports.durable([record(0), record(None, seq=2)])
    reports.noted(1.0)
    first = reports.take()
    reports.accepted([record(0)])
    reports.refused(record(None, seq=2), "no")
    reports.close(1, 2, "torn down badly")
    reports.noted(2.0)

    assert reports.due(starving=False) == 0.0
    report, ack = reports.take()
    assert isinstance(report, Report)
    assert isinstance(ack, Ack)
    assert (ack.outside, ack.undelivered, ack.trouble) == (1, 2, "torn down badly")
    told = [one for one in [*first, report] if isinstance(one, Report)]
    assert ack.produced == sum(len(one.produced) for one in told) == 1
    assert ack.accepted == sum(len(one.accepted) for one in told) == 1
    assert ack.refused == sum(len(one.refused) for one in told) == 0
    assert ack.loose == sum(len(one.loose) for one in told) == 2


def test_a_note_stays_in_every_report_until_it_is_taken_back(reports: Reports) -> None:
    reports.note("the service is away")
    reports.noted(1.0)
    (first,) = reports.take()
    reports.withheld(3, 7, "OSError")
    reports.noted(2.0)
    (second,) = reports.take()
    reports.note("")
    reports.noted(3.0)
    (third,) = reports.take()
    said = [one.note for one in (first, second, third) if isinstance(one, Report)]
    assert said == ["the service is away", "the service is away", ""]
