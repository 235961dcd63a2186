"""Rows and errors of evaluators, from what was read back and from our own books."""

from __future__ import annotations

import uuid

from evalrunner.protocol.evaluated import Evaluated
from evalrunner.protocol.ids import failure_id, feedback_id
from evalrunner.report.evaluators import Judged, Scoreboard
from evalrunner.verify.readback import Score

RUNS = [uuid.uuid4() for _ in range(3)]


def score(
    run: uuid.UUID, key: str, made: uuid.UUID | None, *, failed: bool = False, source: str = "model"
) -> Score:
    """Return a feedback; without an id where what was read during the run is meant."""
    ident = "" if made is None else str(made)
    comment = "ValueError('no')" if failed else None
    return Score(
        ident, str(run), key, None if failed else 1.0, None, failed=failed, comment=comment, source=source
    )


def rows(board: Scoreboard) -> dict[str, tuple[str | None, int, int, int, int]]:
    return {one.key: (one.evaluator, one.n, one.errors, one.missing, one.none) for one in board.entries()}


def test_a_guessed_key_gives_way_to_the_real_one_and_the_error_is_counted_there() -> None:
    failed = Evaluated("judge", error="ValueError('no')")
    given = Evaluated("judge", ("quality",))
    for ids in (True, False):
        items = [Judged(str(run), str(n), [failed if n == 0 else given]) for n, run in enumerate(RUNS)]
        board = Scoreboard(items, 4, {"judge": ["judge_key"]})
        first = failure_id(RUNS[0], "judge", "judge_key") if ids else None
        board.add([(str(RUNS[0]), score(RUNS[0], "judge_key", first, failed=True))])
        for run in RUNS[1:]:
            made = feedback_id(run, "judge", "quality", 0) if ids else None
            board.add([(str(run), score(run, "quality", made))])
        assert [(one.evaluator, one.error, one.items) for one in board.errors()] == [
            ("judge", "ValueError('no')", ["0"])
        ]
        assert rows(board) == {"quality": ("judge", 2, 1, 1, 0)}


def test_what_nobody_judged_is_no_row() -> None:
    items = [Judged(str(RUNS[0]), "0", [Evaluated("judge", ("quality",))])]
    for made in (feedback_id(RUNS[0], "", "quality", 0), None):
        board = Scoreboard(items, 1)
        mine = feedback_id(RUNS[0], "judge", "quality", 0) if made else None
        board.add([(str(RUNS[0]), score(RUNS[0], "quality", mine))])
        board.add(
            [(str(RUNS[0]), score(RUNS[0], "own", made and feedback_id(RUNS[0], "", "own", 0), source="api"))]
        )
        assert rows(board) == {"quality": ("judge", 1, 0, 0, 0)}
        assert board.other == {"own": 1}


def test_two_evaluators_may_give_one_key() -> None:
    turns = [Evaluated("a", ("k",)), Evaluated("b", ("k",))]
    board = Scoreboard([Judged(str(RUNS[0]), "0", turns)], 1)
    board.add((str(RUNS[0]), score(RUNS[0], "k", feedback_id(RUNS[0], name, "k", 0))) for name in "ab")
    assert rows(board) == {"k": ("a, b", 1, 0, 0, 0)}


def test_one_that_never_has_anything_to_say_is_named() -> None:
    items = [Judged(str(run), "n", [Evaluated("mute"), Evaluated("loud", ("k",))]) for run in RUNS]
    assert Scoreboard(items, 3).speechless() == ["mute"]


def test_an_error_of_another_tool_is_counted_once_until_a_score_takes_its_place() -> None:
    board = Scoreboard([Judged(str(run), str(run)) for run in RUNS[:2]], 2, {"judge": []})
    for run in RUNS[:2]:
        board.add((str(run), score(run, "judge", uuid.uuid4(), failed=True)) for _ in range(2))
    board.add([(str(RUNS[0]), score(RUNS[0], "judge", feedback_id(RUNS[0], "judge", "judge", 0)))])
    assert [(one.evaluator, one.items) for one in board.errors()] == [("judge", [str(RUNS[1])])]
    assert rows(board) == {"judge": ("judge", 1, 1, 0, 0)}
