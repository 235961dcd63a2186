"""The chaos programmes themselves, with few seeds and short outages; they exit with 1 if a promise is broken."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.rig import clean_environment

CHAOS = Path(__file__).resolve().parents[2] / "scripts" / "chaos"


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("mode", ["worker", "supervisor"])
def test_kills(mode: str) -> None:
    said = run(str(CHAOS / "kills.py"), "--smoke", "--seeds", "2", "--seconds", "0.02", "--mode", mode)
    last = said.splitlines()[-1]
    assert re.search(
        r"2 kills: lost 0 of 80, duplicates 0, pending 0, scores lost 0, re-executed max \d", last
    )
    assert "survivors 0" in last


def test_commands_over_one_experiment() -> None:
    said = run(str(CHAOS / "commands.py"), "--smoke", "--seeds", "2")
    assert said.splitlines()[-1].startswith(
        "2 trials (1 with a kill): lost 0 of 40, duplicates 0, pending 0,"
    )


@pytest.mark.parametrize("fault", ["503", "429", "refused", "forgotten"])
def test_outages(fault: str) -> None:
    said = run(str(CHAOS / "outage.py"), "--smoke", "--fault", fault)
    last = said.splitlines()[-1]
    assert "duplicates 0, pending 0, executed twice 0" in last
    if fault == "forgotten":
        told = re.search(r"forgotten by the service (\d+), of them named in the receipt (\d+)", last)
        assert told
        assert told[1] == told[2] != "0"
    else:
        assert "lost 0 of 120" in last


def test_an_upload_that_is_killed() -> None:
    said = run(str(CHAOS / "upload.py"), "--smoke")
    assert said.count("killed with") == 2
    assert said.splitlines()[-1] == "HOLDS: nothing lost, nothing twice, nothing changed"


@pytest.mark.parametrize("more", [[], ["--healthy"]])
def test_causes_of_what_is_missing(more: list[str]) -> None:
    said = run(str(CHAOS / "causes.py"), "--smoke", *more)
    assert said.splitlines()[-1] == "HOLDS"


def test_repair_brings_back_what_an_outage_took() -> None:
    said = run(str(CHAOS / "repair.py"), "--smoke")
    assert said.splitlines()[-1].startswith("1 of 1 seeds: everything is there, once, scored")
