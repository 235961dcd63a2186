"""The printed receipt: nothing that is wrong is left out, and no data reaches the terminal raw."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from evalrunner.cli.output import Output
from evalrunner.report.lines import clean, number, seconds
from evalrunner.report.receipt import Books, EvaluatorEntry, ItemEntry, Receipt, WorkerEntry
from evalrunner.report.text import plain, render
from evalrunner.report.troubles import CAP


def item(number: int, state: str = "visible", **more: Any) -> ItemEntry:
    facts: dict[str, Any] = {"repetition": 0, "attempt": 1, "run_id": f"run-{number}", **more}
    return ItemEntry(example_id=f"00000000-0000-4000-8000-{number:012d}", state=state, **facts)


def receipt(items: list[ItemEntry], **more: Any) -> Receipt:
    states: dict[str, int] = {}
    for one in items:
        states[one.state] = states.get(one.state, 0) + 1
    done = states.get("visible", 0)
    facts: dict[str, Any] = {
        "experiment": {"id": "e-1", "name": "desk-1"},
        "dataset": {"id": "d-1", "name": "desk"},
        "plan": {},
        "books": Books(done, done, done),
        "states": states,
        "evaluators": [EvaluatorEntry("exact", done, 0.75, 0, 0, len(items))],
        "summary": {},
        "items": items,
        "strangers": [],
        "duplicates": [],
        "workers": [WorkerEntry(0, 100, "exited with status 0", done)],
        "restarts": 0,
        "executions": done,
        "warnings": [],
        "seconds": {"total": 1.5},
        "versions": {},
        "complete": True,
        "exit_code": 0,
        "verdict": "All items are visible.",
        "command": None,
        "run_dir": ".evalrunner/runs/e-1",
    }
    return Receipt(**{**facts, **more})


def on_terminal(shown: Receipt, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor")
    console.print(render(shown))
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_command_is_one_line_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    command = (
        "evalrunner --experiment desk-1 --target a/long/path/target.py:answer --evaluator judges.py:judge"
    )
    Output().show(render(receipt([item(1)], complete=False, exit_code=3, command=command)))
    assert f"  to go on    {command}" in terminal.getvalue().splitlines()


def test_the_verdict_comes_first() -> None:
    lines = plain(receipt([item(1)])).splitlines()
    assert lines[0] == "COMPLETE  All items are visible."


def test_what_is_not_complete_says_so_first() -> None:
    shown = receipt([item(1)], complete=False, exit_code=3, verdict="1 item is missing.")
    assert plain(shown).startswith("NOT COMPLETE  1 item is missing.")


def test_the_verdict_does_not_say_it_twice() -> None:
    shown = receipt([item(1)], complete=False, exit_code=3, verdict="Not complete: 1 item is missing.")
    assert plain(shown).startswith("NOT COMPLETE  1 item is missing.")


def test_a_complete_receipt_raises_no_alarm() -> None:
    text = plain(receipt([item(number) for number in range(3)]))
    for word in ("failed", "died", "warning", "not visible", "raised", "nobody planned", "to go on"):
        assert word not in text


def test_the_books_stand_in_their_order() -> None:
    items = [item(1), *(item(number, "not visible") for number in range(2, 5))]
    text = plain(receipt(items, books=Books(4, 3, 1)))
    rows = text.splitlines()
    heads = next(index for index, row in enumerate(rows) if "produced" in row)
    assert rows[heads].split() == ["planned", "produced", "accepted", "visible"]
    assert rows[heads + 1].split() == ["4", ">", "4", ">", "3", ">", "1"]


def test_items_complete_before_are_told_apart() -> None:
    items = [item(1), item(2, "already complete"), item(3, "already complete")]
    text = plain(receipt(items, plan={"already_complete": 2}))
    assert "1 visible, 2 already complete" in text
    assert "1 execution in this run; 2 of 3 items were complete before" in text


def test_items_that_were_leased_more_than_once_are_counted() -> None:
    assert "leased more" not in plain(receipt([item(1)]))
    twice = [item(1, attempt=2), item(2, attempt=3), item(3)]
    assert "2 items begun more than once" in plain(receipt(twice))
    assert "leased more" not in plain(receipt(twice, executions=0))


def test_a_plan_is_no_failure() -> None:
    items = [
        item(1, "not run"),
        item(2, "not run", reason="its run ended in an error"),
        item(3, "already complete"),
    ]
    shown = receipt(items, complete=False, verdict="2 of 3 items would be executed.", executions=0)
    text = plain(shown)
    assert text.startswith("PLAN  2 of 3 items would be executed.")
    assert "not run: without a complete run" in text
    assert "not run: its run ended in an error" in text
    assert "produced" not in text


def test_a_missing_score_is_in_the_row_of_its_evaluator() -> None:
    entry = EvaluatorEntry("exact", 7, None, 2, 1, 10, {"good": 5, "bad": 2})
    summary = {"macro_f1": 0.5, "best": "billing"}
    text = plain(receipt([item(1)], evaluators=[entry], summary=summary))
    assert "exact            -        7        2        1       10" in text
    assert "good: 5, bad: 2" in text
    assert "macro_f1     0.500  over the whole experiment" in text
    assert "best       billing  over the whole experiment" in text


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_name_of_an_evaluator_is_cut(width: int) -> None:
    keys = [f"{'k' * length}_end" for length in (1, 20, 60, 108, 200)]
    entries = [EvaluatorEntry(key, 1, 0.5, 0, 0, 1) for key in keys]
    shown = receipt([item(1)], evaluators=entries, summary={"s" * 130 + "_end": 0.25})
    text = plain(shown, width)
    for key in (*keys, *shown.summary):
        assert key in text.split(), "whole"
    assert text.count("    0.500        1        0        0        1") == len(keys)
    # Where there is room, the figures stand beside the name.
    beside = sum(line.split()[:2] == [key, "0.500"] for key in keys for line in text.splitlines())
    assert beside == sum(len(key) + 48 <= width for key in keys)


def test_a_wide_terminal_is_room() -> None:
    key = "k" * 108
    shown = receipt([item(1)], evaluators=[EvaluatorEntry(key, 1, 0.5, 0, 0, 1)])
    assert f"{key}    0.500" in re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(shown, 160))


def test_every_open_item_is_named_with_its_reason() -> None:
    items = [
        item(1),
        item(2, "failed", reason="its error run could not be written"),
        item(3, "not delivered", reason="503 until the deadline"),
        item(4, "not visible", reason=None),
    ]
    text = plain(receipt(items, complete=False, exit_code=3))
    assert "failed: its error run could not be written" in text
    assert "not delivered: 503 until the deadline" in text
    assert "not visible: no reason recorded" in text
    for one in items[1:]:
        assert one.example_id in text
    assert items[0].example_id not in text


def test_repetitions_are_named_only_where_there_are_some() -> None:
    once = plain(receipt([item(1, "not visible", reason="x")]))
    often = plain(receipt([item(1), item(1, "not visible", reason="x", repetition=2)]))
    assert "repetition" not in once
    assert f"{item(1).example_id}  repetition 2" in often


def test_a_long_list_is_capped_and_says_how_much_is_left() -> None:
    items = [item(number, "not visible", reason="forgotten") for number in range(CAP + 7)]
    text = plain(receipt(items, complete=False, exit_code=3))
    assert text.count("00000000-0000-4000") == CAP
    assert "and 7 more items: see receipt.json" in text


def test_errors_are_grouped_by_their_text_and_name_their_items() -> None:
    items = [item(number, "failed", error="ValueError: no digits") for number in range(5)]
    items += [
        item(9, "failed", error="2 workers died with it", attempt=2),
        item(10, "not visible", error="KeyError: 1"),
    ]
    text = plain(receipt(items, exit_code=1))
    assert "7 items ended in an error:" in text
    assert "5 x ValueError: no digits" in text
    assert text.index("5 x ValueError") < text.index("1 x 2 workers died with it")
    for one in items:
        assert one.example_id in text
    assert text.startswith("COMPLETE, WITH ERRORS  ")
    assert f"{items[6].example_id}, not visible\n" in text


def test_many_errors_name_a_few_items_each() -> None:
    items = [item(number, "failed", error="ValueError: no digits") for number in range(CAP + 1)]
    text = plain(receipt(items, exit_code=1))
    assert text.count("00000000-0000-4000") == 3
    assert f"and {CAP - 2} more: see receipt.json" in text


def test_deaths_strangers_duplicates_and_warnings_are_told() -> None:
    text = plain(
        receipt(
            [item(1)],
            workers=[
                WorkerEntry(2, 4711, "was killed by SIGSEGV", 12),
                WorkerEntry(2, 4712, "exited with status 0", 3),
            ],
            restarts=1,
            strangers=["run-s"],
            duplicates=[item(1, "duplicate", run_id="run-d"), item(1, "superseded", run_id="run-e")],
            warnings=["a child outlived its root"],
        )
    )
    assert "1 worker died, 1 replaced" in text
    assert "worker 2 (pid 4711): was killed by SIGSEGV, after 12 items" in text
    assert "4712" not in text
    assert "the experiment has 1 run that nobody planned" in text
    assert "run-s" in text
    assert "1 run too many for items that have one already\n    run-d" in text
    assert "1 run of earlier attempts beside the ones that count\n    run-e" in text
    assert "warning: a child outlived its root" in text


def test_many_deaths_are_told_by_their_ends() -> None:
    dead = [WorkerEntry(slot, slot, "was killed by SIGKILL", 2) for slot in range(9)]
    text = plain(
        receipt([item(1)], workers=[*dead, WorkerEntry(9, 9, "was killed by SIGSEGV", 1)], restarts=10)
    )
    assert "10 workers died, 10 replaced" in text
    assert "9 x killed by SIGKILL, after 18 items in all" in text
    assert "1 x killed by SIGSEGV, after 1 item in all" in text


def test_what_to_copy_is_never_broken() -> None:
    folder = "/scratch/" + "very-long-name/" * 12 + "run"
    text = plain(receipt([item(1)], command=f"evalrunner resume {folder}", run_dir=folder))
    assert f"evalrunner resume {folder}\n" in text
    assert f"  files       {folder}\n" in text


def test_a_folder_below_this_one_is_named_from_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert "  files       runs/e-1  (rec" in plain(receipt([item(1)], run_dir=str(tmp_path / "runs/e-1")))
    assert "  files       /elsewhere/e-1  (rec" in plain(receipt([item(1)], run_dir="/elsewhere/e-1"))
    assert "files" not in plain(receipt([item(1)], run_dir=""))


HOSTILE = "\x1b[31mred\x1b[0m \x1b]0;title\x07 [bold]b[/bold] [/nope] a\r\nb \x9b2J \u202egnp.exe \ud800 \x00"


def test_no_data_reaches_the_terminal_raw() -> None:
    shown = receipt(
        [item(1, "failed", reason=HOSTILE), item(2, error=HOSTILE)],
        experiment={"id": HOSTILE, "name": HOSTILE + "n"},
        evaluators=[EvaluatorEntry(HOSTILE, 1, 1.0, 0, 0, 1, {HOSTILE: 1})],
        summary={HOSTILE: HOSTILE},
        workers=[WorkerEntry(0, 1, HOSTILE, 0)],
        warnings=[HOSTILE],
        strangers=[HOSTILE],
        seconds={HOSTILE: 1.0},
        verdict=HOSTILE,
        command=HOSTILE,
        run_dir=HOSTILE,
    )
    text = plain(shown)
    assert "[bold]b[/bold] [/nope] a b" in text
    assert not any(ord(sign) < 32 and sign != "\n" for sign in text)
    assert not any(sign in text for sign in "\x9b\u202e\ud800\x7f")
    shown_there = on_terminal(shown, 80)
    assert "[bold]b[/bold]" in shown_there
    assert "title" not in shown_there
    assert "\x1b[31mred" not in shown_there


@given(st.text(max_size=300))
def test_clean_gives_one_line_that_can_be_encoded(text: str) -> None:
    once = clean(text)
    assert once.encode("utf-8").decode() == once
    assert once.splitlines() in ([], [once])
    assert once.isprintable() or not any(ord(sign) < 32 for sign in once)
    assert clean(once) == once


def test_a_very_long_text_is_cut() -> None:
    assert len(clean("x" * 10_000)) == 500


@pytest.mark.parametrize("width", [60, 80, 100])
def test_lines_fit_the_terminal(width: int) -> None:
    shown = receipt(
        [item(1, "failed", reason="why " * 60), item(2, error="because " * 60)],
        evaluators=[EvaluatorEntry("k\N{HANGUL SYLLABLE HAN}" * 18, 1, 1.0, 0, 0, 1)],
        warnings=["take care " * 30],
    )
    assert not [row for row in plain(shown, width).splitlines() if cell_len(row) > width]


def test_a_narrow_terminal_loses_nothing() -> None:
    shown = receipt([item(1, "failed", reason="the reason")], complete=False)
    text = on_terminal(shown, 40).replace("\n", "")
    assert "the reason" in text
    assert item(1).example_id in text


def test_plain_and_terminal_say_the_same() -> None:
    shown = replace(receipt([item(1), item(2, "failed", reason="x")]), complete=False)
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(render(shown))
    written = console.file
    assert isinstance(written, io.StringIO)
    rows = [row.rstrip() for row in written.getvalue().splitlines()]
    assert rows == plain(shown, 80).splitlines()


def test_numbers_and_durations_as_people_read_them() -> None:
    assert [number(value) for value in (0.5, 3, True, "good")] == ["0.500", "3", "True", "good"]
    assert [seconds(value) for value in (0.04, 59.94, 60, 312.4, 3600, 7505)] == [
        "0.0 s",
        "59.9 s",
        "1 min 0 s",
        "5 min 12 s",
        "1 h 0 min",
        "2 h 5 min",
    ]
