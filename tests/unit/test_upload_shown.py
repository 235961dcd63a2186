"""What `upload` says in the end."""

from __future__ import annotations

import pytest

from evalrunner.cli.commands.upload_shown import show
from evalrunner.cli.output import Output
from evalrunner.transfer.upload.summary import Hole, Uploaded

HOLE = Hole("t", {"file": "t.json", "line": 1}, "why")


@pytest.mark.parametrize(("lost", "again"), [([], False), ([HOLE], True)])
def test_once_more_is_asked_for_only_where_it_mends(
    capsys: pytest.CaptureFixture[str], lost: list[Hole], again: bool
) -> None:
    project: dict[str, str | None] = {"id": "i", "name": "n"}
    total = {"traces": 2, "runs": 2, "bytes": 2}
    done = Uploaded(project, "there", False, "content", "none", total, different=[HOLE], not_visible=lost)
    show(done, Output(quiet=True))
    said = capsys.readouterr().out
    assert ("run it again" in said) == again
    assert ("there otherwise, and stay so" in said) != again
