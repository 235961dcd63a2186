"""What the product tells people to type works as it stands, in the folder in which it was printed."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from evalrunner.connect.embedded import Embedded

SUBJECT = """
import os

def double(inputs):
    if inputs["n"] == 3 and not os.path.exists(os.path.join(os.path.dirname(__file__), "mended")):
        raise ValueError("three")
    return {"m": 2 * inputs["n"]}

def right(outputs, reference_outputs):
    return {"key": "right", "score": outputs == reference_outputs}
"""
FLAGS = ("--store", "my store.sqlite", "--run-dir", "runs here", "--split", "a b", "--workers", "1")
CODE = ("--target", "subject.py:double", "--evaluator", "subject.py:right")


def environment(folder: Path) -> dict[str, str]:
    foreign = ("LANGSMITH_", "LANGCHAIN_", "EVALRUNNER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**kept, "HOME": str(folder), "PATH": f"{Path(sys.executable).parent}:{kept.get('PATH', '')}"}


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Type a command, as it was printed."""
    return subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=280,
        check=False,
    )  # fmt: skip


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return shell(folder, shlex.join(["evalrunner", *arguments]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a dataset, and without any configuration."""
    (tmp_path / "subject.py").write_text(SUBJECT)
    rows = [{"inputs": {"n": n}, "outputs": {"m": 2 * n}, "split": "a b" if n < 5 else "c"} for n in range(8)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run(tmp_path, "dataset", "push", "rows.jsonl", "--name", "doubles", *FLAGS[:2]).returncode == 0
    return tmp_path


def advised(text: str, label: str) -> str:
    """Return the command behind a label of the receipt."""
    (found,) = re.findall(rf"^ +{label} +(.*?)(?:   \(.*)?$", text, re.MULTILINE)
    return str(found)


def test_what_a_receipt_says_goes_on_from_there(folder: Path) -> None:
    with Embedded(folder / "my store.sqlite"):  # up for all of these commands
        first = run(folder, "run", "--dataset", "doubles", *FLAGS, *CODE)
        assert first.returncode == 1, first.stderr
        command = advised(first.stdout, "to go on")
        (folder / "mended").touch()
        report = shell(folder, advised(first.stdout, "again"))
        assert (report.returncode, report.stdout.splitlines()[0]) == (0, first.stdout.splitlines()[0])
        mended = shell(folder, f"{command} --json")
        assert mended.returncode == 0, mended.stderr
        receipt = json.loads(mended.stdout)
        assert receipt["plan"]["items"] == 5, "the split is the same"
        assert receipt["states"] == {"visible": 1, "already complete": 4}
    with serving(folder, advised(first.stdout, "traces")) as (_, lines):
        assert "my store.sqlite" in lines[0]
    assert not (folder / ".evalrunner").exists(), "nothing went to another place"


def test_an_error_names_the_store_that_was_asked(folder: Path) -> None:
    with Embedded(folder / "my store.sqlite"):  # up for all of these commands
        empty = run(folder, "run", "--dataset", "doubles", *FLAGS[:2], "--split", "none", *CODE)
        assert empty.returncode == 2
        there = shell(folder, re.findall(r"`(.*?)`", empty.stderr)[0])
        assert there.returncode == 0
        assert "a b, c" in there.stdout


@contextmanager
def serving(folder: Path, command: str) -> Iterator[tuple[requests.Session, list[str]]]:
    """Type a command that serves, and open the link that it prints."""
    with subprocess.Popen(
        ["sh", "-c", f"exec {command}"], cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True
    ) as process, requests.Session() as visitor:  # fmt: skip
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(4)]
            visitor.get(lines[3].split()[-1], timeout=60)
            yield visitor, lines
        finally:
            process.terminate()


def on_page(text: str, beginning: str) -> str:
    """Return the command of a page that begins so."""
    found = [html.unescape(one) for one in re.findall(r"<code>(.*?)</code>", text)]
    return next(one for one in found if one.startswith(beginning))


def test_what_the_pages_say_goes_on_from_there(folder: Path) -> None:
    (folder / "mended").touch()
    first = run(folder, "run", "--dataset", "doubles", *FLAGS, *CODE, "--json")
    assert first.returncode == 0, first.stderr
    receipt: dict[str, Any] = json.loads(first.stdout)
    with serving(folder, "evalrunner serve --store 'my store.sqlite'") as (visitor, lines):
        url = lines[1].partition("=")[2].strip()
        key = shell(folder, f"echo {lines[2].partition('=')[2]}").stdout.strip()
        gone = {"session_id": receipt["experiment"]["id"], "trace_ids": [receipt["items"][0]["run_id"]]}
        answer = requests.post(f"{url}/runs/delete", json=gone, headers={"x-api-key": key}, timeout=60)
        assert answer.status_code == 202
        address = f"{url}/ui/experiments/{receipt['experiment']['id']}"
        listed = visitor.get(f"{address}/holes?kind=missing", timeout=60).text
        whole = visitor.get(address, timeout=60).text
        why = shell(folder, on_page(listed, "evalrunner doctor"))
        assert (why.returncode, "run-missing: 1 of 5 items" in why.stdout) == (3, True), why.stderr
        missing = on_page(listed, "evalrunner --experiment")
        again = shell(folder, f"{missing} --json")
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout)["states"] == {"visible": 1, "already complete": 4}
        report = shell(folder, on_page(whole, "evalrunner report"))
        assert report.stdout.startswith("COMPLETE"), report.stderr


def test_the_folder_of_the_configuration_is_the_home_of_everything(tmp_path: Path) -> None:
    below, beside = tmp_path / "a" / "b", tmp_path / "c"
    for one in (below, beside):
        one.mkdir(parents=True)
    (tmp_path / "subject.py").write_text(SUBJECT)
    (tmp_path / "evalrunner.toml").write_text('target = "subject.py:double"\nworkers = 1\n')
    (below / "rows.jsonl").write_text('{"inputs": {"n": 1}}\n{"inputs": {"n": 3}}\n')
    with Embedded(tmp_path / ".evalrunner" / "store.sqlite"):  # up for all of these commands
        assert run(below, "dataset", "push", "rows.jsonl", "--name", "doubles").returncode == 0
        first = run(below, "run", "--dataset", "doubles")
        assert first.returncode == 1, first.stderr
        assert f"settings from {tmp_path}/evalrunner.toml" in first.stderr
        (tmp_path / "mended").touch()
        assert shell(below, advised(first.stdout, "to go on")).returncode == 0
        assert run(beside, "report").stdout.startswith("COMPLETE")
        assert run(beside, "resume", "-q").stdout.startswith("Nothing is missing: all 2 items")
        assert "doubles" in run(beside, "dataset", "list").stdout
    with serving(beside, "evalrunner serve") as (_, lines):
        assert f"serving {tmp_path}/.evalrunner/store.sqlite" in lines[0]
    shown = run(below, "config").stdout
    assert "beside evalrunner.toml" in shown
    assert f"{tmp_path}/.evalrunner/store.sqlite" in shown
    assert "default, beside evalrunner.toml" in shown
    assert [path.name for path in below.iterdir()] == ["rows.jsonl"]
    assert list(beside.iterdir()) == []
