"""Who runs an experiment, and whether it lives."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from evalrunner.engines.processes import born
from evalrunner.supervisor.setup import owner
from evalrunner.supervisor.setup.owner import CLAIM, Owner

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)
ME = Owner.myself(Path("/runs/1"), NOW, {})


def test_what_is_written_is_read() -> None:
    metadata = json.loads(json.dumps({"other": 1, CLAIM: ME.to_json()}))
    assert Owner.found_in(metadata) == ME
    metadata[CLAIM]["birth"] = int(ME.birth)  # as a service writes 1.0
    assert Owner.found_in(metadata) is not None
    assert (ME.pid, ME.birth, ME.job, ME.restart) == (os.getpid(), born(), "", 0)


@pytest.mark.parametrize(
    "facts",
    [None, "n1", {}, {"pid": 1}, {**ME.to_json(), "pid": "x"}, {**ME.to_json(), "seen": "yesterday"}],
)
def test_what_is_in_other_words_is_nobody(facts: Any) -> None:
    assert Owner.found_in({CLAIM: facts}) is None


def test_words_of_a_later_version_are_read_as_far_as_they_are_known() -> None:
    assert Owner.found_in({CLAIM: {**ME.to_json(), "shard": "1/4"}}) == ME


def test_of_this_machine_the_process_says_whether_it_lives() -> None:
    parent = replace(ME, pid=os.getppid(), birth=born(os.getppid()))
    assert not parent.is_dead(ME)
    assert replace(parent, birth=parent.birth - 60).is_dead(ME), "its number was given to another"
    assert replace(ME, pid=2**22 + 1).is_dead(ME)


def test_of_one_process_the_command_that_has_ended_keeps_the_next_one_not_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first could not take its claim back: the service was silent."""
    first = Owner.myself(Path("/runs/1"), NOW, {})
    assert first.is_dead(ME)
    monkeypatch.setattr(owner, "HELD_HERE", {first.token})
    assert not first.is_dead(ME), "another thread runs it"


def test_of_another_machine_nothing_is_certain_but_that_its_job_was_queued_again() -> None:
    there = replace(ME, kernel="another boot", pid=2**22 + 1, job="17", restart=0)
    assert not there.is_dead(ME)
    again = Owner.myself(Path(), NOW, {"SLURM_JOB_ID": "17", "SLURM_RESTART_COUNT": "1"})
    assert there.is_dead(again)
    assert not there.is_dead(replace(again, restart=0)), "two commands of one job"
    assert not there.is_dead(replace(again, job="18"))
    assert not replace(there, kernel="").is_dead(replace(ME, kernel=""))


def test_its_silence_is_counted_in_any_zone_and_a_sign_of_life_ends_it() -> None:
    later = NOW + timedelta(seconds=90)
    assert ME.silence(later) == 90
    assert replace(ME, seen="2026-03-01T13:00:00+01:00").silence(later) == 90
    assert replace(ME, seen="2026-03-01T12:00:00").silence(later) == 90
    assert ME.again(later).silence(later) == 0
    told = replace(ME, pid=7, host="n1").words(later)
    assert told == "pid 7 on n1, since 2026-03-01 12:00:00 UTC, last sign of life 90 s ago"
    for seconds, shown in ((-5, "0 s"), (150, "2 min"), (7199, "120 min"), (50_000, "14 h")):
        assert ME.words(NOW + timedelta(seconds=seconds)).endswith(f"last sign of life {shown} ago")
