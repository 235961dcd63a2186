"""The only printer: what a terminal would obey never comes through, and streams are kept apart."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from evalrunner.cli.output import Output, clean, one_line
from evalrunner.connect.embedded import Embedded

EVIL = "a\x1b]0;title\x07b\x1b[31mc\x1b[2Jd\u202ee\u2066f\x00g\x08h\x9b1mi\rj"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (EVIL, "abcdefghij"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Btext\x1bcmore\x1b", "textmore"),
        ("tab\tnew\nline", "tab\tnew\nline"),
        ("ünï 你好 🙂", "ünï 你好 🙂"),
        ("half \ud800 pair", "half  pair"),
    ],
)
def test_clean(text: str, left: str) -> None:
    assert clean(text) == left


def test_one_line() -> None:
    assert one_line("a\n  b\tc\x1b[1m") == "a b c"


def test_everything_printed_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.note(EVIL)
    output.line(EVIL)
    output.error(EVIL, 2)
    output.show(Text(EVIL))
    output.table([EVIL], [[EVIL]])
    said = capsys.readouterr()
    for forbidden in "\x1b\x07\x00\x08\x9b\r\u202e\u2066":
        assert forbidden not in said.out + said.err


def test_json_keeps_stdout_for_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(json=True)
    output.note("note")
    output.line("line")
    output.show(Text("drawn"))
    output.document({"a": 1})
    said = capsys.readouterr()
    assert json.loads(said.out) == {"a": 1}
    for word in ("note", "line", "drawn"):
        assert word in said.err


def test_quiet_leaves_the_verdict_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(quiet=True)
    output.note("note")
    output.detail("detail")
    output.show(Text("drawn"))
    output.line("verdict")
    output.error("wrong", 2)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("verdict\n", "error: wrong\n")


def test_a_stream_that_cannot_say_it(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    Output().line("naïve")
    stream.flush()
    assert raw.getvalue() == b"na\\xefve\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    code = (
        "from evalrunner.cli.output import Output\n"
        "for n in range(20000): Output().line('x' * 100)\n"
        "raise SystemExit(3)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 3


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart, its dataset pushed into a store of its own."""
    folder = tmp_path_factory.mktemp("streams") / "shop"
    assert shell(f"init {folder}", folder.parent).returncode == 0
    assert shell("dataset push dataset.jsonl --name d", folder).returncode == 0
    return folder


def shell(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell's line says, redirections too, on the local backend."""
    known = {
        name: value for name, value in os.environ.items() if not name.startswith(("LANGSMITH_", "LANGCHAIN_"))
    }
    line = f"{sys.executable} -m evalrunner {words}"
    return subprocess.run(
        ["/bin/sh", "-c", line],
        check=False,
        cwd=folder,
        env=known,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_whose_streams_are_closed_works_all_the_same(shop: Path, streams: str) -> None:
    """As cron and daemons start it: it was exit code 1 ("items failed") before anything was executed."""
    made = len(receipts(shop))
    assert shell(f"run --dataset d --limit 2 --workers 1 {streams}", shop).returncode == 0
    assert [one["exit_code"] for one in receipts(shop)] == [0] * (made + 1)
    assert shell(f"init again {streams}", shop).returncode in (0, 2)
    assert shell(f"dataset list {streams}", shop).returncode == 0


@pytest.mark.parametrize("streams", [">/dev/full", ">/dev/full 2>/dev/full"])
def test_a_result_that_cannot_be_written_is_no_success(shop: Path, streams: str) -> None:
    """A log on a full disk: the run goes on, and neither a traceback nor "internal error" is the end of it."""
    with Embedded(shop / ".evalrunner" / "store.sqlite"):  # up for all of these commands
        made = len(receipts(shop))
        ended = shell(f"run --dataset d --limit 2 --workers 1 {streams}", shop)
        assert [one["exit_code"] for one in receipts(shop)] == [0] * (made + 1)
        assert ended.returncode == 3
        for words in ("report", "report --json", "dataset list", "config"):
            ended = shell(f"{words} {streams}", shop)
            assert ended.returncode == 3
            said = [line for line in ended.stderr.splitlines() if line.startswith("error")]
            assert said in ([], ["error: stdout cannot be written: No space left on device"])
        assert shell("report 2>/dev/full", shop).returncode == 0


def receipts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(one.read_bytes()) for one in folder.glob(".evalrunner/runs/*/receipt.json")]
