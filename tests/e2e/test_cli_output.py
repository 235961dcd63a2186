"""The only printer: what a terminal would obey never comes through, and streams are kept apart."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from rich.text import Text

from evalrunner.cli.output import Output, clean, one_line

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
