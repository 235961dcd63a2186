"""`evalrunner story`: the events of an example, from whichever run of the project has it; or one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalrunner.exit_codes import ExitCode
from evalrunner.ledger.ledger import Ledger
from evalrunner.protocol.lease import ItemState
from evalrunner.protocol.rows import WorkerRow
from tests.support.cli import done

EXAMPLES = ("aaaa0001", "aaaa0002", "bbbb0001")


def write_run(home: Path, name: str, examples: tuple[str, ...] = EXAMPLES, *, repetitions: int = 1) -> Path:
    """Write the ledger of a run that was stopped when it had begun."""
    folder = home / ".evalrunner" / "runs" / name
    folder.mkdir(parents=True)
    ledger = Ledger(folder / "ledger.sqlite")
    with ledger.transaction():
        ledger.set_meta("run", {"experiment": f"{name}-name", "id": name})
        ledger.put_examples((example, b"{}") for example in examples)
        ledger.add_items((example, n) for n in range(repetitions) for example in examples)
        ledger.add_worker(WorkerRow(4, ledger.begin_session("now"), 1, 100, 1.0, "a", None))
        ledger.move(
            1, ItemState.NOT_VISIBLE, attempt=1, token=9, run_id="r-1", reason="it does not come back"
        )
        ledger.tell([(0.0, 1, 4, 9, "leased"), (1.25, 1, 4, 9, "produced"), (2.5, 1, None, 9, "not visible")])
    ledger.close()
    return folder


def test_the_story_for_people(tmp_path: Path) -> None:
    write_run(tmp_path, "one")
    told = done(tmp_path, "story", "aaaa0001")
    assert (told.returncode, told.stderr) == (ExitCode.COMPLETE, "")
    first, head, *events = [line.strip().split(maxsplit=1) for line in told.stdout.splitlines() if line]
    assert first == ["aaaa0001", "#0: not visible, attempt 1, run r-1, reason: it does not come back"]
    assert head == ["when", "worker        lease  what"]
    assert [(when, *rest.split()) for when, rest in events] == [
        ("1970-01-01T00:00:00.000+00:00", "1", "(number", "4)", "9", "leased"),
        ("1970-01-01T00:00:01.250+00:00", "1", "(number", "4)", "9", "produced"),
        ("1970-01-01T00:00:02.500+00:00", "-", "9", "not", "visible"),
    ]


def test_the_story_for_programmes(tmp_path: Path) -> None:
    folder = write_run(tmp_path, "one", repetitions=2)
    told = done(tmp_path, "story", "AAAA0001", "--json")
    assert (told.returncode, told.stderr) == (ExitCode.COMPLETE, "")
    document = json.loads(told.stdout)
    assert document["experiment"] == {"id": "one", "name": "one-name"}
    assert document["run_dir"] == str(folder)
    first, second = document["items"]
    assert (first["state"], first["run_id"], len(first["events"])) == ("not visible", "r-1", 3)
    assert first["events"][0] == {
        "at": "1970-01-01T00:00:00.000+00:00", "worker": 4, "slot": 1, "lease": 9, "what": "leased",
    }  # fmt: skip
    assert (second["repetition"], second["state"], second["events"]) == (1, "available", [])


def test_one_repetition_alone(tmp_path: Path) -> None:
    write_run(tmp_path, "one", repetitions=2)
    told = done(tmp_path, "story", "aaaa0001", "--repetition", "1")
    assert told.stdout.splitlines() == ["aaaa0001 #1: available", "nothing has happened to it yet", ""]
    none = done(tmp_path, "story", "aaaa0001", "--repetition", "2")
    assert (none.returncode, none.stdout) == (ExitCode.USAGE, "")
    assert "has no repetition 2" in none.stderr


def test_the_newest_run_that_has_it_is_taken_or_the_one_that_is_named(tmp_path: Path) -> None:
    write_run(tmp_path, "one")
    write_run(tmp_path, "two", EXAMPLES[:1])
    elsewhere = write_run(tmp_path / "elsewhere", "three")

    def run_of(*words: str) -> str:
        told = done(tmp_path, "story", *words, "--json")
        assert told.returncode == ExitCode.COMPLETE, told.stderr
        return str(json.loads(told.stdout)["experiment"]["id"])

    assert run_of("bbbb") == "one"
    assert run_of("aaaa0001", "--experiment", "one-name") == "one"
    assert run_of("aaaa0001", "-e", "two") == "two"
    assert run_of("aaaa0001", "--run-dir", str(elsewhere)) == "three"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["cccc"],
            "no run in {home} knows an example 'cccc'; `evalrunner report --json` names those of the last one",
        ),
        (["aaaa"], "2 examples begin with 'aaaa': aaaa0001, aaaa0002; say more of the id"),
        (
            ["aaaa0001", "-e", "other"],
            "there is no run of experiment 'other' in {home}; run an evaluation here, or say --run-dir",
        ),
        (
            ["aaaa0001", "--run-dir", "nowhere"],
            "there is no run in nowhere; run an evaluation here, or say --run-dir",
        ),
    ],
)
def test_what_is_not_known_is_one_sentence(tmp_path: Path, words: list[str], said: str) -> None:
    write_run(tmp_path, "one")
    told = done(tmp_path, "story", *words)
    sentence = said.format(home=tmp_path)
    assert (told.returncode, told.stdout, told.stderr) == (ExitCode.USAGE, "", f"error: {sentence}\n")


def test_a_ledger_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / ".evalrunner" / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "ledger.sqlite").write_bytes(b"no database at all, and long enough to be looked at" * 40)
    told = done(tmp_path, "story", "aaaa", "--json")
    assert told.returncode == ExitCode.USAGE
    assert "cannot be read" in json.loads(told.stdout)["error"]
