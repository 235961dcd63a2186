"""What belongs to no item: news in the ledger, counts and findings in the receipt, a word in the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.loose import About, LooseRecord, LooseState
from evalrunner.report.loose import CAP, loose_books, loose_lines, loose_sentence
from evalrunner.report.receipt import LooseBooks, LooseEntry

S = LooseState


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.sqlite")
    yield made
    made.close()


def post(number: int) -> About:
    return About("post", f"run-{number}", "work", "elsewhere", ended=True)


def note(ledger: Ledger, seq: int, *states: LooseState, session: int = 1, reason: str = "") -> None:
    for state in states:
        with ledger.transaction():
            ledger.loose.note("000001", [LooseRecord(seq, state, reason, [post(seq)])], session)


@pytest.mark.parametrize(
    ("news", "state"),
    [
        ([S.PROMISED], S.PROMISED),
        ([S.PROMISED, S.ACCEPTED, S.PROMISED], S.ACCEPTED),  # its spool was read once more
        ([S.ACCEPTED], S.ACCEPTED),  # the promise was in a report that was lost
        ([S.PROMISED, S.ACCEPTED, S.VISIBLE, S.ACCEPTED, S.PROMISED], S.VISIBLE),
        ([S.PROMISED, S.REFUSED, S.PROMISED], S.REFUSED),
        ([S.PROMISED, S.REFUSED, S.ACCEPTED, S.VISIBLE], S.VISIBLE),  # sent again by the next run
        ([S.PROMISED, S.ACCEPTED, S.NOT_VISIBLE, S.ACCEPTED], S.ACCEPTED),
    ],
)
def test_the_latest_news_count_and_a_promise_is_none(
    ledger: Ledger, news: list[LooseState], state: LooseState
) -> None:
    note(ledger, 1, *news)
    assert ledger.loose.states() == {("000001", 1): state}
    assert ledger.loose.rows()[0].about == [post(1)]


def test_everything_that_has_not_arrived_is_named(ledger: Ledger) -> None:
    note(ledger, 1, S.PROMISED, S.ACCEPTED, S.VISIBLE)
    note(ledger, 2, S.PROMISED)
    note(ledger, 3, S.PROMISED, S.REFUSED, reason="server answers 422")
    note(ledger, 4, S.PROMISED, S.ACCEPTED, S.NOT_VISIBLE, reason="it does not come back")
    books = loose_books(ledger.loose.rows(), session=1)
    assert (books.promised, books.accepted, books.visible) == (4, 2, 1)
    assert [(one.id, one.state) for one in books.missing] == [
        ("run-2", "not delivered"),
        ("run-3", "refused"),
        ("run-4", "not visible"),
    ]
    assert "4 traces or scores outside the items" in loose_sentence(books)
    assert "1 not delivered, 1 refused, 1 not visible" in loose_sentence(books)


def test_what_had_no_spool_is_said_once(ledger: Ledger) -> None:
    note(ledger, -1, S.REFUSED, session=1, reason="LangSmithError: 422")
    assert [one.state for one in loose_books(ledger.loose.rows(), session=1).missing] == ["refused"]
    assert loose_books(ledger.loose.rows(), session=2) == LooseBooks()


def test_nothing_is_said_of_nothing_and_of_what_has_arrived(ledger: Ledger) -> None:
    assert (loose_sentence(LooseBooks()), list(loose_lines(LooseBooks(), 80))) == ("", [])
    note(ledger, 1, S.PROMISED, S.ACCEPTED, S.VISIBLE)
    assert loose_sentence(loose_books(ledger.loose.rows(), session=1)) == ""


def test_the_receipts_lines_are_capped_and_clean() -> None:
    entry = LooseEntry("post", "id", "evil \x1b[2J", "here\n", "refused", "422\x00")
    lines = list(loose_lines(LooseBooks(30, 0, 0, [entry] * (CAP + 3)), 200))
    text = "\n".join("".join(part for part, _ in line) for line in lines)
    assert "30 promised, 0 accepted, 0 visible" in text
    assert text.count("evil") == CAP
    assert "and 3 more" in text
    assert "\x1b" not in text
    assert "\x00" not in text
